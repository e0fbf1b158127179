"""Losses and start values that heads take unless a config says otherwise."""

from __future__ import annotations

from typing import Any

__all__ = [
    "COORDINATE_LOSS",
    "DSNT_LOSS",
    "HEATMAP_INIT",
    "HEATMAP_LOSS",
    "LIFTING_LOSS",
    "LINEAR_INIT",
    "RLE_LOSS",
    "SIMCC_LOSS",
    "TRAJECTORY_LOSS",
    "VISIBILITY_LOSS",
]

HEATMAP_LOSS: dict[str, Any] = {"type": "KeypointMSELoss", "use_target_weight": True}
COORDINATE_LOSS: dict[str, Any] = {"type": "SmoothL1Loss", "use_target_weight": True}
RLE_LOSS: dict[str, Any] = {"type": "RLELoss", "use_target_weight": True}
SIMCC_LOSS: dict[str, Any] = {"type": "KLDiscretLoss", "use_target_weight": True}
LIFTING_LOSS: dict[str, Any] = {"type": "MSELoss", "use_target_weight": True}
TRAJECTORY_LOSS: dict[str, Any] = {"type": "MPJPELoss", "use_target_weight": True}
VISIBILITY_LOSS: dict[str, Any] = {
    "type": "BCELoss",
    "use_target_weight": False,
    "use_sigmoid": True,
}
DSNT_LOSS: dict[str, Any] = {
    "type": "MultipleLossWrapper",
    "losses": [COORDINATE_LOSS, {"type": "JSDiscretLoss", "use_target_weight": True}],
}

#: how the weights of heads with deconvolutions start
HEATMAP_INIT: list[dict[str, Any]] = [
    {"type": "Normal", "layer": ["Conv2d", "ConvTranspose2d"], "std": 0.001},
    {"type": "Constant", "layer": "BatchNorm2d", "val": 1},
]

#: how the weights of linear layers start
LINEAR_INIT: list[dict[str, Any]] = [
    {"type": "Normal", "layer": ["Linear"], "std": 0.01, "bias": 0},
]
