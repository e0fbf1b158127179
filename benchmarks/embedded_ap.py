"""Keypoint AP of what comes inside the package: NanoDet's boxes and MoveNet's poses.

Usage: python benchmarks/embedded_ap.py ANNOTATIONS.json IMAGES/ [--model movenet-lightning]

Prints the AP with the boxes of the embedded detector and with those of the annotations, the
number of boxes, and the time a picture takes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector
from poise.metrics import CocoMetric


def annotated_boxes(truth: dict[str, Any]) -> dict[int, list[list[float]]]:
    """Boxes of people with labelled keypoints, by image id."""
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in truth["images"]}
    for ann in truth["annotations"]:
        if ann.get("iscrowd") or not any(ann["keypoints"]):
            continue
        x, y, w, h = ann["bbox"]
        boxes[ann["image_id"]].append([x, y, x + w, y + h])
    return boxes


def samples(image_id: int, found: Any) -> list[dict[str, Any]]:
    """One sample a person, as top-down evaluation has them."""
    extent = found.bboxes[:, 2:] - found.bboxes[:, :2]
    return [
        {
            "id": f"{image_id}-{i}",
            "img_id": image_id,
            "gt_instances": {
                "bbox_scales": extent[i : i + 1],
                "bbox_scores": found.bbox_scores[i : i + 1],
            },
            "pred_instances": {
                "keypoints": found.keypoints[i : i + 1],
                "keypoint_scores": found.keypoint_scores[i : i + 1],
            },
        }
        for i in range(len(found))
    ]


def evaluate(ann_file: Path, images: Path, inferencer: Inferencer, boxes: Any) -> dict[str, Any]:
    truth = json.loads(ann_file.read_text())
    paths = [images / image["file_name"] for image in truth["images"]]
    start = time.perf_counter()
    results = list(inferencer.predict(paths, boxes=boxes))
    seconds = time.perf_counter() - start
    # MoveNet's scores are low: its sure keypoints begin below MMPose's 0.2, and the mean of all
    # ranks people better
    metric = CocoMetric(ann_file=str(ann_file), keypoint_score_thr=0.0)
    metric.dataset_meta = inferencer.metainfo
    for image, result in zip(truth["images"], results, strict=True):
        metric.process({}, samples(image["id"], result.instances))
    figures = metric.evaluate(size=sum(map(len, results)))
    people = sum(map(len, results))
    return {**figures, "people": people, "ms a picture": 1000 * seconds / len(paths)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="movenet-thunder")
    parser.add_argument("--threshold", type=float, default=None, help="of the detector's scores")
    args = parser.parse_args()
    options = {} if args.threshold is None else {"score_threshold": args.threshold}
    inferencer = Inferencer(args.model, device="cpu", detector=NanoDetDetector(**options))
    given = list(annotated_boxes(json.loads(args.annotations.read_text())).values())
    given = [np.array(b, np.float32).reshape(-1, 4) for b in given]
    for name, boxes in (("detected", None), ("given", given)):
        figures = evaluate(args.annotations, args.images, inferencer, boxes)
        print(name, " ".join(f"{k}={v:.4g}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
