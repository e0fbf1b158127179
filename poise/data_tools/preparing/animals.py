"""Animals: Animal-Pose, DeepPoseKit's flies, locusts and zebras, MacaquePose.

Where MMPose's scripts divide a data set at random, the same ones go into each part.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from poise import schemas
from poise._arrays import Array
from poise.data_tools.formats.hdf_tables import import_h5py
from poise.data_tools.preparing.coco_writer import CocoWriter, bounds
from poise.data_tools.preparing.files import link_folder, part_of
from poise.data_tools.preparing.report import Prepared
from poise.errors import DataError
from poise.visualization.files import write_picture

__all__ = ["animalpose", "fly", "locust", "macaque", "zebra"]

#: names of keypoints in the second part of Animal-Pose -> those of the first
_OTHER_NAMES = {"l_ear": "l_earbase", "r_ear": "r_earbase", "tail": "tailbase"}
_ANIMALS = ("cat", "cow", "dog", "horse", "sheep")
#: annotations of Animal-Pose's first part that are kept for validation, and its first id
_VALIDATION, _FIRST_ID = 1117, 1_000_000
#: pictures that DeepPoseKit's data sets have as they are published, in the order of MMPose's script
_PUBLISHED = {"fly": 1500, "locust": 700, "zebra": 900}
#: pictures of MacaquePose for training
_MACAQUE_TRAINING = 12_500


def animalpose(root: Path, out: Path, report: Prepared) -> None:
    """Animal-Pose: XML files in `PASCAL2011_animal_annotation` and `animalpose_anno2`.

    The pictures lie in `VOC2012/JPEGImages` and `animalpose_image_part2/ANIMAL`.
    """
    first = part_of(root, "PASCAL2011_animal_annotation")
    second = part_of(root, "animalpose_anno2")
    annotations = out / "annotations"
    coco = CocoWriter(report, "animalpose", "animal", "animal")
    number = _FIRST_ID
    for file, animal in _animals_of(first, report, "Animal-Pose, first part"):
        stem = animal.findtext("image", "")
        image = int("".join(re.findall(r"\d+", stem)[:2]) or 0)
        name = f"VOC2012/JPEGImages/{stem}.jpg"
        if image in coco.images or coco.picture(image, name, root / name):
            number += _add_animal(coco, file, animal, number, image)
    coco.write(annotations / "animalpose_trainval.json")
    chosen, others = _validation(coco)
    coco.write(annotations / "animalpose_train.json", others)
    if chosen:
        coco.write(annotations / "animalpose_val.json", chosen)

    coco = CocoWriter(report, "animalpose", "animal", "animal")
    number = 0
    for file, animal in _animals_of(second, report, "Animal-Pose, second part"):
        kind, picture = animal.findtext("category", ""), animal.findtext("image", "")
        digits = re.search(r"\d+", picture)
        if kind not in _ANIMALS or digits is None:
            report.drop("files without an animal that is known and a picture", file)
            continue
        image = 1000 * (_ANIMALS.index(kind) + 1) + int(digits[0])
        name = f"animalpose_image_part2/{kind}/{picture}"
        if coco.picture(image, name, root / name):
            number += _add_animal(coco, file, animal, number, image)
    coco.write(annotations / "animalpose_test.json")
    for folder in ("VOC2012", "animalpose_image_part2"):
        link_folder(root / folder, out / folder, report)


def _animals_of(folder: Path, report: Prepared, name: str) -> Iterable[tuple[Path, Any]]:
    """XML files below a folder, and what is in them."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".xml" and p.is_file())
    for file in report.progress(files, name):
        try:
            yield file, ET.parse(file).getroot()
        except ET.ParseError as error:
            report.drop("files that are no XML", f"{file} ({error})")


def _add_animal(coco: CocoWriter, file: Path, animal: Any, number: int, image: int) -> bool:
    names = [n.lower() for n in coco.keypoints]
    triples = np.zeros((len(names), 3))
    bound = animal.find("visible_bounds")
    try:
        for point in animal.iterfind("keypoints/keypoint"):
            name = point.attrib["name"].lower()
            if int(point.attrib["visible"]):
                place = float(point.attrib["x"]), float(point.attrib["y"]), 2.0
                triples[names.index(_OTHER_NAMES.get(name, name))] = place
        # the second part of the data set calls the upper edge xmax
        top = bound.attrib.get("ymin", bound.attrib.get("xmax"))
        left, width, height = (bound.attrib[key] for key in ("xmin", "width", "height"))
        box = [float(v) for v in (left, top, width, height)]
    except (KeyError, ValueError, TypeError, AttributeError):
        coco.report.drop("files without keypoints and bounds as Animal-Pose has them", file)
        return False
    # MMPose writes them in single precision
    coco.person(number, image, triples.astype(np.float32), box)
    return True


def _validation(coco: CocoWriter) -> tuple[list[int], list[int]]:
    """Pictures for validation and for training, as MMPose's script chooses them."""
    order = np.array(list(coco.images), dtype=np.int64)
    np.random.RandomState(0).shuffle(order)
    on_picture: dict[int, int] = {}
    for person in coco.people:
        on_picture[person["image_id"]] = on_picture.get(person["image_id"], 0) + 1
    chosen: list[int] = []
    others: list[int] = []
    count = 0
    for image in order.tolist():
        more = on_picture.get(image, 0)
        fits = count + more <= _VALIDATION
        count += more if fits else 0
        (chosen if fits else others).append(image)
    return (chosen, others) if others else ([], chosen)


def fly(root: Path, out: Path, report: Prepared) -> None:
    """Vinegar flies: `annotation_data_release.h5`, which holds the pictures too."""
    _deepposekit("fly", root, out, report)


def locust(root: Path, out: Path, report: Prepared) -> None:
    """Desert locusts: as `fly`."""
    _deepposekit("locust", root, out, report)


def zebra(root: Path, out: Path, report: Prepared) -> None:
    """Grevy's zebras: as `fly`."""
    _deepposekit("zebra", root, out, report)


def _deepposekit(name: str, root: Path, out: Path, report: Prepared) -> None:
    h5py = import_h5py()
    path = part_of(root, "annotation_data_release.h5")
    count = len(schemas.get(name)["keypoint_info"])
    try:
        with h5py.File(path, "r") as file:
            points = np.asarray(file["annotations"], np.float64)
            seen = np.asarray(file["annotated"], np.float64)
            pictures = file["images"]
            if points.shape[1:] != (count, 2) or seen.shape != points.shape[:2]:
                raise DataError(
                    f"{path}: {name} has annotations (N, {count}, 2) and annotated (N, {count}), "
                    f"got {points.shape} and {seen.shape}"
                )
            triples = np.concatenate([points, 2 * seen[..., None]], axis=2)
            order = _shuffled(name, len(points))
            numbers = dict(zip(order.tolist(), range(len(order)), strict=True))
            training = len(order) - len(order) // 10
            parts = [CocoWriter(report, name, name, "animal") for _ in range(2)]
            # the file is read in its own order, which is faster than to jump about
            for n in report.progress(sorted(numbers), name):
                number, image = numbers[n], np.asarray(pictures[n])
                picture = f"{number}.jpg"
                write_picture(image, out / "images" / picture, order="bgr")
                labelled = triples[n, triples[n, :, 2] > 0, :2]
                if not len(labelled):
                    report.drop("pictures without keypoints", n)
                    continue
                coco = parts[number >= training]
                coco.sized_picture(number, picture, (image.shape[1], image.shape[0]))
                x, y, width, height = bounds(labelled)
                coco.person(number, number, triples[n], (x, y, width + 1, height + 1))
    except (OSError, KeyError) as error:
        raise DataError(f"{path} is no file of DeepPoseKit's data: {error}") from error
    for coco, part in zip(parts, ("train", "test"), strict=True):
        coco.images = dict(sorted(coco.images.items()))
        coco.people.sort(key=lambda person: person["id"])
        coco.write(out / "annotations" / f"{name}_{part}.json")


def _shuffled(name: str, count: int) -> Array:
    """The order of MMPose's script, which shuffles one data set after the other."""
    random = np.random.RandomState(0)
    for other, published in _PUBLISHED.items():
        order = np.arange(count if other == name else published)
        random.shuffle(order)
        if other == name:
            return order
    raise AssertionError(name)


def macaque(root: Path, out: Path, report: Prepared) -> None:
    """MacaquePose: `annotations.csv`, pictures in `images`."""
    with part_of(root, "annotations.csv").open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(2**31 - 1)
        rows = list(csv.reader(file))[1:]
    order = np.arange(len(rows))
    np.random.RandomState(0).shuffle(order)
    number = 0
    parts = {"train": order[:_MACAQUE_TRAINING], "test": order[_MACAQUE_TRAINING:]}
    if not len(parts["test"]):
        report.said.append(
            f"MacaquePose has 13,083 pictures, this file {len(rows):,}: a tenth became the test"
        )
        parts = dict(zip(parts, np.split(order, [len(order) - len(order) // 10]), strict=True))
    first = 0
    for part, chosen in parts.items():
        coco = CocoWriter(report, "macaque", "macaque", "animal")
        pictures = (rows[n] for n in chosen)
        for image, row in enumerate(report.progress(list(pictures), f"MacaquePose {part}"), first):
            try:
                monkeys = list(zip(*(json.loads(text) for text in row[1:3]), strict=True))
                found = [_monkey(points, segments) for points, segments in monkeys]
            except (ValueError, KeyError, TypeError, IndexError) as error:
                report.drop("rows that are not as MacaquePose has them", f"{row[:1]} ({error})")
                continue
            if not coco.picture(image, row[0], root / "images" / row[0]):
                continue
            for triples, polygons in found:
                around = np.concatenate(polygons) if polygons else triples[triples[:, 2] > 0, :2]
                if not len(around):
                    report.drop("monkeys without outline and keypoints", row[0])
                    continue
                x, y, width, height = bounds(around)
                flat = [polygon.ravel().tolist() for polygon in polygons]
                area = sum(map(_polygon_area, polygons))
                more = {"segmentation": flat, "area": area} if polygons else {}
                coco.person(number, image, triples, (x, y, width + 1, height + 1), **more)
                number += 1
        coco.write(out / "annotations" / f"macaque_{part}.json")
        first += len(chosen)
    link_folder(root / "images", out / "images", report)


def _monkey(points: Any, segments: Any) -> tuple[Array, list[Array]]:
    """Keypoints (17, 3) and outlines, each (N, 2), of one animal."""
    triples = np.zeros((17, 3))
    for n, point in enumerate(points):
        if point["position"] is not None:
            triples[n] = (*point["position"], 2)
    outlines = [np.array(part["segment"]) for part in segments if part["segment"]]
    return triples, outlines


def _polygon_area(polygon: Array) -> float:
    """By the shoelace formula, of corners (N, 2)."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
