"""What a detector finds in the pictures of a data set, as a file for `bbox_file`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import shortened
from poise.check.files import write_annotations
from poise.datasets.people import image_folder, picture_path
from poise.errors import DataError
from poise.inference.detectors import BatchDetector
from poise.transforms.image import stored_image

__all__ = ["detect_boxes"]

#: pictures that a detector gets at once
BATCH = 8


def detect_boxes(
    dataset: Any,
    detector: BatchDetector,
    out: Path,
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> tuple[int, int, list[str]]:
    """Write the boxes of a data set's pictures.

    The file holds what `bbox_file` of a data set takes: a list of dicts with `image_id`,
    `category_id`, `bbox` (x, y, width, height; image space) and `score`.

    Args:
        dataset: whose pictures are looked at.
        detector: finds the boxes.
        out: file to write.
        progress: wraps the iteration over batches of pictures.

    Returns:
        pictures that were looked at, boxes, and names of pictures that could not be read.

    Raises:
        DataError: none of the pictures can be read, or the file cannot be written.
    """
    folder = image_folder(dataset)
    places: dict[Any, str] = {}
    for n in range(len(dataset)):
        record = dataset.get_data_info(n)
        places.setdefault(record.get("img_id"), picture_path(record, folder))
    rows: list[dict[str, Any]] = []
    lost: list[str] = []
    everything = list(places.items())
    batches = [everything[n : n + BATCH] for n in range(0, len(everything), BATCH)]
    for batch in progress(batches):
        read = [(number, path, stored_image(path)) for number, path in batch]
        lost += [path for _, path, image in read if image is None]
        known = [(number, image) for number, _, image in read if image is not None]
        for (number, _), found in zip(known, detector.detect([i for _, i in known]), strict=True):
            rows += [_row(number, box) for box in found]
    if len(lost) == len(everything):
        raise DataError(
            f"none of the {len(everything):,} pictures can be read: {shortened(lost, 3)}; "
            "--images says where they are"
        )
    write_annotations(rows, out)
    return len(everything) - len(lost), len(rows), lost


def _row(number: Any, box: np.ndarray) -> dict[str, Any]:
    """A box (5,) x1, y1, x2, y2, score, or (6,) with a category, as COCO's results have it."""
    left, top, right, bottom, score = (float(v) for v in box[:5])
    return {
        "image_id": number,
        "category_id": int(box[5]) if len(box) > 5 else 1,
        "bbox": [left, top, right - left, bottom - top],
        "score": score,
    }
