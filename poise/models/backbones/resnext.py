"""ResNeXt: bottlenecks with grouped convolutions (Xie 2017, arXiv 1611.05431)."""

from __future__ import annotations

from typing import Any

from poise.layers.residual import Bottleneck
from poise.models.backbones.resnet import Depths, DetectionResNet, ResNet
from poise.registry import MODELS

__all__ = ["ResNeXt"]


@MODELS.register_module()
class ResNeXt(ResNet):
    """ResNet with grouped bottlenecks: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50, 101 or 152.
        groups: groups of the 3 x 3 convolutions.
        width_per_group: channels of a group in the first stage.
        **kwargs: as `ResNet`.
    """

    arch_settings: Depths = {
        depth: (Bottleneck, blocks)
        for depth, (_, blocks) in ResNet.arch_settings.items()
        if depth >= 50
    }

    def __init__(
        self, depth: int, groups: int = 32, width_per_group: int = 4, **kwargs: Any
    ) -> None:
        options = {
            "groups": groups,
            "width_per_group": width_per_group,
            "base_channels": kwargs.get("base_channels", 64),
        }
        super().__init__(depth, block_options=options, **kwargs)
        self.groups, self.width_per_group = groups, width_per_group


@MODELS.register_module(name="ResNeXt", scope="mmdet")
class DetectionResNeXt(DetectionResNet):
    """ResNeXt with the defaults and the names of MMDetection.

    Args:
        groups: groups of the 3 x 3 convolutions.
        base_width: channels of a group in the first stage.
        **kwargs: as `DetectionResNet`; `depth` is 50, 101 or 152.
    """

    arch_settings: Depths = ResNeXt.arch_settings

    def __init__(self, groups: int = 1, base_width: int = 4, **kwargs: Any) -> None:
        options = {
            "groups": groups,
            "width_per_group": base_width,
            "base_channels": kwargs.get("base_channels", 64),
        }
        super().__init__(block_options=options, **kwargs)
        self.groups, self.base_width = groups, base_width
