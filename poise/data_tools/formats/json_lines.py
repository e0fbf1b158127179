"""Poise's JSON lines: a picture a line, as `poise predict --save jsonl` writes them."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import shortened
from poise.check.files import write_text
from poise.data_tools.formats.annotations import Annotations, keypoints_of, new_annotation
from poise.data_tools.formats.reading import Reading
from poise.errors import DataError
from poise.geometry.boxes import bbox_xyxy2xywh
from poise.inference.detectors.targets import category_name
from poise.inference.results.pose_result import RESULT_VERSION, PoseResult
from poise.inference.results.reading import read_results
from poise.structures.metainfo import keypoint_names, parse_pose_metainfo

__all__ = ["is_json_lines", "read_json_lines", "write_json_lines"]

#: keypoints that score below this count as not labelled
LEAST_SCORE = 0.3
#: of pixels: what single precision has of them
_DECIMALS = 3


def is_json_lines(path: Path) -> bool:
    """Poise's own results."""
    return path.suffix == ".jsonl" and path.is_file()


def write_json_lines(found: Annotations, path: Path) -> list[Path]:
    """Write a line for each picture; visibility becomes a score of 0 or 1.

    Pictures are named as in COCO files.
    """
    found.see_pictures_from(path.parent)
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for person in found.people:
        if person.get("keypoints"):
            by_image[person["image_id"]].append(person)
        else:
            found.drop("without keypoints", person["id"])
    lines = []
    for image in found.images:
        line = {
            "version": RESULT_VERSION,
            "image": image["file_name"],
            "width": image.get("width", 0),
            "height": image.get("height", 0),
            "schema": found.schema,
            "keypoint_names": found.names,
            "instances": [_instance(person) for person in by_image.pop(image["id"], ())],
        }
        lines.append(json.dumps(line) + "\n")
    for person in itertools.chain.from_iterable(by_image.values()):
        found.drop("of an image that is not listed", person["id"])
    write_text(path, "".join(lines))
    return [path]


def _instance(person: dict[str, Any]) -> dict[str, Any]:
    x, y, width, height = person["bbox"]
    triples = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    return {
        "bbox": [x, y, x + width, y + height],
        "bbox_score": person.get("score", 1.0),
        "keypoints": triples[:, :2].tolist(),
        "keypoint_scores": (triples[:, 2] > 0).astype(float).tolist(),
    }


def read_json_lines(path: Path, reading: Reading) -> Annotations:
    """Annotations of results, such as those of a model that shall be corrected by hand.

    Keypoints that score below 0.3 count as not labelled.

    Raises:
        DataError: a line is no result, or one of other keypoints than those before it.
    """
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    meta: Mapping[str, Any] = {}
    names: list[str] = []
    for number, result in enumerate(read_results(path), 1):
        own, (width, height) = result.keypoint_names, result.size
        meta, names = meta or result.metainfo, names or own
        if own != names:
            raise DataError(
                f"{path}, line {number}, has other keypoints ({shortened(own, 3)}) than the "
                "lines before it; convert the results of each model by themselves"
            )
        image = {"id": number, "file_name": result.name, "width": width, "height": height}
        images.append(image)
        people += _people(result, number, len(people))
    if reading.schema:
        meta = parse_pose_metainfo({"from_file": reading.schema})
        if keypoint_names(meta) != names:
            raise DataError(
                f"the keypoints of {path} ({shortened(names, 3)}) are not those of the schema "
                f"{reading.schema} in its order; leave out --schema"
            )
    # a schema that has not just these keypoints tells nothing of their links and sides
    schema = reading.schema or (meta["dataset_name"] if "flip_indices" in meta else "")
    called = [{"id": 1, "name": category_name(meta or names)}]
    return Annotations(images, people, categories=called, schema=schema, **keypoints_of(meta))


def _people(result: PoseResult, image: int, before: int) -> list[dict[str, Any]]:
    """Annotations of a picture's people; `before` them there are so many others."""
    points = np.round(result.keypoints.astype(np.float64), _DECIMALS)
    seen = (result.keypoint_scores >= LEAST_SCORE) & np.isfinite(points).all(axis=-1)
    triples = np.concatenate([np.where(seen[..., None], points, 0), 2.0 * seen[..., None]], axis=-1)
    boxes = bbox_xyxy2xywh(np.round(result.bboxes.astype(np.float64), _DECIMALS))
    return [
        new_annotation(before + n, image, 1, box, own)
        for n, (box, own) in enumerate(zip(boxes, triples, strict=True), 1)
    ]
