"""Stacked hourglasses (Newell 2016, arXiv 1603.06937; for tags: Newell 2017, arXiv 1611.05424)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, ConvModule, MaxPool2d
from poise.layers.residual import BasicBlock, ResLayer
from poise.models.backbones.base import NORMAL_INIT, BaseBackbone, check_sides
from poise.registry import MODELS

__all__ = ["HourglassAENet", "HourglassNet"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN", "requires_grad": True}


def _check_stack(num_stacks: int, downsample_times: int, **lists: Sequence[int]) -> None:
    """Raise ConfigError unless there is a stack, and a value for each size in it."""
    if num_stacks < 1:
        raise ConfigError(f"num_stacks must be at least 1, got {num_stacks}")
    lengths = {name: len(values) for name, values in lists.items()}
    if min(lengths.values()) <= downsample_times or len(set(lengths.values())) > 1:
        raise ConfigError(
            f"an hourglass that halves {downsample_times} times needs {downsample_times + 1} "
            f"values in each of {', '.join(lists)}, got {lengths}"
        )


class HourglassModule(BaseModule):
    """Halve, process, double, and add what went past: (B, C, H, W) -> the same.

    Args:
        depth: halvings.
        stage_channels: channels at each size.
        stage_blocks: blocks at each size.
        norm_cfg: for the outermost size; the inner ones have plain batch norms, as in MMPose.
    """

    def __init__(
        self,
        depth: int,
        stage_channels: Sequence[int],
        stage_blocks: Sequence[int],
        norm_cfg: Config = BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.depth = depth
        here, below = stage_channels[:2]
        count, count_below = stage_blocks[:2]
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg}
        self.up1 = ResLayer(BasicBlock, count, here, here, **cfgs)
        self.low1 = ResLayer(BasicBlock, count, here, below, stride=2, **cfgs)
        self.low2: nn.Module
        if depth > 1:
            self.low2 = HourglassModule(depth - 1, stage_channels[1:], stage_blocks[1:])
        else:
            self.low2 = ResLayer(BasicBlock, count_below, below, below, **cfgs)
        self.low3 = ResLayer(BasicBlock, count, below, here, downsample_first=False, **cfgs)
        self.up2 = nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), sizes divisible by 2^depth -> (B, C, H, W)."""
        return self.up1(x) + self.up2(self.low3(self.low2(self.low1(x))))


@MODELS.register_module()
class HourglassNet(BaseBackbone):
    """A row of hourglasses: (B, 3, H, W) -> a map at stride 4 for each.

    Args:
        downsample_times: halvings in an hourglass.
        num_stacks: hourglasses.
        stage_channels, stage_blocks: channels and blocks at each size.
        feat_channel: channels of the maps.
        norm_cfg: for the layers between hourglasses.

    Raises:
        ConfigError: lists that are too short or of unequal length.
    """

    def __init__(
        self,
        downsample_times: int = 5,
        num_stacks: int = 2,
        stage_channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        stage_blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
        feat_channel: int = 256,
        norm_cfg: Config = BN,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        sizes = {"stage_channels": stage_channels, "stage_blocks": stage_blocks}
        _check_stack(num_stacks, downsample_times, **sizes)
        self.num_stacks, self.downsample_times = num_stacks, downsample_times
        width, between = stage_channels[0], num_stacks - 1
        self.stem = nn.Sequential(
            ConvModule(3, 128, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            ResLayer(BasicBlock, 1, 128, 256, stride=2, norm_cfg=norm_cfg),
        )
        self.hourglass_modules = nn.ModuleList(
            HourglassModule(downsample_times, stage_channels, stage_blocks)
            for _ in range(num_stacks)
        )
        self.inters = ResLayer(BasicBlock, between, width, width, norm_cfg=norm_cfg)
        plain = {"norm_cfg": norm_cfg, "act_cfg": None}
        self.conv1x1s = nn.ModuleList(ConvModule(width, width, 1, **plain) for _ in range(between))
        self.out_convs = nn.ModuleList(
            ConvModule(width, feat_channel, 3, padding=1, norm_cfg=norm_cfg)
            for _ in range(num_stacks)
        )
        self.remap_convs = nn.ModuleList(
            ConvModule(feat_channel, width, 1, **plain) for _ in range(between)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> list of (B, feat_channel, H / 4, W / 4), the best last."""
        x = self.stem(x)
        check_sides(self, x, 2**self.downsample_times, stride=4)
        outs = []
        for i in range(self.num_stacks):
            outs.append(self.out_convs[i](self.hourglass_modules[i](x)))
            if i < self.num_stacks - 1:
                joined = self.conv1x1s[i](x) + self.remap_convs[i](outs[-1])
                x = self.inters[i](self.relu(joined))
        return outs


class HourglassAEModule(BaseModule):
    """Hourglass of single convolutions: (B, C, H, W) -> the same.

    Args:
        depth: halvings.
        stage_channels: channels at each size.
        norm_cfg: for the outermost size; the inner ones have plain batch norms, as in MMPose.
    """

    def __init__(
        self,
        depth: int,
        stage_channels: Sequence[int],
        norm_cfg: Config = BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.depth = depth
        here, below = stage_channels[:2]
        shape = {"padding": 1, "norm_cfg": norm_cfg}
        self.up1 = ConvModule(here, here, 3, **shape)
        self.pool1 = MaxPool2d(2, 2)
        self.low1 = ConvModule(here, below, 3, **shape)
        self.low2: nn.Module
        if depth > 1:
            self.low2 = HourglassAEModule(depth - 1, stage_channels[1:])
        else:
            self.low2 = ConvModule(below, below, 3, **shape)
        self.low3 = ConvModule(below, here, 3, **shape)
        self.up2 = nn.UpsamplingNearest2d(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), sizes divisible by 2^depth -> (B, C, H, W)."""
        return self.up1(x) + self.up2(self.low3(self.low2(self.low1(self.pool1(x)))))


@MODELS.register_module()
class HourglassAENet(BaseBackbone):
    """Hourglasses for associative embedding: (B, 3, H, W) -> a map at stride 4 for each.

    Args:
        downsample_times: halvings in an hourglass.
        num_stacks: hourglasses.
        out_channels: channels of the maps: heatmaps and tags.
        stage_channels: channels at each size.
        feat_channels: channels between hourglasses.
        norm_cfg: for all layers but those inside.

    Raises:
        ConfigError: too few stage channels.
    """

    def __init__(
        self,
        downsample_times: int = 4,
        num_stacks: int = 1,
        out_channels: int = 34,
        stage_channels: Sequence[int] = (256, 384, 512, 640, 768),
        feat_channels: int = 256,
        norm_cfg: Config = BN,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        _check_stack(num_stacks, downsample_times, stage_channels=stage_channels)
        self.num_stacks, self.downsample_times = num_stacks, downsample_times
        between = range(num_stacks - 1)
        shape = {"padding": 1, "norm_cfg": norm_cfg}
        plain = {"norm_cfg": norm_cfg, "act_cfg": None}
        self.stem = nn.Sequential(
            ConvModule(3, 64, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            ConvModule(64, 128, 3, **shape),
            MaxPool2d(2, 2),
            ConvModule(128, 128, 3, **shape),
            ConvModule(128, feat_channels, 3, **shape),
        )
        self.hourglass_modules = nn.ModuleList(
            nn.Sequential(
                HourglassAEModule(downsample_times, stage_channels, norm_cfg),
                ConvModule(feat_channels, feat_channels, 3, **shape),
                ConvModule(feat_channels, feat_channels, 3, **shape),
            )
            for _ in range(num_stacks)
        )
        self.out_convs = nn.ModuleList(
            ConvModule(stage_channels[0], out_channels, 1, act_cfg=None) for _ in range(num_stacks)
        )
        self.remap_out_convs = nn.ModuleList(
            ConvModule(out_channels, feat_channels, 1, **plain) for _ in between
        )
        self.remap_feature_convs = nn.ModuleList(
            ConvModule(feat_channels, feat_channels, 1, **plain) for _ in between
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> list of (B, out_channels, H / 4, W / 4), the best last."""
        x = self.stem(x)
        check_sides(self, x, 2**self.downsample_times, stride=4)
        outs = []
        for i in range(self.num_stacks):
            feature = self.hourglass_modules[i](x)
            outs.append(self.out_convs[i](feature))
            if i < self.num_stacks - 1:
                x = x + self.remap_out_convs[i](outs[-1]) + self.remap_feature_convs[i](feature)
        return outs
