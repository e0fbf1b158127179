from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT, KEYPOINTS = 64, 48, 5

#: nose, left and right eye, left and right hip
FLIP_INDICES = [0, 2, 1, 4, 3]


@pytest.fixture
def picture() -> np.ndarray:
    """(48, 64, 3) uint8 with structure everywhere, so that a wrong pixel shows."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def person(picture: np.ndarray) -> Callable[..., dict[str, Any]]:
    """Maker of `results` with `count` people, as after LoadImage."""

    def make(count: int = 1, **changes: Any) -> dict[str, Any]:
        rng = np.random.default_rng(count)
        corner = rng.uniform(2, 20, (count, 2))
        bbox = np.hstack([corner, corner + rng.uniform(15, 25, (count, 2))]).astype(np.float32)
        inside = rng.uniform(0, 1, (count, KEYPOINTS, 2))
        keypoints = bbox[:, None, :2] + inside * (bbox[:, 2:] - bbox[:, :2])[:, None]
        results: dict[str, Any] = {
            "img": picture.copy(),
            "img_path": "memory",
            "img_shape": (HEIGHT, WIDTH),
            "ori_shape": (HEIGHT, WIDTH),
            "img_id": 7,
            "id": 1 if count == 1 else list(range(count)),
            "bbox": bbox,
            "bbox_score": np.ones(count, np.float32),
            "keypoints": keypoints.astype(np.float32),
            "keypoints_visible": np.ones((count, KEYPOINTS), np.float32),
            "area": np.full(count, 100.0, np.float32),
            "category_id": np.ones(count, int),
            "flip_indices": list(FLIP_INDICES),
            "upper_body_ids": [0, 1, 2],
            "lower_body_ids": [3, 4],
            "dataset_keypoint_weights": np.array([1, 2, 3, 4, 5], np.float32),
        }
        return results | changes

    return make


@pytest.fixture(autouse=True)
def _seeded() -> None:
    np.random.seed(0)
    random.seed(0)
