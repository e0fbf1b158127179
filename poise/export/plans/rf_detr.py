"""RF-DETR's keypoint models: everything up to the choice of who is shown in the file."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert

from poise.errors import ConfigError
from poise.export.plans.description import describe, input_of
from poise.export.plans.one_stage import OUTPUTS, side_by_side
from poise.export.plans.plan import FromPixels, Plan, made_pixels
from poise.models.heads.rf_detr.people import log_mean_trace, with_doubt

__all__ = ["rf_detr_plan"]


class _RFDETR(FromPixels):
    """The best queries, as `best_people` has them; those of other classes have a score of 0.

    Args:
        model: estimator.
        size: width and height of the input in pixels.
    """

    def __init__(self, model: Any, size: tuple[int, int]) -> None:
        super().__init__(model)
        self.size = size
        cfg = model.test_cfg or {}
        self.count = min(cfg.get("num_select", 100), model.head.num_queries)
        self.alpha = cfg.get("trace_alpha", 0.2)
        self.label = int(model.head.keypoint_classes[0])

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) -> boxes (B, N, 4), scores (B, N), keypoints (B, N, K, 2), theirs."""
        logits, boxes, points = self.model.head.forward(self.features(pixels))
        # another class may leave less room for people, as it does in the model itself
        classes = logits.shape[2]
        scores, index = logits.sigmoid().flatten(1).topk(self.count, dim=1)
        query = torch.div(index, classes, rounding_mode="floor")
        ours = index - query * classes == self.label
        boxes = boxes.gather(1, query.unsqueeze(-1).expand(-1, -1, 4))
        rows = points.flatten(2)
        rows = rows.gather(1, query.unsqueeze(-1).expand(-1, -1, rows.shape[2]))
        points = rows.unflatten(2, points.shape[2:])
        if self.alpha > 0:
            scores = with_doubt(scores, log_mean_trace(points), self.alpha)
        corners = box_convert(boxes, "cxcywh", "xyxy")
        size = points.new_tensor(self.size)
        keypoints = points[..., :2] * size
        return corners * size.tile(2), scores * ours, keypoints, points[..., 2].sigmoid()


def rf_detr_plan(model: Any) -> Plan:
    """How a network is written.

    Input: pictures (B, H, W, 3) float32 BGR, 0..255, stretched to the input's size, which is fixed.
    Outputs: as of `one_stage_plan`; nobody is found twice. Who is shown is in the metadata.

    Args:
        model: `BottomupPoseEstimator` with an `RFDETRHead`; the plan keeps it.

    Raises:
        ConfigError: pictures of no fixed size, or several classes with keypoints.
    """
    if len(model.head.keypoint_classes.unique()) > 1:
        raise ConfigError("RF-DETR is exported with keypoints of one class, this one has several")
    width, height, _ = input_of(model.cfg)
    cfg = model.test_cfg or {}
    select = {
        "score_threshold": (cfg | cfg.get("shown", {})).get("score_thr", 0.0),
        "candidates": 100000,
        "iou_threshold": None,
        "max_people": None,
        "in_image": False,
    }
    more = {"input_size": (width, height), "padding": 0, "candidates": None}
    return Plan(
        _RFDETR(model, (width, height)).eval(),
        made_pixels(width, height).float(),
        describe(model, "people", select=select, **more),
        OUTPUTS,
        model=model,
        comparable=side_by_side,
    )
