"""VGG and AlexNet (Simonyan 2015, arXiv 1409.1556; Krizhevsky 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError, DataError, UnknownNameError
from poise.layers import ConvModule, MaxPool2d
from poise.models.backbones.base import BaseBackbone, freeze
from poise.registry import MODELS

__all__ = ["VGG", "AlexNet"]

Config = Mapping[str, Any]

HIDDEN = 4096

#: side in pixels of which AlexNet's strides and windows leave one pixel
SMALLEST_PICTURE = 63


@MODELS.register_module()
class VGG(BaseBackbone):
    """Stages of 3 x 3 convolutions: (B, 3, H, W) -> maps at strides 2 to 32.

    Args:
        depth: 11, 13, 16 or 19.
        num_classes: classes of the classifier after it; without one if not positive.
        num_stages: 1 to 5.
        dilations: of each stage.
        out_indices: stages whose maps are returned, from 0; None takes the last.
        frozen_stages: stages without training; -1 or 0 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.
        norm_eval: keep batch norms on their running statistics in training.
        ceil_mode: of the pooling.
        with_last_pool: pool after the last stage.
        init_cfg: how weights start.

    Raises:
        UnknownNameError: no network of this depth.
        ConfigError: stages, dilations and indices do not fit together.
    """

    #: depth -> convolutions of each stage
    arch_settings = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    stage_channels = (64, 128, 256, 512, 512)

    def __init__(
        self,
        depth: int,
        num_classes: int = -1,
        num_stages: int = 5,
        dilations: Sequence[int] = (1, 1, 1, 1, 1),
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config = {"type": "ReLU"},  # noqa: B006 (never changed)
        norm_eval: bool = False,
        ceil_mode: bool = False,
        with_last_pool: bool = True,
        init_cfg: Any = [  # noqa: B006 (never changed)
            {"type": "Kaiming", "layer": ["Conv2d"]},
            {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
            {"type": "Normal", "std": 0.01, "layer": ["Linear"]},
        ],
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            raise UnknownNameError(f"invalid depth {depth} for VGG; {list(self.arch_settings)}")
        if not 1 <= num_stages <= 5 or len(dilations) != num_stages:
            raise ConfigError(
                f"num_stages must be 1 to 5 with a dilation each, got {num_stages} and {dilations}"
            )
        if out_indices is None:
            out_indices = (5,) if num_classes > 0 else (4,)
        if max(out_indices) > num_stages:
            raise ConfigError(f"out_indices {out_indices} exceed num_stages={num_stages}")
        self.num_classes, self.out_indices = num_classes, out_indices
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.stage_blocks = self.arch_settings[depth][:num_stages]
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        layers: list[nn.Module] = []
        #: first layer and first layer after, of each stage
        self.range_sub_modules: list[list[int]] = []
        channels = 3
        shapes = zip(self.stage_blocks, self.stage_channels, dilations, strict=False)
        for count, out, dilation in shapes:
            start = len(layers)
            for _ in range(count):
                spacing = {"padding": dilation, "dilation": dilation}
                layers.append(ConvModule(channels, out, 3, bias=True, **spacing, **cfgs))
                channels = out
            layers.append(MaxPool2d(2, 2, ceil_mode=ceil_mode))
            self.range_sub_modules.append([start, len(layers)])
        if not with_last_pool:
            layers.pop()
            self.range_sub_modules[-1][1] -= 1
        self.features = nn.Sequential(*layers)
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, HIDDEN),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(HIDDEN, num_classes),
            )

    def _freeze_stages(self) -> None:
        for start, end in self.range_sub_modules[: max(self.frozen_stages, 0)]:
            freeze(self.features[start:end])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`, and class scores if there are any."""
        outs = []
        for i, (start, end) in enumerate(self.range_sub_modules):
            x = self.features[start:end](x)
            if i in self.out_indices:
                outs.append(x)
        if self.num_classes > 0:
            outs.append(self.classifier(x.flatten(1)))
        return tuple(outs)


@MODELS.register_module()
class AlexNet(BaseBackbone):
    """The network that began it: (B, 3, H, W) -> one map at stride 32.

    Args:
        num_classes: classes of the classifier after it; without one if not positive.
        init_cfg: how weights start.
    """

    def __init__(self, num_classes: int = -1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes

        def conv(before: int, after: int, kernel: int, **shape: Any) -> list[nn.Module]:
            return [nn.Conv2d(before, after, kernel, **shape), nn.ReLU(inplace=True)]

        self.features = nn.Sequential(
            *conv(3, 64, 11, stride=4, padding=2),
            MaxPool2d(3, 2),
            *conv(64, 192, 5, padding=2),
            MaxPool2d(3, 2),
            *conv(192, 384, 3, padding=1),
            *conv(384, 256, 3, padding=1),
            *conv(256, 256, 3, padding=1),
            MaxPool2d(3, 2),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Dropout(),
                nn.Linear(256 * 6 * 6, HIDDEN),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(inplace=True),
                nn.Linear(HIDDEN, num_classes),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> ((B, 256, H / 32, W / 32),), or class scores.

        Raises:
            DataError: a picture of which nothing is left.
        """
        if not torch.jit.is_tracing() and min(x.shape[2:]) < SMALLEST_PICTURE:
            raise DataError(
                f"AlexNet takes pictures of {SMALLEST_PICTURE} pixels or more a side, got "
                f"{tuple(x.shape[2:])} (height, width)"
            )
        x = self.features(x)
        return (self.classifier(x.flatten(1)) if self.num_classes > 0 else x,)
