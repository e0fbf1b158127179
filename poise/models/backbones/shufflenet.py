"""ShuffleNet V1 and V2 (Zhang 2018, arXiv 1707.01083; Ma 2018, arXiv 1807.11164)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import (
    BaseModule,
    ConvModule,
    MaxPool2d,
    build_activation_layer,
    channel_shuffle,
    interleave,
    make_divisible,
    maybe_checkpoint,
)
from poise.models.backbones.base import (
    BaseBackbone,
    check_frozen_stages,
    check_out_indices,
    freeze,
    is_pretrained,
    maps_behind,
)
from poise.registry import MODELS

__all__ = ["ShuffleNetV1", "ShuffleNetV2", "ShuffleUnitV2"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}
RELU: Config = {"type": "ReLU"}

#: blocks of the three stages of either network
STAGE_BLOCKS = (4, 8, 4)
STEM_CHANNELS = 24

_INIT: list[Config] = [
    {"type": "Normal", "std": 0.01, "layer": ["Conv2d"]},
    {"type": "Constant", "val": 1, "bias": 0.0001, "layer": ["_BatchNorm", "GroupNorm"]},
]


class ShuffleUnit(BaseModule):
    """Grouped 1 x 1, shuffle, depthwise 3 x 3, grouped 1 x 1.

    Args:
        in_channels, out_channels: of the unit.
        groups: of the 1 x 1 convolutions.
        first_block: leave the first convolution ungrouped.
        combine: "add" keeps the shape; "concat" halves the size, and the pooled input makes up
            the first channels of the output.
        conv_cfg, norm_cfg, act_cfg: for all layers.

    Raises:
        ConfigError: another `combine`, or channels that do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 3,
        first_block: bool = True,
        combine: str = "add",
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = RELU,
        with_cp: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if combine not in ("add", "concat"):
            raise ConfigError(f'combine must be "add" or "concat", got {combine!r}')
        if combine == "add" and in_channels != out_channels:
            raise ConfigError(f"a sum keeps channels, got {in_channels} and {out_channels}")
        self.groups, self.combine, self.with_cp = groups, combine, with_cp
        middle = out_channels // 4
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        stride = 1
        if combine == "concat":
            out_channels, stride = out_channels - in_channels, 2
            self.avgpool = nn.AvgPool2d(kernel_size=3, stride=2, padding=1)
        first_groups = 1 if first_block else groups
        self.g_conv_1x1_compress = ConvModule(
            in_channels, middle, 1, groups=first_groups, act_cfg=act_cfg, **cfgs
        )
        self.depthwise_conv3x3_bn = ConvModule(
            middle, middle, 3, stride, 1, groups=middle, act_cfg=None, **cfgs
        )
        self.g_conv_1x1_expand = ConvModule(
            middle, out_channels, 1, groups=groups, act_cfg=None, **cfgs
        )
        self.act = build_activation_layer(act_cfg)

    def _unit(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv3x3_bn(self.g_conv_1x1_compress(x))
        if self.groups > 1:
            out = channel_shuffle(out, self.groups)
        out = self.g_conv_1x1_expand(out)
        if self.combine == "add":
            return self.act(x + out)
        return torch.cat((self.avgpool(x), self.act(out)), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W) or (B, C', H / 2, W / 2)."""
        return maybe_checkpoint(self._unit, self.with_cp, x)


class ShuffleUnitV2(BaseModule):
    """Unit of V2: half of the channels pass, half are transformed, then both are shuffled.

    Args:
        in_channels, out_channels: of the unit.
        stride: 1, or 2 where both branches see the whole input.
        act_cfg: for all activations.
        **cfgs: `conv_cfg` and `norm_cfg`.

    Raises:
        ConfigError: channels that do not fit the stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        with_cp: bool,
        act_cfg: Config,
        **cfgs: Any,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        if stride == 1 and in_channels != 2 * half:
            raise ConfigError(
                f"in_channels ({in_channels}) should equal to branch_features * 2 ({2 * half}) "
                "when stride is 1"
            )
        self.stride, self.with_cp = stride, with_cp

        def depthwise(channels: int) -> ConvModule:
            return ConvModule(
                channels, channels, 3, stride, 1, groups=channels, act_cfg=None, **cfgs
            )

        def pointwise(before: int) -> ConvModule:
            return ConvModule(before, half, 1, act_cfg=act_cfg, **cfgs)

        if stride > 1:
            self.branch1 = nn.Sequential(depthwise(in_channels), pointwise(in_channels))
        source = in_channels if stride > 1 else half
        self.branch2 = nn.Sequential(pointwise(source), depthwise(half), pointwise(half))

    def _unit(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            parts = (self.branch1(x), self.branch2(x))
        else:
            passed, rest = x.chunk(2, dim=1)
            parts = (passed, self.branch2(rest))
        return interleave(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return maybe_checkpoint(self._unit, self.with_cp, x)


class _ShuffleNet(BaseBackbone):
    """Stem, pooling, `layers`."""

    conv1: nn.Module
    maxpool: nn.Module
    layers: nn.ModuleList
    out_indices: Sequence[int]
    frozen_stages: int

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1], evaluate=False)
        freeze(self.layers[i] for i in range(self.frozen_stages))

    def init_weights(self) -> None:
        """Apply `init_cfg`, then draw convolutions by their fan-in, the stem's excepted."""
        super().init_weights()
        if is_pretrained(self):
            return
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and "conv1" not in name:
                nn.init.normal_(module.weight, mean=0, std=1.0 / module.weight.shape[1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        return maps_behind(self.layers, self.maxpool(self.conv1(x)), self.out_indices)


@MODELS.register_module()
class ShuffleNetV1(_ShuffleNet):
    """Network of grouped 1 x 1 convolutions: (B, 3, H, W) -> maps at strides 8, 16, 32.

    Args:
        groups: 1, 2, 3, 4 or 8.
        widen_factor: of channels.
        out_indices: stages whose maps are returned, 0 to 2.
        frozen_stages: stages without training, the stem included; -1 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.

    Raises:
        ConfigError: another number of groups.
    """

    #: groups -> channels of the first stage; each stage has twice as many (table 1)
    arch_settings = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}

    channels_last = True

    def __init__(
        self,
        groups: int = 3,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2,),
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        check_out_indices(out_indices, 3)
        check_frozen_stages(frozen_stages, 2)
        if groups not in self.arch_settings:
            raise ConfigError(
                f"{groups} groups is not supported for 1x1 Grouped Convolutions, only "
                f"{list(self.arch_settings)}"
            )
        self.groups, self.out_indices = groups, out_indices
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        channels = int(STEM_CHANNELS * widen_factor)
        self.conv1 = ConvModule(3, channels, 3, stride=2, padding=1, **cfgs)
        self.maxpool = MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        for stage, count in enumerate(STAGE_BLOCKS):
            out = make_divisible(self.arch_settings[groups] * 2**stage * widen_factor, 8)
            units = []
            for block in range(count):
                first = stage == 0 and block == 0
                mode = "add" if block else "concat"
                units.append(
                    ShuffleUnit(channels, out, groups, first, mode, with_cp=with_cp, **cfgs)
                )
                channels = out
            self.layers.append(nn.Sequential(*units))


@MODELS.register_module()
class ShuffleNetV2(_ShuffleNet):
    """Network of split channels: (B, 3, H, W) -> maps at strides 8, 16, 32, 32.

    Args:
        widen_factor: 0.5, 1.0, 1.5 or 2.0.
        out_indices: layers whose maps are returned: 0 to 2 the stages, 3 the last convolution.
        frozen_stages: layers without training, the stem included; -1 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.

    Raises:
        ConfigError: another `widen_factor`.
    """

    #: factor -> channels of the stages and of the last convolution (table 5)
    arch_settings = {
        0.5: (48, 96, 192, 1024),
        1.0: (116, 232, 464, 1024),
        1.5: (176, 352, 704, 1024),
        2.0: (244, 488, 976, 2048),
    }

    channels_last = True

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        check_out_indices(out_indices, 4)
        check_frozen_stages(frozen_stages, 3)
        if widen_factor not in self.arch_settings:
            raise ConfigError(
                f"widen_factor must be in {list(self.arch_settings)}. But received {widen_factor}"
            )
        self.out_indices = out_indices
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        channels = STEM_CHANNELS
        self.conv1 = ConvModule(3, channels, 3, stride=2, padding=1, **cfgs)
        self.maxpool = MaxPool2d(kernel_size=3, stride=2, padding=1)
        *widths, last = self.arch_settings[widen_factor]
        self.layers = nn.ModuleList()
        for out, count in zip(widths, STAGE_BLOCKS, strict=True):
            shapes = [(channels, 2)] + [(out, 1)] * (count - 1)
            self.layers.append(
                nn.Sequential(
                    *(ShuffleUnitV2(i, out, s, with_cp=with_cp, **cfgs) for i, s in shapes)
                )
            )
            channels = out
        self.layers.append(ConvModule(channels, last, 1, **cfgs))
