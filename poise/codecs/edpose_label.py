"""Boxes and keypoints relative to the image, for ED-Pose's set prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.geometry.boxes import bbox_cs2xyxy, bbox_xyxy2cs
from poise.registry import KEYPOINT_CODECS

__all__ = ["EDPoseLabel"]


@KEYPOINT_CODECS.register_module()
class EDPoseLabel(BaseKeypointCodec):
    """Everything as a part of the image's width and height.

    ED-Pose (Yang 2023, arXiv:2302.01593).

    Args:
        num_select: people kept by decoding.
        num_keypoints: keypoints per person.
    """

    auxiliary_encode_keys = {"area", "bboxes", "img_shape"}
    instance_mapping_table = {
        "bbox": "bboxes",
        "keypoints": "keypoints",
        "keypoints_visible": "keypoints_visible",
        "area": "areas",
    }

    def __init__(self, num_select: int = 100, num_keypoints: int = 17) -> None:
        self.num_select = num_select
        self.num_keypoints = num_keypoints

    def encode(  # type: ignore[override]
        self,
        img_shape: Sequence[int],
        keypoints: Array,
        keypoints_visible: Array | None = None,
        area: Array | None = None,
        bboxes: Array | None = None,
    ) -> dict[str, Any]:
        """Annotations of one sample relative to its size.

        Args:
            img_shape: (w, h) of the input.
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.
            area: (N,) float, square pixels.
            bboxes: (N, 4) float xyxy, input space.

        Returns:
            `keypoints` (N, K, 2), `keypoints_visible` (N, K), `bbox` (N, 4) as centre and
            size, and `area` (N,); the last two are None where not given.
        """
        size = np.array(img_shape, dtype=np.float32)
        if bboxes is not None:
            bboxes = np.concatenate(bbox_xyxy2cs(bboxes), axis=-1) / np.tile(size, 2)
        if area is not None:
            area = area / float(img_shape[0] * img_shape[1])
        return {
            "keypoints": keypoints / size,
            "keypoints_visible": keypoint_labels_of(keypoints, keypoints_visible),
            "area": area,
            "bbox": bboxes,
        }

    def decode(
        self, input_shapes: Any, pred_logits: Any, pred_boxes: Any, pred_keypoints: Any
    ) -> tuple[Array, Array, Array]:
        """The best people of one sample.

        Args:
            input_shapes: (2,) height and width of the input.
            pred_logits: (Q, C) scores of Q candidates for C classes.
            pred_boxes: (Q, 4) relative centre and size.
            pred_keypoints: (Q, 3 K): x and y of all keypoints, relative, then K more numbers.

        Returns:
            boxes (M, 4) xyxy and keypoints (M, K, 2) in input space, best first, and scores
            (M, K): each person's score for all of its keypoints.
        """
        logits = as_numpy(pred_logits)
        best = np.argsort(-logits.reshape(-1))[: self.num_select]
        person = best // logits.shape[1]
        scores = np.repeat(logits.reshape(-1)[best, None], self.num_keypoints, axis=1)
        size = as_numpy(input_shapes).reshape(2)[::-1]
        center, extent = np.split(as_numpy(pred_boxes)[person], [2], axis=-1)
        boxes = bbox_cs2xyxy(center, extent) * np.tile(size, 2)
        places = as_numpy(pred_keypoints)[person, : 2 * self.num_keypoints]
        return boxes, places.reshape(-1, self.num_keypoints, 2) * size, scores
