"""Residual blocks and rows of them: what ResNet and its relatives are made of (He 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from poise.errors import ArgumentError, ConfigError, one_of
from poise.layers.base import BaseModule
from poise.layers.builders import build_conv_layer, build_norm_layer
from poise.layers.recompute import maybe_checkpoint

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResLayer",
    "ResidualBlock",
    "get_expansion",
    "make_shortcut",
    "named_by",
]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}


def named_by(attribute: str, doc: str) -> Any:
    """Property of a module: the part whose name, which follows from a config, an attribute has."""
    return property(lambda self: getattr(self, getattr(self, attribute)), doc=doc)


class ResidualBlock(BaseModule):
    """Rectified sum of a branch and the input: (B, C, H, W) -> (B, C', H / stride, W / stride).

    Subclasses add layers with `_add_conv` and say in `_branch` how they run. Convolutions are
    `conv1` ..., norms `bn1` ... (or `gn1` ..., by type), the projection is `downsample`.

    Args:
        in_channels, out_channels: C and C'.
        expansion: `out_channels / mid_channels`.
        stride, dilation: of the spatial convolution.
        downsample: module for the input where shapes differ.
        style: "pytorch" puts the stride into the 3 x 3 convolution, "caffe" into the first.
        with_cp: recompute activations in the backward pass.
        conv_cfg, norm_cfg: for all convolutions and norms.

    Raises:
        ConfigError: an unknown style, or channels that the expansion does not divide.
    """

    expansion = 1
    conv1: nn.Module
    conv2: nn.Module
    conv3: nn.Module
    norm1_name: str
    norm2_name: str
    norm3_name: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int = 1,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        with_cp: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        one_of(style, ("pytorch", "caffe"), "style")
        if out_channels % expansion:
            raise ConfigError(f"out_channels={out_channels} is no multiple of {expansion=}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.expansion = expansion
        self.mid_channels = out_channels // expansion
        self.stride, self.dilation, self.style = stride, dilation, style
        self.with_cp, self.conv_cfg, self.norm_cfg = with_cp, conv_cfg, norm_cfg
        self._add_layers()
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def _add_layers(self) -> None:
        """Create convolutions and norms."""
        raise NotImplementedError(f"{type(self).__name__} does not define `_add_layers`")

    def _branch(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride), before the sum."""
        raise NotImplementedError(f"{type(self).__name__} does not define `_branch`")

    def _add_conv(self, index: int, in_channels: int, out_channels: int, **shape: Any) -> None:
        """Create `conv{index}` and its norm.

        Args:
            index: number in the block, from 1.
            in_channels, out_channels: of the convolution.
            **shape: kernel size, stride and the like.
        """
        conv = build_conv_layer(self.conv_cfg, in_channels, out_channels, bias=False, **shape)
        self.add_module(f"conv{index}", conv)
        self._add_norm(index, out_channels)

    def _add_norm(self, index: int, channels: int) -> None:
        name, norm = build_norm_layer(self.norm_cfg, channels, postfix=index)
        setattr(self, f"norm{index}_name", name)
        self.add_module(name, norm)

    norm1 = named_by("norm1_name", "The first norm.")
    norm2 = named_by("norm2_name", "The second norm.")
    norm3 = named_by("norm3_name", "The third norm; bottlenecks only.")

    def _sum(self, x: Tensor) -> Tensor:
        out = self._branch(x)
        out += x if self.downsample is None else self.downsample(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return self.relu(maybe_checkpoint(self._sum, self.with_cp, x))


class BasicBlock(ResidualBlock):
    """Two 3 x 3 convolutions; arguments as `ResidualBlock`."""

    def _add_layers(self) -> None:
        if self.expansion != 1:
            raise ConfigError(f"a BasicBlock has expansion 1, got {self.expansion}")
        shape = {"stride": self.stride, "padding": self.dilation, "dilation": self.dilation}
        self._add_conv(1, self.in_channels, self.mid_channels, kernel_size=3, **shape)
        self._add_conv(2, self.mid_channels, self.out_channels, kernel_size=3, padding=1)

    def _branch(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(x))


class Bottleneck(ResidualBlock):
    """Narrow to `mid_channels`, convolve 3 x 3, widen again.

    Args:
        in_channels, out_channels, expansion: as `ResidualBlock`; the expansion is 4.
        groups: groups of the 3 x 3 convolution (Xie 2017, ResNeXt).
        width_per_group: channels of a group, for `base_channels` channels in the first stage.
        base_channels: channels that `width_per_group` refers to.
        **kwargs: as `ResidualBlock`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int = 4,
        *args: Any,
        groups: int = 1,
        width_per_group: int = 4,
        base_channels: int = 64,
        **kwargs: Any,
    ) -> None:
        self._grouping = (groups, width_per_group, base_channels)
        super().__init__(in_channels, out_channels, expansion, *args, **kwargs)

    @property
    def groups(self) -> int:
        """Groups of the 3 x 3 convolution."""
        return self._grouping[0]

    def _add_layers(self) -> None:
        groups, width, base = self._grouping
        if groups != 1:
            if self.mid_channels % base:
                raise ConfigError(
                    f"the middle of a grouped bottleneck, {self.mid_channels} channels, must be "
                    f"a multiple of base_channels={base}"
                )
            self.mid_channels = groups * width * self.mid_channels // base
        first = self.style == "caffe"
        self.conv1_stride = self.stride if first else 1
        self.conv2_stride = 1 if first else self.stride
        mid = self.mid_channels
        self._add_conv(1, self.in_channels, mid, kernel_size=1, stride=self.conv1_stride)
        self._add_spatial_conv()
        self._add_conv(3, mid, self.out_channels, kernel_size=1)

    def _add_spatial_conv(self) -> None:
        """Create `conv2` and its norm."""
        self._add_conv(
            2,
            self.mid_channels,
            self.mid_channels,
            kernel_size=3,
            stride=self.conv2_stride,
            padding=self.dilation,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _branch(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        return self.norm3(self.conv3(x))


def get_expansion(block: Callable[..., nn.Module], expansion: int | None = None) -> int:
    """Expansion of a residual block: the given one, or the class's own.

    Args:
        block: class with an attribute `expansion`.
        expansion: what wins, if not None.

    Raises:
        ArgumentError: not a positive whole number, or a class without one.
    """
    if expansion is None:
        expansion = getattr(block, "expansion", None)
        if expansion is None:
            name = getattr(block, "__name__", block)
            raise ArgumentError(f"expansion is not specified for {name}")
    if not isinstance(expansion, int) or expansion <= 0:
        raise ArgumentError(f"expansion must be a positive integer or None, got {expansion!r}")
    return expansion


def make_shortcut(
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    *,
    avg_down: bool = False,
    conv_cfg: Config | None = None,
    norm_cfg: Config = BN,
) -> nn.Sequential | None:
    """Projection of a block's input to the shape of its output; None where they agree.

    Args:
        in_channels, out_channels: of the block.
        stride: of the block.
        avg_down: average before a 1 x 1 convolution instead of skipping pixels (He 2019, bag
            of tricks, ResNet-D).
        conv_cfg, norm_cfg: for the convolution and the norm.
    """
    if stride == 1 and in_channels == out_channels:
        return None
    layers: list[nn.Module] = []
    if avg_down and stride != 1:
        layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        stride = 1
    conv = build_conv_layer(
        conv_cfg, in_channels, out_channels, kernel_size=1, stride=stride, bias=False
    )
    return nn.Sequential(*layers, conv, build_norm_layer(norm_cfg, out_channels)[1])


class ResLayer(nn.Sequential):
    """A row of blocks, one of which changes channels and resolution.

    Args:
        block: class of the blocks.
        num_blocks: how many.
        in_channels, out_channels: of the row.
        expansion: of the blocks; None takes the class's.
        stride: of the block that changes resolution.
        avg_down: see `make_shortcut`.
        conv_cfg, norm_cfg: for all layers.
        downsample_first: whether the first block changes the shape, or the last (Hourglass).
        **kwargs: further arguments for every block.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        num_blocks: int,
        in_channels: int,
        out_channels: int,
        expansion: int | None = None,
        stride: int = 1,
        avg_down: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        downsample_first: bool = True,
        **kwargs: Any,
    ) -> None:
        self.block = block
        self.expansion = get_expansion(block, expansion)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        shortcut = make_shortcut(in_channels, out_channels, stride, avg_down=avg_down, **cfgs)
        common = {"expansion": self.expansion, **cfgs, **kwargs}
        changing = block(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            downsample=shortcut,
            **common,
        )
        width = out_channels if downsample_first else in_channels
        others = [
            block(in_channels=width, out_channels=width, stride=1, **common)
            for _ in range(num_blocks - 1)
        ]
        super().__init__(*([changing, *others] if downsample_first else [*others, changing]))
