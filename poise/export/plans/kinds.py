"""Which models can be exported, and how each kind is."""

from __future__ import annotations

import copy
from typing import Any

from poise.errors import ConfigError
from poise.export.plans.bottom_up import bottom_up_plan
from poise.export.plans.detectors import detector_plan
from poise.export.plans.lifter import lifter_plan
from poise.export.plans.nanodet import nanodet_plan
from poise.export.plans.one_stage import one_stage_plan
from poise.export.plans.plan import Plan
from poise.export.plans.rf_detr import rf_detr_plan
from poise.export.plans.topdown import topdown_3d_plan, topdown_plan

__all__ = ["plan_of"]


def plan_of(model: Any, *, candidates: int | None = None) -> Plan:
    """How a model is written.

    Args:
        model: an estimator with `cfg` and `dataset_meta`, which is copied, not changed; or
            `NanoDetDetector`.
        candidates: see `poise.export.plans.one_stage.one_stage_plan`.

    Raises:
        ConfigError: a model that cannot be exported; the text says why.
    """
    from poise.inference.detectors import NanoDetDetector
    from poise.models.detectors import Detector, YOLODetector
    from poise.models.estimators import (
        BottomupPoseEstimator,
        PoseLifter,
        TopdownPoseEstimator,
        TopdownPoseEstimator3D,
    )
    from poise.models.heads import InternetHead, RFDETRHead, YOLOXPoseHead

    if isinstance(model, NanoDetDetector):
        return nanodet_plan(model)
    twin = copy.deepcopy(model).cpu().eval()
    head = getattr(twin, "head", None)
    if isinstance(head, YOLOXPoseHead) or isinstance(twin, YOLODetector):
        return one_stage_plan(twin, candidates=candidates)
    if isinstance(head, RFDETRHead):
        return rf_detr_plan(twin)
    if isinstance(twin, Detector):
        return detector_plan(twin)
    if isinstance(twin, PoseLifter):
        return lifter_plan(twin)
    if isinstance(head, InternetHead) or type(twin) is TopdownPoseEstimator3D:
        return topdown_3d_plan(twin)
    if type(twin) is TopdownPoseEstimator:
        return topdown_plan(twin)
    if isinstance(twin, BottomupPoseEstimator):
        return bottom_up_plan(twin)
    raise ConfigError(f"a {type(model).__name__} is not exported; run it with backend='torch'")
