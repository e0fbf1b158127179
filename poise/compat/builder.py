"""Parts of models by their config: old names of one registry."""

from __future__ import annotations

from typing import Any

from torch import nn

from poise.models.build import build_model
from poise.registry import MODELS, Registry

__all__ = [
    "BACKBONES",
    "HEADS",
    "LOSSES",
    "NECKS",
    "POSE_ESTIMATORS",
    "build_backbone",
    "build_from_cfg",
    "build_head",
    "build_loss",
    "build_neck",
    "build_pose_estimator",
    "build_posenet",
]

BACKBONES = NECKS = HEADS = LOSSES = POSE_ESTIMATORS = MODELS

build_backbone = build_neck = build_head = build_loss = MODELS.build


def build_pose_estimator(cfg: Any) -> nn.Module:
    """Model of a model config; see `poise.build_model`."""
    return build_model(cfg)


build_posenet = build_pose_estimator


def build_from_cfg(cfg: Any, registry: Registry, default_args: Any = None) -> Any:
    """Object of a config dict; see `Registry.build`."""
    return registry.build(cfg, default_args)
