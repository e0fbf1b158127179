"""Average precision of whole bodies: 133 keypoints of body, feet, face and hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.metrics.coco import CocoMetric
from poise.metrics.pose_columns import PoseColumns
from poise.registry import METRICS

__all__ = ["CocoWholeBodyMetric"]

_CATEGORY = 1


@METRICS.register_module()
class CocoWholeBodyMetric(CocoMetric):
    """AP and AR over all keypoints of COCO-WholeBody (Jin et al., ECCV 2020).

    The annotations hold the parts in fields of their own. A pose is sized by its body keypoints.
    Takes the arguments of `CocoMetric`.
    """

    default_prefix: str | None = "coco-wholebody"
    # of one name with MMPose's evaluator of whole bodies, which is this one in any case
    iou_types = (*CocoMetric.iou_types, "keypoints_wholebody")
    body_num = 17
    foot_num = 6
    face_num = 68
    left_hand_num = 21
    right_hand_num = 21
    keypoint_fields = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")

    def _areas(self, poses: PoseColumns) -> NDArray[Any]:
        """(M,) of the boxes around the body keypoints."""
        if not len(poses):
            return np.zeros(0)
        body = poses.keypoints[:, : self.body_num].astype(np.float64)
        return np.ptp(body, axis=1).prod(axis=1)

    def _result_rows(self, poses: PoseColumns) -> list[dict[str, Any]]:
        """Rows of COCO-WholeBody's result format."""
        rows = super()._result_rows(poses)
        for row in rows:
            row.pop("bbox", None)
            row["category_id"] = _CATEGORY
            flat = row.pop("keypoints")
            row.update((name, flat[part]) for name, part in self._parts())
        return rows

    def _parts(self) -> Iterator[tuple[str, slice]]:
        """Field -> where its numbers (three a keypoint) stand in the flat pose."""
        counts = (
            self.body_num, self.foot_num, self.face_num, self.left_hand_num, self.right_hand_num
        )  # fmt: skip
        ends = np.cumsum(counts) * 3
        for name, count, end in zip(self.keypoint_fields, counts, ends, strict=True):
            yield name, slice(int(end) - 3 * count, int(end))
