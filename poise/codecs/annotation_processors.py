"""Codecs that only prepare annotations: the network predicts boxes and keypoints as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.codecs.arrays import Array
from poise.codecs.base import BaseKeypointCodec
from poise.registry import KEYPOINT_CODECS

__all__ = ["BaseAnnotationProcessor", "YOLOXPoseAnnotationProcessor"]


class BaseAnnotationProcessor(BaseKeypointCodec):
    """A codec with nothing to decode."""

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """Not available: the head decodes its own boxes and keypoints."""
        raise NotImplementedError(
            f"{type(self).__name__} has no representation to decode; the head's predict() gives "
            "keypoints in input space"
        )


@KEYPOINT_CODECS.register_module()
class YOLOXPoseAnnotationProcessor(BaseAnnotationProcessor):
    """Class labels from category ids, and boxes that hold all keypoints if wanted.

    For YOLOX-Pose and RTMO.

    Args:
        expand_bbox: enlarge boxes to hold all visible keypoints.
        input_size: not used; exported configs carry it.
    """

    auxiliary_encode_keys = {"category_id", "bbox"}
    label_mapping_table = {
        "bbox": "bboxes",
        "bbox_labels": "labels",
        "keypoints": "keypoints",
        "keypoints_visible": "keypoints_visible",
        "area": "areas",
    }
    # without `bbox_scales`, whose length differs when several datasets are mixed
    instance_mapping_table = {
        "bbox": "bboxes",
        "bbox_score": "bbox_scores",
        "keypoints": "keypoints",
        "keypoints_visible": "keypoints_visible",
    }

    def __init__(
        self, expand_bbox: bool = False, input_size: tuple[int, int] | None = None
    ) -> None:
        self.expand_bbox = expand_bbox
        self.input_size = input_size

    def encode(
        self,
        keypoints: Array | None = None,
        keypoints_visible: Array | None = None,
        bbox: Array | None = None,
        category_id: Sequence[int] | None = None,
    ) -> dict[str, Array]:
        """Annotations of one sample, input space.

        Args:
            keypoints: (N, K, 2) float.
            keypoints_visible: (N, K) float, or (N, K, 2) with the visibility first.
            bbox: (N, 4) float xyxy.
            category_id: N ids, which start at 1.

        Returns:
            `bbox` (N, 4) if boxes are expanded, and `bbox_labels` (N,) int8, which start at 0,
            if there are ids.
        """
        encoded = {}
        if self.expand_bbox and bbox is not None and keypoints is not None:
            encoded["bbox"] = _around_keypoints(bbox, keypoints, keypoints_visible)
        if category_id is not None:
            encoded["bbox_labels"] = np.array(category_id).astype(np.int8) - 1
        return encoded


def _around_keypoints(bbox: Array, keypoints: Array, keypoints_visible: Array | None) -> Array:
    """Boxes (N, 4) that hold the given ones and all visible keypoints."""
    if keypoints_visible is None:
        seen = np.ones(keypoints.shape[:2], dtype=bool)
    else:
        seen = (
            keypoints_visible[..., 0] if keypoints_visible.ndim == 3 else keypoints_visible
        ) != 0
    mask = np.broadcast_to(seen[..., None], keypoints.shape)
    low = np.where(mask, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(mask, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    around = np.concatenate(
        [np.minimum(bbox[..., :2], low), np.maximum(bbox[..., 2:], high)], axis=-1
    )
    return around.astype(bbox.dtype, copy=False)
