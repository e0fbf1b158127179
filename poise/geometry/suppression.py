"""Suppression of boxes that overlap and of poses that share too many joints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.oks import greedy_keep

__all__ = ["box_nms", "nearby_joints_nms", "nms"]


def nms(dets: Array, thr: float) -> list[int]:
    """Indices of the boxes to keep, best first, none with IoU above `thr` to a better one.

    Args:
        dets: (N, 5) xyxy and score. A box includes its right and bottom pixel, so its width is
            right - left + 1.
        thr: boxes whose IoU with a kept box exceeds this are dropped.
    """
    if len(dets) == 0:
        return []
    order = dets[:, 4].argsort()[::-1]
    boxes = dets[order, :4]
    near, far = boxes[:, :2], boxes[:, 2:] + 1
    areas = (far - near).prod(-1)

    def too_close(rows: slice) -> Array:
        low = np.maximum(near[rows, None], near[None])
        high = np.minimum(far[rows, None], far[None])
        shared = np.maximum(high - low, 0).prod(-1)
        return ~(shared / (areas[rows, None] + areas[None] - shared) <= thr)

    keep: list[int] = order[greedy_keep(len(order), too_close)].tolist()
    return keep


def box_nms(boxes: Array, scores: Array, thr: float) -> Array:
    """Indices of the boxes to keep, best first, as torchvision's `nms` says.

    Args:
        boxes: (N, 4) float xyxy; a box is as wide as right - left, unlike those of `nms`.
        scores: (N,); of equal ones the first counts as better.
        thr: boxes whose IoU with a kept box exceeds this are dropped.

    Returns:
        (M,) integers.
    """
    order = np.argsort(-scores, kind="stable")
    near, far = boxes[order, :2], boxes[order, 2:]
    # boxes without an end have no area, and two empty ones share nothing of nothing: no overlap
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        areas = (far - near).prod(-1)

        def too_close(rows: slice) -> Array:
            low = np.maximum(near[rows, None], near[None])
            shared = np.maximum(np.minimum(far[rows, None], far[None]) - low, 0).prod(-1)
            return shared / (areas[rows, None] + areas[None] - shared) > thr

        return order[greedy_keep(len(order), too_close)]


def nearby_joints_nms(
    kpts_db: Sequence[dict[str, Any]],
    dist_thr: float = 0.05,
    num_nearby_joints_thr: int | None = None,
    score_per_joint: bool = False,
    max_dets: int = 30,
) -> list[int]:
    """Indices of poses to keep where poses with many joints in common count as one.

    Two joints are near when their distance is below `dist_thr` times the diagonal of the pose;
    of poses with more than `num_nearby_joints_thr` near joints the best stays (DEKR, Geng et
    al., CVPR 2021, supplement).

    Args:
        kpts_db: poses of one picture: 'keypoints' (K, D), 'score'.
        dist_thr: share of the pose's diagonal, above 0.
        num_nearby_joints_thr: half of the joints if None.
        score_per_joint: 'score' is (K,) and its mean ranks the pose.
        max_dets: how many poses to keep at most; 0 or less keeps all.

    Raises:
        DataError: a threshold out of its range.
    """
    if dist_thr <= 0:
        raise DataError(f"dist_thr must be greater than 0, got {dist_thr}")
    if not kpts_db:
        return []
    scores = np.array([p["score"].mean() if score_per_joint else p["score"] for p in kpts_db])
    poses = np.array([pose["keypoints"] for pose in kpts_db])
    joints = poses.shape[1]
    limit = joints // 2 if num_nearby_joints_thr is None else num_nearby_joints_thr
    if limit >= joints:
        raise DataError(
            f"num_nearby_joints_thr must be less than the {joints} joints of a pose, got {limit}"
        )
    diagonal = np.linalg.norm(np.ptp(poses, axis=1), axis=-1)
    distance = np.linalg.norm(poses[:, None] - poses[None], axis=-1)
    # (N, N, K) distances against the diagonal of the first pose
    same = (distance < diagonal[:, None, None] * dist_thr).sum(-1) > limit
    # a pose is like itself, also one without extent or with NaN
    np.fill_diagonal(same, True)

    keep: list[int] = []
    settled = np.zeros(len(poses), bool)
    for index in scores.argsort()[::-1]:
        if settled[index]:
            continue
        group = np.nonzero(same[index])[0]
        best = int(group[scores[group].argmax()])
        if not settled[best]:
            keep.append(best)
            settled[group] = True
    if 0 < max_dets < len(keep):
        ranked = scores[keep].argsort()[::-1][:max_dets]
        keep = [keep[i] for i in ranked]
    return keep
