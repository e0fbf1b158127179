"""ViPNAS: networks found by a search for video poses (Xu 2021, arXiv 2105.10154)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise._options import options_of
from poise.layers import ConvModule, InvertedResidual
from poise.layers.context import ContextBlock
from poise.layers.residual import Bottleneck
from poise.models.backbones.base import (
    NORMAL_INIT,
    BaseBackbone,
    check_entries,
    check_frozen_stages,
    freeze,
)
from poise.models.backbones.resnet import OWN_WAYS, ResNet
from poise.registry import MODELS

__all__ = ["ViPNAS_MobileNetV3", "ViPNAS_ResNet"]

Config = Mapping[str, Any]

#: gates of squeeze and excitation, (x + 1) / 2 as in MMCV 1.x
SE_GATES: tuple[Config, Config] = (
    {"type": "ReLU"},
    {"type": "HSigmoid", "bias": 1.0, "divisor": 2.0},
)


class ViPNASBottleneck(Bottleneck):
    """Bottleneck of any kernel size, perhaps with global context.

    Args:
        in_channels, out_channels, expansion: as `Bottleneck`; the expansion is 1.
        kernel_size: of the spatial convolution.
        attention: add a `ContextBlock`.
        *args, **kwargs: as `Bottleneck`.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int = 4,
        *args: Any,
        kernel_size: int = 3,
        attention: bool = False,
        **kwargs: Any,
    ) -> None:
        self.kernel_size, self._with_attention = kernel_size, attention
        # groups are of the whole width, not of a width per group
        self._conv_groups = kwargs.pop("groups", 1)
        super().__init__(in_channels, out_channels, expansion, *args, **kwargs)

    def _add_layers(self) -> None:
        super()._add_layers()
        channels = self.out_channels
        ratio = max(1 / 16, 16 / channels)
        self.attention = ContextBlock(channels, ratio) if self._with_attention else None

    def _add_spatial_conv(self) -> None:
        self._add_conv(
            2,
            self.mid_channels,
            self.mid_channels,
            kernel_size=self.kernel_size,
            stride=self.conv2_stride,
            padding=self.kernel_size // 2,
            groups=self._conv_groups,
            dilation=self.dilation,
        )

    def _branch(self, x: Tensor) -> Tensor:
        out = super()._branch(x)
        return out if self.attention is None else self.attention(out)


@MODELS.register_module()
class ViPNAS_ResNet(ResNet):  # noqa: N801 (MMPose's name)
    """The searched ResNet: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50.
        wid: channels of the stem and of each stage.
        expan: expansion in each stage.
        dep: blocks of each stage.
        ks: kernel sizes of the stem and of each stage.
        group: groups in each stage.
        att: global context in each stage.
        **options: as `ResNet`; `zero_init_residual` has no effect, as in MMPose.

    Raises:
        ConfigError: lists that have not an entry for the stem and one for each stage.
    """

    arch_settings = {50: (ViPNASBottleneck, ())}

    @options_of(
        ResNet,
        positional=True,
        without=("stem_channels", "base_channels", "expansion", *OWN_WAYS),
        num_stages=4,
    )
    def __init__(
        self,
        depth: int,
        *,
        wid: Sequence[int] = (48, 80, 160, 304, 608),
        expan: Sequence[int | None] = (None, 1, 1, 1, 1),
        dep: Sequence[int | None] = (None, 4, 6, 7, 3),
        ks: Sequence[int] = (7, 3, 5, 5, 5),
        group: Sequence[int | None] = (None, 16, 16, 16, 16),
        att: Sequence[bool | None] = (None, True, False, True, True),
        init_cfg: Any = NORMAL_INIT,
        **options: Any,
    ) -> None:
        num_stages = options["num_stages"]
        lists: Mapping[str, Sequence[Any]] = dict(
            wid=wid, expan=expan, dep=dep, ks=ks, group=group, att=att
        )
        check_entries(self, num_stages + 1, "stages and the stem", lists, or_more=True)
        stages = [
            {
                "num_blocks": dep[i],
                "out_channels": wid[i] * (expan[i] or 1),
                "expansion": expan[i] or 1,
                "kernel_size": ks[i],
                "groups": group[i],
                "attention": bool(att[i]),
            }
            for i in range(1, num_stages + 1)
        ]
        super().__init__(
            depth,
            stem_channels=wid[0],
            stages=stages,
            stem_kernel_size=ks[0],
            init_cfg=init_cfg,
            **{**options, "zero_init_residual": False},
        )


@MODELS.register_module()
class ViPNAS_MobileNetV3(BaseBackbone):  # noqa: N801 (MMPose's name)
    """The searched MobileNetV3: (B, 3, H, W) -> one map at stride 32.

    Args:
        wid: channels of the stem and of each stage.
        expan: expansion in each stage; 1 leaves the first convolution of a block out.
        dep: blocks of each stage.
        ks: kernel sizes.
        group: groups of the depthwise convolutions.
        att: squeeze and excitation in each stage.
        stride: of the stem and of the first block of each stage.
        act: names of activations.
        conv_cfg, norm_cfg: for all layers.
        frozen_stages: blocks without training, the stem included; -1 for none.

    Raises:
        ConfigError: a list that is shorter than `dep`.
    """

    def __init__(
        self,
        wid: Sequence[int] = (16, 16, 24, 40, 80, 112, 160),
        expan: Sequence[int | None] = (None, 1, 5, 4, 5, 5, 6),
        dep: Sequence[int | None] = (None, 1, 4, 4, 4, 4, 4),
        ks: Sequence[int] = (3, 3, 7, 7, 5, 7, 5),
        group: Sequence[int | None] = (None, 8, 120, 20, 100, 280, 240),
        att: Sequence[bool | None] = (None, True, True, False, True, True, True),
        stride: Sequence[int] = (2, 1, 2, 2, 2, 1, 2),
        act: Sequence[str] = ("HSwish", "ReLU", "ReLU", "ReLU", "HSwish", "HSwish", "HSwish"),
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN"},  # noqa: B006 (never changed)
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        lists: Mapping[str, Sequence[Any]] = dict(
            wid=wid, expan=expan, ks=ks, group=group, att=att, stride=stride, act=act
        )
        check_entries(self, len(dep), "stages and the stem", lists, or_more=True)
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.conv1 = ConvModule(
            3, wid[0], ks[0], stride[0], ks[0] // 2, act_cfg={"type": act[0]}, **cfgs
        )
        self.layers: list[str] = []
        channels = wid[0]
        for i in range(1, len(dep)):
            # the first entries stand for the stem, which has neither
            expansion, count = expan[i] or 1, dep[i] or 0
            middle = wid[i] * expansion
            gates = {"channels": middle, "ratio": 4, "act_cfg": SE_GATES}
            for block in range(count):
                self.layers.append(f"layer{len(self.layers) + 1}")
                layer = InvertedResidual(
                    channels,
                    wid[i],
                    middle,
                    kernel_size=ks[i],
                    groups=group[i],
                    stride=1 if block else stride[i],
                    se_cfg=gates if att[i] else None,
                    with_expand_conv=expansion != 1,
                    act_cfg={"type": act[i]},
                    with_cp=with_cp,
                    **cfgs,
                )
                self.add_module(self.layers[-1], layer)
                channels = wid[i]
        check_frozen_stages(frozen_stages, len(self.layers))

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1], evaluate=False)
        freeze(getattr(self, name) for name in self.layers[: max(self.frozen_stages, 0)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> ((B, C, H / 32, W / 32),)."""
        x = self.conv1(x)
        for name in self.layers:
            x = getattr(self, name)(x)
        return (x,)
