"""Heads that regress coordinates from pooled features: DeepPose and RLE."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ConfigError
from poise.models.flip import unflip_coordinates
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.defaults import COORDINATE_LOSS, LINEAR_INIT, RLE_LOSS
from poise.models.heads.targets import coordinate_accuracy, labels
from poise.models.renames import rename_old_keys
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["RLEHead", "RegressionHead"]


@MODELS.register_module()
class RegressionHead(BaseHead):
    """One linear layer from features to normalised coordinates.

    Toshev 2014, "DeepPose", arXiv 1312.4659.

    Args:
        in_channels: channels of the pooled feature.
        num_joints: number of keypoints.
        loss: config or module.
        decoder: codec or its config.
    """

    _version = 2
    default_init_cfg = LINEAR_INIT
    unflip = staticmethod(unflip_coordinates)

    #: numbers a keypoint
    _outputs = 2

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_joints: int,
        loss: Any = COORDINATE_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.num_joints = num_joints
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        self.fc = nn.Linear(in_channels, num_joints * self._outputs)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Coordinates (B, K, 2) in 0..1 of the last feature (B, C), or (B, C, 1, 1).

        Raises:
            ConfigError: a map that nothing has pooled.
        """
        x = last_map(feats)
        if x.shape[1] == self.in_channels and math.prod(x.shape[2:]) != 1:
            raise ConfigError(
                f"{type(self).__name__} takes features without height and width, got "
                f"{tuple(x.shape)}; put GlobalAveragePooling before it: "
                "neck=dict(type='GlobalAveragePooling')"
            )
        return self.fc(x.flatten(1)).unflatten(1, (self.num_joints, -1))

    def decode(self, batch_outputs: Tensor) -> list[InstanceData]:
        """Keypoints of outputs (B, K, D), one instance a sample, or (B, N, K, D)."""
        if batch_outputs.ndim == 3:
            batch_outputs = batch_outputs.unsqueeze(1)
        return super().decode(batch_outputs)

    def require_covariances(self) -> None:
        """Coordinates alone do not tell; see `BaseHead.require_covariances`.

        Raises:
            ConfigError: always, but for heads that predict sigmas.
        """
        if self._outputs == RegressionHead._outputs:
            raise ConfigError(
                f"{type(self).__name__} has no covariances: it predicts coordinates alone. Heads "
                "that predict sigmas beside them (RLEHead), or that integrate heatmaps, have"
            )
        super().require_covariances()

    def pred_fields(self, outputs: Tensor, preds: list[InstanceData]) -> None:
        """No maps: coordinates come from none."""

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt` and `acc_pose`.

        Raises:
            DataError: the targets are of another number of keypoints.
        """
        outputs = self.forward(feats)
        targets = labels(batch_data_samples, "keypoint_labels")
        weights = labels(batch_data_samples, "keypoint_weights")
        self.check_targets(outputs[..., :2], targets, batch_data_samples)
        return {
            "loss_kpt": self._regression_loss(outputs, targets, weights.unsqueeze(-1)),
            "acc_pose": coordinate_accuracy(outputs[..., :2], targets, weights),
        }

    def _regression_loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return self.loss_module(outputs, targets, weights)


@MODELS.register_module()
class RLEHead(RegressionHead):
    """Coordinates and their standard deviations, trained by their likelihood.

    Li 2021, "Human Pose Regression with Residual Log-likelihood Estimation".

    Takes the arguments of `RegressionHead`; `loss` is called with coordinates, sigmas, targets and
    weights.
    """

    _outputs = 4

    @options_of(RegressionHead, positional=True, loss=RLE_LOSS)
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # 0.x called the loss `loss`, and its flow has weights
        rename_old_keys(self, [(r"loss\.", "loss_module.")])

    def test_forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Coordinates and standard deviations (B, K, 4)."""
        outputs = self.forward(feats)
        return torch.cat((outputs[..., :2], outputs[..., 2:].sigmoid()), dim=-1)

    def _regression_loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return self.loss_module(outputs[..., :2], outputs[..., 2:4], targets, weights)
