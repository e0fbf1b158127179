"""Targets of a batch, and how far the predictions are from them while training runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poise._arrays import as_numpy
from poise.errors import ConfigError
from poise.metrics.functional import (
    keypoint_pck_accuracy,
    pose_pck_accuracy,
    simcc_pck_accuracy,
)

__all__ = [
    "coordinate_accuracy",
    "heatmap_accuracy",
    "heatmap_mask",
    "labels",
    "simcc_accuracy",
    "stacked_fields",
]

#: share of the picture within which a predicted coordinate counts as right
COORDINATE_THRESHOLD = 0.05


def labels(batch_data_samples: Sequence[Any], name: str) -> Tensor:
    """`gt_instance_labels.name` of all samples, joined along the instances."""
    return torch.cat([getattr(s.gt_instance_labels, name) for s in batch_data_samples])


def stacked_fields(batch_data_samples: Sequence[Any], name: str = "heatmaps") -> Tensor:
    """`gt_fields.name` of all samples, (B, ...)."""
    return torch.stack([getattr(s.gt_fields, name) for s in batch_data_samples])


def heatmap_mask(batch_data_samples: Sequence[Any]) -> Tensor | None:
    """Where heatmaps count, (B, ...); None where the pipeline made no mask."""
    if "heatmap_mask" not in batch_data_samples[0].gt_fields:
        return None
    return stacked_fields(batch_data_samples, "heatmap_mask")


def heatmap_accuracy(output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """PCK of heatmaps (B, K, H, W): how many maxima are near the wanted ones.

    Raises:
        ConfigError: several maps a keypoint, as of combined UDP targets, whose maxima are no
            keypoints.
    """
    if output.shape[1] != weights.shape[1]:
        raise ConfigError(
            f"the accuracy in training compares the maxima of {output.shape[1]} maps, but there "
            f"are {weights.shape[1]} keypoints: targets with several maps a keypoint, such as "
            "UDPHeatmap(heatmap_type='combined'), have none. Set "
            "model.train_cfg=dict(compute_acc=False)"
        )
    _, accuracy, _ = pose_pck_accuracy(
        output=as_numpy(output), target=as_numpy(target), mask=as_numpy(weights) > 0
    )
    return torch.tensor(accuracy, device=target.device)


def coordinate_accuracy(output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """PCK of coordinates (B, K, D) that are normalised to 0..1."""
    _, accuracy, _ = keypoint_pck_accuracy(
        pred=as_numpy(output),
        gt=as_numpy(target),
        mask=as_numpy(weights) > 0,
        thr=COORDINATE_THRESHOLD,
        norm_factor=np.ones((len(output), output.shape[-1]), dtype=np.float32),
    )
    return torch.tensor(accuracy, device=target.device)


def simcc_accuracy(
    output: Sequence[Tensor], target: Sequence[Tensor], split_ratio: float, weights: Tensor
) -> Tensor:
    """PCK of distributions over x and y bins."""
    _, accuracy, _ = simcc_pck_accuracy(
        output=tuple(as_numpy(o) for o in output),
        target=tuple(as_numpy(t) for t in target),
        simcc_split_ratio=split_ratio,
        mask=as_numpy(weights) > 0,
    )
    return torch.tensor(accuracy, device=weights.device)
