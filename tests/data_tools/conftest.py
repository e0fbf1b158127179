"""A small data set of one's own: two pictures, four people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

NAMES = ["nose", "left_hand", "right_hand"]


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes annotations and pictures and gives the annotation file."""

    def write(**changes: dict[str, Any]) -> Path:
        people = []
        for i in range(4):
            x = 20 + 60 * (i % 2)
            points = [x + 10, 30, 2, x, 60, 2, x + 20, 60, 0]
            ann: dict[str, Any] = {
                "id": i + 1,
                "image_id": i // 2 + 1,
                "category_id": 1,
                "bbox": [x - 5, 20, 30, 50],
                "area": 1500,
                "iscrowd": 0,
                "num_keypoints": 2,
                "keypoints": points,
            }
            people.append(ann | changes.get(f"person{i + 1}", {}))
        images = [{"id": n, "file_name": f"{n}.png", "width": 160, "height": 100} for n in (1, 2)]
        content = {
            "images": images,
            "annotations": people,
            "categories": [{"id": 1, "name": "imp", "keypoints": NAMES, "skeleton": [[1, 2]]}],
        }
        (tmp_path / "images").mkdir(exist_ok=True)
        for n in (1, 2):
            cv2.imwrite(str(tmp_path / f"images/{n}.png"), np.full((100, 160, 3), 60, np.uint8))
        folder = tmp_path / "annotations"
        folder.mkdir(exist_ok=True)
        (folder / "own.json").write_text(json.dumps(content))
        return folder / "own.json"

    return write
