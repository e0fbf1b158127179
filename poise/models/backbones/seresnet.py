"""SE-ResNet and SE-ResNeXt: channels weighted in every block (Hu 2018, arXiv 1709.01507)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from poise.layers import SELayer
from poise.layers.residual import Bottleneck
from poise.models.backbones.resnet import Depths, ResNet
from poise.models.backbones.resnext import ResNeXt
from poise.registry import MODELS

__all__ = ["SEResNeXt", "SEResNet"]


class SEBottleneck(Bottleneck):
    """Bottleneck with squeeze and excitation before the sum.

    Args:
        in_channels, out_channels: as `Bottleneck`.
        se_ratio: channels relative to the middle of the `SELayer`.
        *args, **kwargs: as `Bottleneck`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *args: Any, se_ratio: int = 16, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, *args, **kwargs)
        self.se_layer = SELayer(out_channels, ratio=se_ratio)

    def _branch(self, x: Tensor) -> Tensor:
        return self.se_layer(super()._branch(x))


_DEPTHS: Depths = {
    depth: (SEBottleneck, blocks)
    for depth, (_, blocks) in ResNet.arch_settings.items()
    if depth >= 50
}


@MODELS.register_module()
class SEResNet(ResNet):
    """ResNet with squeeze and excitation: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50, 101 or 152.
        se_ratio: of the `SELayer` in every block.
        **kwargs: as `ResNet`.
    """

    arch_settings = _DEPTHS

    def __init__(self, depth: int, se_ratio: int = 16, **kwargs: Any) -> None:
        super().__init__(depth, block_options={"se_ratio": se_ratio}, **kwargs)
        self.se_ratio = se_ratio


@MODELS.register_module()
class SEResNeXt(ResNeXt):
    """ResNeXt with squeeze and excitation: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50, 101 or 152.
        groups: groups of the 3 x 3 convolutions.
        width_per_group: channels of a group in the first stage.
        se_ratio: accepted, and 16 in any case: so MMPose builds it, and its weights fit.
        **kwargs: as `ResNet`.
    """

    arch_settings = _DEPTHS

    def __init__(
        self,
        depth: int,
        groups: int = 32,
        width_per_group: int = 4,
        se_ratio: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, groups, width_per_group, **kwargs)
        self.se_ratio = se_ratio
