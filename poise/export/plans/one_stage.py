"""One-stage models (RTMO, YOLOX-Pose): everything up to the suppression of doubles in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from poise.errors import ConfigError
from poise.export.plans.description import describe, input_of
from poise.export.plans.plan import Arrays, FromPixels, Plan, made_pixels
from poise.models.heads.dense import boxes_of, flatten, keypoints_of, points_of

__all__ = ["one_stage_plan", "side_by_side"]

OUTPUTS = ("boxes", "scores", "keypoints", "keypoint_scores")
#: Points of which a file with fixed shapes computes keypoints, where nobody says how many.
CANDIDATES = 300
#: Fewest points that RTMO computes keypoints of.
LEAST = 8


class _RTMO(FromPixels):
    """RTMO: keypoints of the points that are people.

    Its classifier takes as long for 300 points as half of the network, hence only those points go
    through it that could be people: as many as the picture of the batch with the most of them has.

    Args:
        model: estimator.
        threshold: score above which a point could be a person.
        candidates: a fixed number of points instead, for runtimes that know fixed shapes only.
    """

    def __init__(self, model: Any, threshold: float, candidates: int | None) -> None:
        super().__init__(model)
        self.threshold, self.candidates = threshold, candidates

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) -> boxes (B, N, 4), scores (B, N), keypoints (B, N, K, 2), theirs."""
        head = self.model.head
        maps = head.forward(self.features(pixels))
        logits, raw, visible, poses = (flatten(maps[i]) for i in (0, 1, 3, 4))
        points = points_of(head.prior_generator, maps[0])
        places = points[:, :2]
        boxes = head.decode_bbox(raw, places, points[:, -1])
        scores, index = self._best(logits.sigmoid().amax(-1))
        boxes, visible, poses = (_rows(values, index) for values in (boxes, visible, poses))
        # its norms take one axis of people
        rows = (poses, head._centers_scales(boxes), places[index])
        keypoints = head.dcc.forward_test(*(values.flatten(0, 1) for values in rows))
        shape = (-1, index.shape[1], *keypoints.shape[1:])
        return boxes, scores, keypoints.reshape(shape), visible.sigmoid()

    def _best(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, N) and points (B, N) of the best of (B, P)."""
        if self.candidates is not None:
            values, index = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
            return values, index
        count = (scores > self.threshold).sum(1).amax().clamp(min=LEAST)
        # a number that follows from the picture, which the tracing keeps as such
        values, index = scores.topk(count, dim=1)  # type: ignore[arg-type]
        return values, index


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Rows (B, N, C) of (B, P, C)."""
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


class _YOLOXPose(FromPixels):
    """YOLOX-Pose, MMPose's or MMYOLO's: every point with its keypoints."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) -> boxes (B, P, 4), scores (B, P), keypoints (B, P, K, 2), theirs."""
        head = self.model.head if hasattr(self.model, "head") else self.model.bbox_head
        maps = head(self.features(pixels))
        logits, objectness, raw, offsets, visible = map(flatten, _in_order(self.model, maps))
        points = points_of(head.prior_generator, maps[0])
        places, strides = points[:, :2], points[:, 2:]
        scores = (logits.sigmoid() * objectness.sigmoid()).amax(-1)
        keypoints = keypoints_of(offsets, places, strides)
        return boxes_of(raw, places, strides), scores, keypoints, visible.sigmoid()


def _in_order(model: Any, maps: Any) -> tuple[Any, ...]:
    """Logits, objectness, boxes, offsets and visibilities: MMYOLO has boxes before objectness."""
    if hasattr(model, "head"):
        return tuple(maps)
    logits, raw, objectness, offsets, visible = maps
    return logits, objectness, raw, offsets, visible


def one_stage_plan(model: Any, *, candidates: int | None = None) -> Plan:
    """How a one-stage model is written.

    Input: whole pictures (B, H, W, 3) uint8 BGR, fitted into the input size by the pipeline in
    the metadata; that size is fixed. Outputs: boxes xyxy and keypoints in input space, scores
    0..1; before the suppression of doubles, whose limits are in the metadata (`select`).

    Args:
        model: `BottomupPoseEstimator` with the head of RTMO or YOLOX-Pose, or `YOLODetector`; the
            plan keeps it, and changes its `test_cfg`.
        candidates: of RTMO: a fixed number of points, best first, in place of those whose
            score is above the model's threshold.

    Raises:
        ConfigError: pictures of no fixed size, or several classes.
    """
    from poise.models.heads import RTMOHead

    head = model.head if hasattr(model, "head") else model.bbox_head
    if head.num_classes != 1:
        raise ConfigError(f"one-stage models of one class are exported, not {head.num_classes}")
    width, height, padding = input_of(model.cfg)
    # for parts that keep what depends on it
    model.test_cfg = {**(model.test_cfg or {}), "input_size": (height, width)}
    select = _select(model)
    describing: dict[str, Any] = {"input_size": (width, height), "padding": padding}
    axes: dict[int, str] = {}
    if isinstance(head, RTMOHead):
        network: FromPixels = _RTMO(model, select["score_threshold"], candidates)
        axes = {} if candidates else {1: "candidates"}
        describing["candidates"] = candidates
    else:
        network = _YOLOXPose(model)
    return Plan(
        network.eval(),
        made_pixels(width, height),
        describe(model, "people", select=select, **describing),
        OUTPUTS,
        free_outputs=dict.fromkeys(OUTPUTS, axes),
        model=model,
        comparable=side_by_side if isinstance(network, _RTMO) else None,
    )


def side_by_side(found: Arrays, expected: Arrays) -> tuple[Arrays, Arrays]:
    """The better half of the network's points, each beside the nearest one of the file.

    Points come best first, so two of nearly the same score may change places, and the last ones
    be others.

    Args:
        found, expected: outputs of the file and of the network: boxes (B, N, 4), scores (B, N) or
            (B, N, C), and others (B, N, ...).
    """
    count = max(expected[1].shape[1] // 2, 1)
    sure = np.zeros(expected[1].shape[:2], bool)
    sure[:, :count] = True
    pictures, rows = np.nonzero(sure)
    nearest = np.empty(len(rows), int)
    for i in range(len(sure)):
        own = expected[0][i, sure[i]]
        with np.errstate(invalid="ignore"):
            sides = np.abs(own[:, None] - found[0][i])
        # made-up weights give infinite boxes
        apart = np.where(own[:, None] == found[0][i], 0, sides).sum(-1)
        # of points with the same box the one with the same score
        scores = [values[i].reshape(values.shape[1], -1) for values in (expected[1], found[1])]
        apart += np.abs(scores[0][sure[i], None] - scores[1]).sum(-1)
        nearest[pictures == i] = apart.argmin(1)
    return [f[pictures, nearest] for f in found], [e[pictures, rows] for e in expected]


def _select(model: Any) -> dict[str, Any]:
    """Which points are people: as the heads' own `predict` says, in plain numbers.

    The keys: `score_threshold` (above it), `candidates` (best so many), `iou_threshold` (more
    overlap than this is a double; None keeps all), `max_people`, `in_image` (measured in the
    picture, not in the input).
    """
    cfg: Mapping[str, Any] = model.test_cfg or {}
    if hasattr(model, "head"):
        overlap = cfg.get("nms_thr", 1.0)
        return {
            "score_threshold": cfg.get("score_thr", 0.01),
            "candidates": cfg.get("nms_pre", 100000),
            "iou_threshold": overlap if overlap < 1 else None,
            "max_people": None,
            "in_image": False,
        }
    nms = cfg.get("nms")
    most = -1 if cfg.get("yolox_style", False) else cfg.get("max_per_img", -1)
    return {
        "score_threshold": cfg.get("score_thr", -1),
        "candidates": cfg.get("nms_pre", 100000),
        "iou_threshold": nms.get("iou_threshold", 0.5) if nms else None,
        "max_people": most if most >= 0 else None,
        "in_image": True,
    }
