"""Multi-stage, multi-unit heatmap head of MSPN and RSN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import ConvModule, DepthwiseSeparableConvModule
from poise.models.flip import unflip_heatmaps
from poise.models.heads.base import BaseHead
from poise.models.heads.defaults import HEATMAP_LOSS
from poise.models.heads.staged import build_losses, check_count, loss_of
from poise.models.heads.targets import heatmap_accuracy
from poise.registry import MODELS

__all__ = ["PRM", "MSPNHead", "PredictHeatmap"]


class PRM(nn.Module):
    """Pose refine machine: heatmaps weighted by attention over channels and pixels.

    Cai 2020, "Learning Delicate Local Representations", section 3.3, arXiv 2003.04030.

    Args:
        out_channels: number of keypoints.
        norm_cfg: norm of the convolutions.
    """

    def __init__(self, out_channels: int, norm_cfg: Mapping[str, Any] = {"type": "BN"}) -> None:
        super().__init__()
        k = out_channels
        self.out_channels = k
        shared: dict[str, Any] = {"norm_cfg": dict(norm_cfg), "inplace": False}
        self.global_pooling = nn.AdaptiveAvgPool2d((1, 1))
        # channel attention; a norm and a ReLU stand between the last layer and the sigmoid
        self.middle_path = nn.Sequential(
            *(nn.Linear(k, k), nn.BatchNorm1d(k), nn.ReLU()),
            *(nn.Linear(k, k), nn.BatchNorm1d(k), nn.ReLU()),
            nn.Sigmoid(),
        )
        # pixel attention, one map for all keypoints
        self.bottom_path = nn.Sequential(
            ConvModule(k, k, kernel_size=1, **shared),
            DepthwiseSeparableConvModule(k, 1, kernel_size=9, padding=4, **shared),
            nn.Sigmoid(),
        )
        self.conv_bn_relu_prm_1 = ConvModule(k, k, kernel_size=3, padding=1, **shared)

    def forward(self, x: Tensor) -> Tensor:
        """Refined heatmaps (B, K, H, W)."""
        x = self.conv_bn_relu_prm_1(x)
        channels = self.middle_path(self.global_pooling(x).flatten(1))[..., None, None]
        return x * (1 + channels * self.bottom_path(x))


class PredictHeatmap(nn.Module):
    """Heatmaps of one unit's features.

    Args:
        unit_channels: channels of the features.
        out_channels: number of keypoints.
        out_shape: (height, width) of the heatmaps.
        use_prm: refine them by `PRM`.
        norm_cfg: norm of the convolutions.
    """

    def __init__(
        self,
        unit_channels: int,
        out_channels: int,
        out_shape: Sequence[int],
        use_prm: bool = False,
        norm_cfg: Mapping[str, Any] = {"type": "BN"},
    ) -> None:
        super().__init__()
        self.unit_channels = unit_channels
        self.out_channels = out_channels
        self.out_shape = tuple(out_shape)
        self.use_prm = use_prm
        if use_prm:
            self.prm = PRM(out_channels, norm_cfg)
        shared: dict[str, Any] = {"norm_cfg": dict(norm_cfg), "inplace": False}
        self.conv_layers = nn.Sequential(
            ConvModule(unit_channels, unit_channels, kernel_size=1, **shared),
            ConvModule(
                unit_channels, out_channels, kernel_size=3, padding=1, act_cfg=None, **shared
            ),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Heatmaps (B, K, H, W) of features (B, C, h, w)."""
        heatmaps = F.interpolate(
            self.conv_layers(feature), size=self.out_shape, mode="bilinear", align_corners=True
        )
        return self.prm(heatmaps) if self.use_prm else heatmaps


@MODELS.register_module()
class MSPNHead(BaseHead):
    """One predictor for every unit (scale) of every stage.

    All are supervised, coarse units with wider Gaussians; the last one answers (Li 2019,
    "Rethinking on Multi-Stage Networks", arXiv 1901.00148).

    Args:
        num_stages: stages of the backbone.
        num_units: units of a stage.
        out_shape: (height, width) of the heatmaps.
        unit_channels: channels of each feature map.
        out_channels: number of keypoints.
        use_prm: refine the heatmaps by `PRM`.
        norm_cfg: norm of the convolutions.
        level_indices: for every predictor which of the encoded target levels it learns.
        loss: config or module, or a list with one for each predictor.
        decoder: codec or its config.

    Raises:
        ConfigError: lists of the wrong length.
    """

    _version = 2
    default_init_cfg = [
        {"type": "Kaiming", "layer": "Conv2d"},
        {"type": "Normal", "layer": "Linear", "std": 0.01},
        {"type": "Constant", "layer": "BatchNorm2d", "val": 1},
    ]
    unflip = staticmethod(unflip_heatmaps)

    def __init__(
        self,
        num_stages: int = 4,
        num_units: int = 4,
        out_shape: Sequence[int] = (64, 48),
        unit_channels: int = 256,
        out_channels: int = 17,
        use_prm: bool = False,
        norm_cfg: Mapping[str, Any] = {"type": "BN"},
        level_indices: Sequence[int] = (),
        loss: Any = HEATMAP_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_stages = num_stages
        self.num_units = num_units
        self.out_shape = tuple(out_shape)
        self.unit_channels = unit_channels
        self.out_channels = out_channels
        self.level_indices = list(level_indices)
        count = num_stages * num_units
        if len(level_indices) != count:
            raise ConfigError(
                f"MSPNHead: the length of `level_indices` ({len(level_indices)}) does not match "
                f"num_stages * num_units ({num_stages} * {num_units})"
            )
        self.loss_module = build_losses(self, loss, count, "num_stages * num_units")
        self.decoder = self.build_decoder(decoder)
        self.predict_layers = nn.ModuleList(
            PredictHeatmap(unit_channels, out_channels, out_shape, use_prm, norm_cfg)
            for _ in range(count)
        )

    def forward(self, feats: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Heatmaps (B, K, H, W) of each unit of each stage.

        Args:
            feats: `num_stages` lists of `num_units` feature maps.

        Raises:
            ConfigError: another number of stages, units or channels.
        """
        check_count(self, feats, self.num_stages, "num_stages")
        for units in feats:
            # a map alone is the only unit of its stage
            own = [units] if isinstance(units, Tensor) else units
            check_count(self, own, self.num_units, "num_units")
        flat = [unit for units in feats for unit in units]
        for unit in flat:
            if unit.shape[1] != self.unit_channels:
                raise ConfigError(
                    f"MSPNHead: unit_channels is {self.unit_channels}, but the backbone gives "
                    f"{unit.shape[1]} channels; set both to the same number"
                )
        return [layer(unit) for layer, unit in zip(self.predict_layers, flat, strict=True)]

    def test_forward(self, feats: Sequence[Sequence[Tensor]]) -> Tensor:
        """Heatmaps of the last unit of the last stage."""
        return self.forward(feats)[-1]

    def loss(
        self,
        feats: Sequence[Sequence[Tensor]],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt`, summed over all units, and `acc_pose` of the last one."""
        outputs = self.forward(feats)
        weights = torch.cat(
            [s.gt_instance_labels.keypoint_weights for s in batch_data_samples], dim=1
        ).transpose(0, 1)  # B, levels, K
        levels = {
            level: torch.stack([s.gt_fields[level].heatmaps for s in batch_data_samples])
            for level in set(self.level_indices)
        }
        targets = levels[self.level_indices[-1]]
        self.check_targets(outputs[-1], targets, batch_data_samples)
        loss = sum(
            loss_of(self.loss_module, i)(heatmaps, levels[level], weights[:, level])
            for i, (heatmaps, level) in enumerate(zip(outputs, self.level_indices, strict=True))
        )
        accuracy = heatmap_accuracy(outputs[-1], targets, weights[:, -1])
        return {"loss_kpt": loss, "acc_pose": accuracy}
