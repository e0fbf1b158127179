"""MobileNetV2 (Sandler 2018, arXiv 1801.04381)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import (
    BaseModule,
    ConvModule,
    InvertedResidual,
    make_divisible,
    maybe_checkpoint,
)
from poise.models.backbones.base import (
    KAIMING_INIT,
    BaseBackbone,
    check_frozen_stages,
    check_out_indices,
    freeze,
    maps_behind,
    start_of,
)
from poise.registry import MODELS

__all__ = ["MobileNetV2"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}
RELU6: Config = {"type": "ReLU6"}
LAST_CHANNELS = 1280


class _InvertedResidual(BaseModule):
    """Expand, depthwise, project, under the keys `conv.0` ...: (B, C, H, W) -> (B, C', ...).

    Args:
        in_channels, out_channels: C and C'.
        stride: 1 or 2.
        expand_ratio: middle channels relative to C; 1 leaves the expansion out.
        conv_cfg, norm_cfg, act_cfg: for all layers; the projection has no activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: float,
        *,
        with_cp: bool,
        conv_cfg: Config | None,
        norm_cfg: Config,
        act_cfg: Config,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ConfigError(f"stride of an inverted residual must be 1 or 2, got {stride}")
        hidden = round(in_channels * expand_ratio)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        expand = [ConvModule(in_channels, hidden, 1, act_cfg=act_cfg, **cfgs)]
        self.conv = nn.Sequential(
            *(expand if expand_ratio != 1 else []),
            ConvModule(hidden, hidden, 3, stride, 1, groups=hidden, act_cfg=act_cfg, **cfgs),
            ConvModule(hidden, out_channels, 1, act_cfg=None, **cfgs),
        )
        self.use_res_connect = stride == 1 and in_channels == out_channels
        self.with_cp = with_cp

    def _sum(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return maybe_checkpoint(self._sum, self.with_cp, x)


@MODELS.register_module()
class MobileNetV2(BaseBackbone):
    """Network of inverted residuals: (B, 3, H, W) -> maps at strides 2 to 32.

    Args:
        widen_factor: of channels.
        out_indices: layers whose maps are returned: 0 to 6 the rows of `arch_settings`, 7 the
            last convolution.
        frozen_stages: rows without training, the first convolution included; -1 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    #: expansion, channels, blocks, stride (table 2 of the paper)
    arch_settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    channels_last = True

    _block: Callable[..., nn.Module] = _InvertedResidual

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (7,),
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = RELU6,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = KAIMING_INIT,
    ) -> None:
        super().__init__(init_cfg)
        check_out_indices(out_indices, 8)
        check_frozen_stages(frozen_stages, 7)
        self.widen_factor, self.out_indices = widen_factor, out_indices
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        width = make_divisible(32 * widen_factor, 8)
        self.conv1 = ConvModule(3, width, 3, stride=2, padding=1, **cfgs)
        self.layers: list[str] = []
        for number, (expand, channels, blocks, stride) in enumerate(self.arch_settings, start=1):
            out = make_divisible(channels * widen_factor, 8)
            shapes = [(width, stride)] + [(out, 1)] * (blocks - 1)
            row = [self._block(i, out, s, expand, with_cp=with_cp, **cfgs) for i, s in shapes]
            self.layers.append(f"layer{number}")
            self.add_module(self.layers[-1], nn.Sequential(*row))
            width = out
        #: channels of the last convolution, which grows but never shrinks
        self.out_channel = int(LAST_CHANNELS * max(widen_factor, 1.0))
        self.conv2 = ConvModule(width, self.out_channel, 1, **cfgs)
        self.layers.append("conv2")

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            # as in MMPose its norm goes on counting
            freeze([self.conv1], evaluate=False)
        freeze(getattr(self, f"layer{i}") for i in range(1, self.frozen_stages + 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        stages = [getattr(self, name) for name in self.layers]
        return maps_behind(stages, self.conv1(x), self.out_indices)


def _named_block(
    in_channels: int, out_channels: int, stride: int, expand_ratio: float, **settings: Any
) -> InvertedResidual:
    """The same block under the keys `expand_conv`, `depthwise_conv` and `linear_conv`."""
    return InvertedResidual(
        in_channels,
        out_channels,
        round(in_channels * expand_ratio),
        stride=stride,
        with_expand_conv=expand_ratio != 1,
        **settings,
    )


@MODELS.register_module(name="MobileNetV2", scope="mmdet")
class DetectionMobileNetV2(MobileNetV2):
    """MobileNetV2 with the defaults and the names of MMDetection.

    Args:
        widen_factor: of channels.
        out_indices: as `MobileNetV2`.
        pretrained: a file that weights start from, where `init_cfg` does not say it.
        **kwargs: as `MobileNetV2`.
    """

    _block = staticmethod(_named_block)

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (1, 2, 4, 7),
        *,
        pretrained: str | None = None,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        start = start_of(init_cfg, pretrained)
        super().__init__(widen_factor, out_indices, init_cfg=start, **kwargs)
