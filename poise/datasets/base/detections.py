"""People as a detector found them, for top-down tests without annotated boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.datasets.coco_file import explained, read_json
from poise.datasets.instances import image_sizes
from poise.datasets.paths import join_path
from poise.datasets.records import Columns
from poise.errors import DataError
from poise.geometry import bbox_xywh2xyxy

__all__ = ["PERSON_CATEGORY", "detection_columns", "read_detections"]

PERSON_CATEGORY = 1


def read_detections(path: str, owner: str) -> list[dict[str, Any]]:
    """A detector's boxes.

    Raises:
        DataError: the file is not a list of objects with `image_id`, `category_id`, `bbox` and
            `score`, or a number is none; names the entry.
    """
    found = read_json(path, "bbox_file", owner=owner)
    if not isinstance(found, list) or not all(isinstance(d, dict) for d in found):
        raise DataError(
            f"{owner}: {path} must be a list of objects with `image_id`, `category_id`, `bbox` "
            f"(xywh) and `score`, found a {type(found).__name__}"
        )
    for i, detection in enumerate(found):
        with explained(f"{owner}: {path}: entry {i}"):
            box = detection["bbox"][:4]
            if len(box) < 4:
                raise DataError(
                    f"{owner}: {path}: entry {i} has the bbox {box}, expected x, y, width, height"
                )
            x, y, width, height = box
            if not all(map(math.isfinite, (x, y, width, height, detection["score"]))):
                raise DataError(f"{owner}: {path}: entry {i} has NaN or infinity: {detection}")
            lacking = {"image_id", "category_id"} - detection.keys()
        if lacking:
            raise DataError(f"{owner}: {path}: entry {i} has no `{min(lacking)}`")
    return found


def detection_columns(
    people: Sequence[dict[str, Any]],
    images: Sequence[dict[str, Any]],
    *,
    num_keypoints: int,
    image_root: str,
    source: str,
) -> Columns:
    """N detected boxes, with K keypoints at the origin until a model finds them.

    Args:
        people: the detections.
        images: the image of each.
        num_keypoints: K of the schema.
        image_root: folder of the images.
        source: the file of the images, for error texts.
    """
    N = len(people)
    image_sizes(images, source)
    boxes = np.array([d["bbox"][:4] for d in people], dtype=np.float32)
    scores = np.array([d["score"] for d in people], dtype=np.float32)
    return {
        "img_id": [d["image_id"] for d in people],
        "img_path": [join_path(image_root, i["file_name"]) for i in images],
        "img_shape": [(i["height"], i["width"]) for i in images],
        "bbox": bbox_xywh2xyxy(boxes)[:, None],
        "bbox_score": scores.reshape(-1, 1),
        "keypoints": np.zeros((N, 1, num_keypoints, 2), dtype=np.float32),
        "keypoints_visible": np.ones((N, 1, num_keypoints), dtype=np.float32),
        "id": list(range(N)),
    }
