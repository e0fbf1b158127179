"""Small people in large pictures: who is found with and without tiles, and what it costs.

Usage: python benchmarks/tiles.py ANNOTATIONS.json IMAGES/ [--detector nanodet] [--tiles 3x2 auto]

Photos of a COCO file are shrunk and put into pictures of 3840 x 2160. A labelled person of 20
pixels or more is found where a box has an IoU of 0.5 with its own; a box is right that is the
first to find somebody. The photos themselves are the last row.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from poise.inference.detectors import TiledDetector, build_detector
from poise.structures.bbox import bbox_overlaps, bbox_xywh2xyxy

SIZE = (3840, 2160)
#: pixels between which the largest person of a photo is high
HEIGHTS = {"small": (40, 120), "large": (100, 500)}
#: photos in a picture at most, tries to place them, least height of a person who counts
PHOTOS, TRIES, LEAST = 60, 400, 20


class Photo(NamedTuple):
    path: Path
    people: np.ndarray  #: (N, 4) xyxy


class Tally:
    def __init__(self) -> None:
        self.people = self.found = self.boxes = 0
        self.seconds: list[float] = []

    def look(self, detect: Callable[..., Any], picture: np.ndarray, people: np.ndarray) -> None:
        start = time.process_time()
        (boxes,) = detect([picture])
        self.seconds.append(time.process_time() - start)
        near = bbox_overlaps(people, boxes[:, :4]) if len(boxes) else np.zeros((len(people), 0))
        taken = np.zeros(len(people), bool)
        for column in near.T:
            best = int(np.where(taken, 0, column).argmax())
            taken[best] |= column[best] >= 0.5
        self.people += len(people)
        self.found += int(taken.sum())
        self.boxes += len(boxes)

    def row(self) -> str:
        recall, right = self.found / self.people, self.found / max(1, self.boxes)
        return f"{recall:8.1%}{right:9.1%}{1000 * float(np.median(self.seconds)):12.0f}"


def photos_of(annotations: Path, images: Path) -> list[Photo]:
    truth = json.loads(annotations.read_text())
    boxes: dict[int, list[Any]] = {}
    crowded = {ann["image_id"] for ann in truth["annotations"] if ann.get("iscrowd")}
    for ann in truth["annotations"]:
        boxes.setdefault(ann["image_id"], []).append(ann["bbox"])
    return [
        Photo(images / image["file_name"], bbox_xywh2xyxy(np.array(boxes[image["id"]])))
        for image in truth["images"]
        if image["id"] in boxes and image["id"] not in crowded
    ]


def scene(photos: list[Photo], heights: tuple[int, int], seed: int) -> tuple[Any, np.ndarray]:
    """A picture of many photos, and the boxes of its people (N, 4)."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    ground = rng.integers(60, 190, (height // 40, width // 40, 3), dtype=np.uint8)
    canvas = cv2.resize(ground, SIZE, interpolation=cv2.INTER_CUBIC)
    free = np.ones((height, width), bool)
    people, placed = [], 0
    for _ in range(TRIES):
        photo = photos[rng.integers(len(photos))]
        scale = rng.uniform(*heights) / (photo.people[:, 3] - photo.people[:, 1]).max()
        image = cv2.imread(str(photo.path))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        h, w = small.shape[:2]
        if h >= height or w >= width or placed == PHOTOS:
            continue
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        if not free[y : y + h, x : x + w].all():
            continue
        free[y : y + h, x : x + w] = False
        canvas[y : y + h, x : x + w] = small
        placed += 1
        people.append(photo.people * scale + np.tile([x, y], 2))
    found = np.concatenate(people)
    return canvas, found[found[:, 3] - found[:, 1] >= LEAST]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--detector", default="nanodet")
    parser.add_argument("--tiles", nargs="+", default=["2x2", "3x2", "auto", "480"])
    parser.add_argument("--scenes", type=int, default=4)
    args = parser.parse_args()
    photos = photos_of(args.annotations, args.images)
    detector = build_detector(args.detector)
    ways = {"whole alone": detector} | {t: TiledDetector(detector, t) for t in args.tiles}
    sys.stdout.write(f"{args.detector:26}{'found':>8}{'right':>9}{'CPU ms':>12}\n")
    for name, heights in HEIGHTS.items():
        tallies = {way: Tally() for way in ways}
        for picture, people in (scene(photos, heights, seed) for seed in range(args.scenes)):
            for way, one in ways.items():
                tallies[way].look(one.detect, picture, people)
        for way, tally in tallies.items():
            label = f"{name} people, {way}"
            sys.stdout.write(f"{label:26}{tally.row()}\n")
    alone = Tally()
    for photo in photos:
        alone.look(detector.detect, cv2.imread(str(photo.path)), photo.people)
    sys.stdout.write(f"{'the photos themselves':26}{alone.row()}\n")


if __name__ == "__main__":
    main()
