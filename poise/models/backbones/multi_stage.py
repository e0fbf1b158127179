"""MSPN and RSN: pyramids down and up, several times over.

Li 2019, arXiv 1901.00148; Cai 2020, arXiv 2003.04030.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, ConvModule, MaxPool2d
from poise.layers.residual import Bottleneck
from poise.models.backbones.base import KAIMING_LINEAR_INIT, BaseBackbone, is_pretrained
from poise.models.weights import load_state_dict, read_state_dict
from poise.registry import MODELS

__all__ = ["MSPN", "RSN"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}

#: channels of the stem and of the map that one stage hands to the next
TOP_CHANNELS = 64

Skips = list[Tensor] | None


class MSPNBottleneck(Bottleneck):
    """Bottleneck that counts channels before the expansion; arguments as `Bottleneck`."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels * 4, **kwargs)


class RSB(BaseModule):
    """Residual steps block: branches that pass their maps on, step by step.

    (B, C, H, W) -> (B, C', H / stride, W / stride).

    Args:
        in_channels, out_channels: C and C'.
        num_steps: branches; branch i has i + 1 convolutions.
        stride: of the first convolution.
        downsample: module for the input where shapes differ.
        norm_cfg: for all layers.
        expand_times, res_top_channels: channels of a branch are C * expand_times /
            res_top_channels.

    Raises:
        ConfigError: fewer than two steps.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_steps: int = 4,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: Config = BN,
        expand_times: int = 26,
        res_top_channels: int = 64,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_steps < 2:
            raise ConfigError(f"num_steps must be at least 2, got {num_steps}")
        width = in_channels * expand_times // res_top_channels
        self.branch_channels, self.num_steps = width, num_steps
        self.downsample = downsample
        cfgs = {"norm_cfg": norm_cfg, "inplace": False}
        self.conv_bn_relu1 = ConvModule(in_channels, num_steps * width, 1, stride=stride, **cfgs)
        for i in range(num_steps):
            for j in range(i + 1):
                conv = ConvModule(width, width, 3, padding=1, **cfgs)
                self.add_module(f"conv_bn_relu2_{i + 1}_{j + 1}", conv)
        self.conv_bn3 = ConvModule(num_steps * width, out_channels, 1, act_cfg=None, **cfgs)
        self.relu = nn.ReLU(inplace=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        ends = []
        above: list[Tensor] = []
        for i, part in enumerate(self.conv_bn_relu1(x).split(self.branch_channels, dim=1)):
            row: list[Tensor] = []
            current = part
            for j in range(i + 1):
                if j < i:
                    current = current + above[j]
                current = getattr(self, f"conv_bn_relu2_{i + 1}_{j + 1}")(current)
                row.append(current)
            ends.append(current)
            above = row
        out = self.conv_bn3(torch.cat(ends, dim=1))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class DownsampleModule(BaseModule):
    """Rows of blocks, each half the size of the last; coarsest map first.

    Args:
        block: makes a block of (in channels, out channels).
        expansion: of the block's output channels.
        num_blocks: blocks of each row.
        has_skip: add maps of the previous stage.
        norm_cfg: for the first block of each row; the others have plain batch norms, as in
            MMPose.
        in_channels: channels of the input; row i has 2^i times as many, times the expansion.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        expansion: int,
        num_blocks: Sequence[int],
        has_skip: bool,
        norm_cfg: Config,
        in_channels: int,
    ) -> None:
        super().__init__()
        self.has_skip, self.num_units = has_skip, len(num_blocks)
        channels = in_channels
        for i, count in enumerate(num_blocks):
            out, stride = in_channels * 2**i, 2 if i else 1
            shortcut = None
            if stride != 1 or channels != out * expansion:
                shape = {"stride": stride, "norm_cfg": norm_cfg, "act_cfg": None}
                shortcut = ConvModule(channels, out * expansion, 1, **shape)
            first = block(channels, out, stride=stride, downsample=shortcut, norm_cfg=norm_cfg)
            channels = out * expansion
            rest = [block(channels, out) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *rest))

    def forward(self, x: Tensor, skip1: Skips, skip2: Skips) -> list[Tensor]:
        """(B, C, H, W) and maps of the stage before -> maps, coarsest first."""
        maps = []
        for i in range(self.num_units):
            x = getattr(self, f"layer{i + 1}")(x)
            if self.has_skip and skip1 is not None and skip2 is not None:
                x = x + skip1[i] + skip2[i]
            maps.append(x)
        return maps[::-1]


class UpsampleUnit(BaseModule):
    """One size on the way up: a lateral map plus the enlarged coarser one.

    Args:
        in_channels: channels of the lateral map.
        unit_channels: channels of the output.
        first: there is no coarser map.
        last: this is the finest size.
        hands_on: make maps for the next stage.
        norm_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: int,
        unit_channels: int,
        *,
        first: bool,
        last: bool,
        hands_on: bool,
        norm_cfg: Config,
    ) -> None:
        super().__init__()
        linear = {"norm_cfg": norm_cfg, "act_cfg": None}
        self.in_skip = ConvModule(in_channels, unit_channels, 1, **linear)
        self.relu = nn.ReLU(inplace=True)
        self.up_conv = None if first else ConvModule(unit_channels, unit_channels, 1, **linear)
        self.hands_on, self.crosses = hands_on, hands_on and last
        if hands_on:
            self.out_skip1 = ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)
            self.out_skip2 = ConvModule(unit_channels, in_channels, 1, norm_cfg=norm_cfg)
        if self.crosses:
            self.cross_conv = ConvModule(unit_channels, TOP_CHANNELS, 1, norm_cfg=norm_cfg)

    def forward(
        self, x: Tensor, coarser: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Lateral and coarser map -> output, two skips, and the next stage's input."""
        out = self.in_skip(x)
        if self.up_conv is not None and coarser is not None:
            size = x.shape[2:]
            enlarged = F.interpolate(coarser, size=size, mode="bilinear", align_corners=True)
            out = out + self.up_conv(enlarged)
        out = self.relu(out)
        skip1 = self.out_skip1(x) if self.hands_on else None
        skip2 = self.out_skip2(out) if self.hands_on else None
        return out, skip1, skip2, self.cross_conv(out) if self.crosses else None


class UpsampleModule(BaseModule):
    """The way up; coarsest map first, as they come.

    Args:
        in_channels: channels of each lateral map, coarsest first.
        unit_channels: channels of every output.
        hands_on: make maps for the next stage.
        norm_cfg: for all layers.
    """

    def __init__(
        self, in_channels: Sequence[int], unit_channels: int, hands_on: bool, norm_cfg: Config
    ) -> None:
        super().__init__()
        self.num_units = len(in_channels)
        for i, channels in enumerate(in_channels):
            ends = {"first": i == 0, "last": i == self.num_units - 1}
            unit = UpsampleUnit(
                channels, unit_channels, hands_on=hands_on, norm_cfg=norm_cfg, **ends
            )
            self.add_module(f"up{i + 1}", unit)

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], Skips, Skips, Tensor | None]:
        """Lateral maps -> outputs, skips from the finest on, and the next stage's input."""
        outs: list[Tensor] = []
        skips: list[tuple[Any, Any]] = []  # of None in the last stage
        cross = None
        for i, x in enumerate(maps):
            unit = getattr(self, f"up{i + 1}")
            out, skip1, skip2, cross = unit(x, outs[-1] if outs else None)
            outs.append(out)
            skips.append((skip1, skip2))
        return outs, [a for a, _ in reversed(skips)], [b for _, b in reversed(skips)], cross


class StageNetwork(BaseModule):
    """One stage: down and up."""

    def __init__(self, downsample: DownsampleModule, upsample: UpsampleModule) -> None:
        super().__init__()
        self.downsample, self.upsample = downsample, upsample

    def forward(
        self, x: Tensor, skip1: Skips, skip2: Skips
    ) -> tuple[list[Tensor], Skips, Skips, Tensor | None]:
        """Input and skips of the stage before -> outputs, skips, and the next stage's input."""
        return self.upsample(self.downsample(x, skip1, skip2))


class ResNetTop(BaseModule):
    """Stem of ResNet: (B, 3, H, W) -> (B, channels, H / 4, W / 4)."""

    def __init__(self, norm_cfg: Config = BN, channels: int = TOP_CHANNELS) -> None:
        super().__init__()
        self.top = nn.Sequential(
            ConvModule(3, channels, 7, stride=2, padding=3, norm_cfg=norm_cfg),
            MaxPool2d(3, 2, padding=1),
        )

    def forward(self, img: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, channels, H / 4, W / 4)."""
        return self.top(img)


class _MultiStage(BaseBackbone):
    """Stem and stages; subclasses name the list of stages."""

    #: attribute of the stages in checkpoints
    stages_name = ""

    def _build(
        self,
        block: Callable[..., nn.Module],
        expansion: int,
        unit_channels: int,
        num_stages: int,
        num_units: int,
        num_blocks: Sequence[int],
        norm_cfg: Config,
        in_channels: int,
    ) -> None:
        """Add the stem and the stages; arguments as of the subclasses."""
        if num_stages < 1 or num_units < 2 or num_units != len(num_blocks):
            raise ConfigError(
                f"{type(self).__name__} needs a stage, two units, and a number of blocks for each "
                f"unit; got {num_stages=}, {num_units=}, {num_blocks=}"
            )
        self.num_stages, self.num_units, self.unit_channels = num_stages, num_units, unit_channels
        self.top = ResNetTop(norm_cfg)
        laterals = [expansion * in_channels * 2**i for i in reversed(range(num_units))]
        stages = nn.ModuleList(
            StageNetwork(
                DownsampleModule(block, expansion, num_blocks, i > 0, norm_cfg, in_channels),
                UpsampleModule(laterals, unit_channels, i < num_stages - 1, norm_cfg),
            )
            for i in range(num_stages)
        )
        self.add_module(self.stages_name, stages)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """(B, 3, H, W) -> per stage a list of (B, unit_channels, H', W'), coarsest first."""
        x = self.top(x)
        outs: list[list[Tensor]] = []
        skip1: Skips = None
        skip2: Skips = None
        for stage in getattr(self, self.stages_name):
            maps, skip1, skip2, x = stage(x, skip1, skip2)
            outs.append(maps)
        return outs


@MODELS.register_module()
class MSPN(_MultiStage):
    """Multi-stage pose network: (B, 3, H, W) -> per stage maps at strides 32, 16, 8, 4.

    Args:
        unit_channels: channels of the maps.
        num_stages: stages.
        num_units: sizes in a stage.
        num_blocks: bottlenecks at each size.
        norm_cfg: for all layers but those inside rows of blocks.
        res_top_channels: channels that rows of blocks start from; the stem has 64.
        init_cfg: how weights start. "Pretrained" takes a ResNet's weights for every stage.
    """

    stages_name = "multi_stage_mspn"

    def __init__(
        self,
        unit_channels: int = 256,
        num_stages: int = 4,
        num_units: int = 4,
        num_blocks: Sequence[int] = (2, 2, 2, 2),
        norm_cfg: Config = BN,
        res_top_channels: int = TOP_CHANNELS,
        init_cfg: Any = KAIMING_LINEAR_INIT,
    ) -> None:
        super().__init__(init_cfg)
        shape = (unit_channels, num_stages, num_units, num_blocks, norm_cfg, res_top_channels)
        self._build(MSPNBottleneck, MSPNBottleneck.expansion, *shape)

    def init_weights(self) -> None:
        """Apply `init_cfg`; a ResNet's file fills the stem and the way down of each stage."""
        if not is_pretrained(self):
            super().init_weights()
            return
        names = {"downsample.0": "downsample.conv", "downsample.1": "downsample.bn"}
        names |= {"conv1": "top.0.conv", "bn1": "top.0.bn"}
        stem: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        for key, value in read_state_dict(self.init_cfg["checkpoint"]).items():
            in_rows = key.startswith("layer")
            if not in_rows and not key.startswith(("conv1", "bn1")):
                continue
            for old, new in names.items():
                if (old.startswith("downsample")) == in_rows:
                    key = key.replace(old, new)
            (rows if in_rows else stem)[key] = value
        load_state_dict(self.top, stem)
        for stage in self.multi_stage_mspn:
            load_state_dict(stage.downsample, rows)


@MODELS.register_module()
class RSN(_MultiStage):
    """Residual steps network: (B, 3, H, W) -> per stage maps at strides 32, 16, 8, 4.

    Args:
        unit_channels, num_stages, num_units, num_blocks, norm_cfg, res_top_channels: as `MSPN`.
        num_steps: branches of a block.
        expand_times: channels of a branch, see `RSB`.
    """

    stages_name = "multi_stage_rsn"

    def __init__(
        self,
        unit_channels: int = 256,
        num_stages: int = 4,
        num_units: int = 4,
        num_blocks: Sequence[int] = (2, 2, 2, 2),
        num_steps: int = 4,
        norm_cfg: Config = BN,
        res_top_channels: int = TOP_CHANNELS,
        expand_times: int = 26,
        init_cfg: Any = KAIMING_LINEAR_INIT,
    ) -> None:
        super().__init__(init_cfg)
        block = partial(
            RSB, num_steps=num_steps, expand_times=expand_times, res_top_channels=res_top_channels
        )
        shape = (unit_channels, num_stages, num_units, num_blocks, norm_cfg, res_top_channels)
        self._build(block, RSB.expansion, *shape)
