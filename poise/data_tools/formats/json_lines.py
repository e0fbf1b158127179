"""Poise's JSON lines: a picture a line, as `poise predict --save jsonl` writes them."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise.check.files import write_text
from poise.data_tools.formats.annotations import Annotations, new_annotation
from poise.data_tools.formats.reading import Reading
from poise.errors import DataError
from poise.inference.results.pose_result import RESULT_VERSION
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["read_json_lines", "write_json_lines"]

#: keypoints that score below this count as not labelled
LEAST_SCORE = 0.3


def write_json_lines(found: Annotations, path: Path) -> list[Path]:
    """Write a line for each picture; visibility becomes a score of 0 or 1."""
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
    names: list[str] = []
    found = reading.schema or ""
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            own = list(line["keypoint_names"])
            names = names or own
            found = found or line.get("schema") or ""
            image = {"id": number, "file_name": line["image"]}
            images.append(image | {"width": line["width"], "height": line["height"]})
            people += [
                _person(i, number, len(people) + n) for n, i in enumerate(line["instances"], 1)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number}, is no result of poise predict ({type(error).__name__}: "
                f"{error})"
            ) from error
        if own != names:
            raise DataError(
                f"{path}, line {number}, has other keypoints ({', '.join(own[:3])} ...) than the "
                "lines before it; convert the results of each model by themselves"
            )
    if not images:
        raise DataError(f"{path} has no lines")
    if not (found and (schemas.known(found) or Path(found).is_file())):
        return _of_names(images, people, names)
    meta = parse_pose_metainfo({"from_file": found})
    if list(meta["keypoint_id2name"].values()) != names:
        if reading.schema:
            raise DataError(
                f"the keypoints of {path} ({', '.join(names[:3])} ...) are not those of the schema "
                f"{found} in its order; leave out --schema"
            )
        # a model of one's own whose data were called like a known schema
        return _of_names(images, people, names)
    links = [(a, b) for a, b in meta["skeleton_links"]]
    return Annotations(images, people, names, list(meta["flip_indices"]), links, _PERSON, found)


_PERSON = [{"id": 1, "name": "person"}]


def _of_names(
    images: list[dict[str, Any]], people: list[dict[str, Any]], names: list[str]
) -> Annotations:
    """Annotations of keypoints of which nothing but the names is known."""
    return Annotations(images, people, names, list(range(len(names))), [], _PERSON, "")


def _person(instance: dict[str, Any], image: int, number: int) -> dict[str, Any]:
    left, top, right, bottom = instance["bbox"]
    points = np.array(instance["keypoints"], np.float64)
    scores = np.array(instance["keypoint_scores"], np.float64)
    seen = (scores >= LEAST_SCORE) & np.isfinite(points).all(axis=1)
    triples = np.column_stack([np.where(seen[:, None], points, 0), 2.0 * seen])
    box = np.array([left, top, right - left, bottom - top], np.float64)
    return new_annotation(number, image, 1, box, triples)
