"""A schema of three keypoints, and files in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from poise.datasets import CocoDataset


@pytest.fixture
def schema() -> Callable[..., dict[str, Any]]:
    """`schema(K)`: raw metainfo of K keypoints; the first two are left and right."""

    def make(count: int = 3, name: str = "toy") -> dict[str, Any]:
        swaps = {0: "k1", 1: "k0"} if count > 1 else {}
        info = {
            i: {"name": f"k{i}", "id": i, "type": "upper", "swap": swaps.get(i, "")}
            for i in range(count)
        }
        return {
            "dataset_name": name,
            "keypoint_info": info,
            "skeleton_info": {},
            "joint_weights": [1.0] * count,
            "sigmas": [0.05] * count,
        }

    return make


@pytest.fixture
def person() -> Callable[..., dict[str, Any]]:
    """`person(id, image_id, **fields)`: a valid annotation; a field of None is left out."""

    def make(number: int, image: int = 1, **fields: Any) -> dict[str, Any]:
        ann = {
            "id": number,
            "image_id": image,
            "category_id": 1,
            "bbox": [10, 20, 30, 40],
            "keypoints": [12, 24, 2, 20, 30, 1, 0, 0, 0],
            "num_keypoints": 2,
            "area": 600.5,
            "iscrowd": 0,
            "segmentation": [[10, 20, 40, 20, 40, 60]],
            **fields,
        }
        return {k: v for k, v in ann.items() if v is not None}

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """`write(annotations, images=3)`: path of a COCO file with images 1, 2, ..."""

    def make(
        annotations: list[dict[str, Any]] | None, images: int = 3, name: str = "ann.json"
    ) -> str:
        rows = [
            {"id": i + 1, "file_name": f"{i + 1}.png", "width": 100, "height": 80}
            for i in range(images)
        ]
        content: dict[str, Any] = {"images": rows, "categories": [{"id": 1, "name": "person"}]}
        if annotations is not None:
            content["annotations"] = annotations
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return str(path)

    return make


@pytest.fixture
def coco(
    write: Callable[..., str], schema: Callable[..., dict[str, Any]]
) -> Callable[..., CocoDataset]:
    """`coco(annotations, **arguments)`: a CocoDataset of them with the toy schema."""

    def make(annotations: list[dict[str, Any]], images: int = 3, **arguments: Any) -> CocoDataset:
        cls = arguments.pop("cls", CocoDataset)
        settings = {"ann_file": write(annotations, images), "metainfo": schema(), **arguments}
        return cls(**settings)

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder with the images 1.png, 2.png, 3.png."""
    for i in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 10, 3), i, np.uint8))
    return tmp_path
