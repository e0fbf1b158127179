"""Lite-HRNet: HRNet of shuffle units with weighted channels (Yu 2021, arXiv 2104.06403)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from poise.errors import ConfigError
from poise.layers import (
    BaseModule,
    ConvModule,
    DepthwiseSeparableConvModule,
    SELayer,
    interleave,
    maybe_checkpoint,
)
from poise.models.backbones.base import (
    NORMAL_INIT,
    BaseBackbone,
    ShortForm,
    check_entries,
    check_sides,
)
from poise.models.backbones.hr_module import (
    conv_norm,
    make_exchange,
    make_transition,
    separable_norm,
)
from poise.models.backbones.shufflenet import ShuffleUnitV2
from poise.registry import MODELS

__all__ = ["LiteHRNet"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}
RELU: Config = {"type": "ReLU"}

#: reduction of channels in the weights of one resolution
SPATIAL_RATIO = 4


class CrossResolutionWeighting(BaseModule):
    """Weights of the channels of all resolutions, from all of them at the smallest size.

    Args:
        channels: of each map.
        ratio: channels relative to the middle.
        conv_cfg, norm_cfg: for both convolutions.
    """

    def __init__(
        self, channels: Sequence[int], ratio: int, conv_cfg: Config | None, norm_cfg: Config
    ) -> None:
        super().__init__()
        self.channels = list(channels)
        total = sum(channels)
        middle = int(total / ratio)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.conv1 = ConvModule(total, middle, 1, act_cfg=RELU, **cfgs)
        self.conv2 = ConvModule(middle, total, 1, act_cfg={"type": "Sigmoid"}, **cfgs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first -> the same, weighted."""
        height, width = maps[-1].shape[-2:]
        pooled = [F.adaptive_avg_pool2d(m, (height, width)) for m in maps[:-1]]
        # row by row, where the products of so few channels are summed in the usual order
        joined = torch.cat([*pooled, maps[-1]], dim=1).contiguous()
        weights = self.conv2(self.conv1(joined))
        parts = weights.split(self.channels, dim=1)
        pairs = zip(maps[:-1], parts[:-1], strict=True)
        larger = [m * F.interpolate(w, size=m.shape[-2:], mode="nearest") for m, w in pairs]
        return [*larger, maps[-1] * parts[-1]]


class ConditionalChannelWeighting(BaseModule):
    """Shuffle unit over all resolutions, its 1 x 1 convolutions replaced by weights.

    Args:
        in_channels: of each map.
        stride: 1 or 2.
        reduce_ratio: of `CrossResolutionWeighting`.
        conv_cfg, norm_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        reduce_ratio: int,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ConfigError(f"stride must be 1 or 2, got {stride}")
        self.with_cp = with_cp
        halves = [c // 2 for c in in_channels]
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.cross_resolution_weighting = CrossResolutionWeighting(halves, reduce_ratio, **cfgs)
        self.depthwise_convs = nn.ModuleList(
            ConvModule(c, c, 3, stride, 1, groups=c, act_cfg=None, **cfgs) for c in halves
        )
        self.spatial_weighting = nn.ModuleList(SELayer(c, ratio=SPATIAL_RATIO) for c in halves)

    def _unit(self, *maps: Tensor) -> list[Tensor]:
        passed, rest = zip(*(m.chunk(2, dim=1) for m in maps), strict=True)
        weighted = self.cross_resolution_weighting(rest)
        parts = zip(weighted, self.depthwise_convs, self.spatial_weighting, strict=True)
        changed = [weigh(conv(m)) for m, conv, weigh in parts]
        return [interleave(*pair) for pair in zip(passed, changed, strict=True)]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first -> maps of the same channels."""
        if self.with_cp and any(m.requires_grad for m in maps):
            return checkpoint(self._unit, *maps, use_reentrant=False)
        return self._unit(*maps)


class Stem(BaseModule):
    """Two halvings: (B, C, H, W) -> (B, out_channels, H / 4, W / 4).

    Args:
        in_channels: C.
        stem_channels: after the first convolution.
        out_channels: of the result.
        expand_ratio: channels of the longer branch relative to `stem_channels`.
        conv_cfg, norm_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int,
        out_channels: int,
        expand_ratio: float,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        half, middle = stem_channels // 2, round(stem_channels * expand_ratio)
        longer = half if stem_channels == out_channels else stem_channels
        self.conv1 = ConvModule(in_channels, stem_channels, 3, 2, 1, **cfgs)
        self.branch1 = nn.Sequential(
            ConvModule(half, half, 3, 2, 1, groups=half, act_cfg=None, **cfgs),
            ConvModule(half, out_channels - longer, 1, **cfgs),
        )
        self.expand_conv = ConvModule(half, middle, 1, **cfgs)
        self.depthwise_conv = ConvModule(
            middle, middle, 3, 2, 1, groups=middle, act_cfg=None, **cfgs
        )
        self.linear_conv = ConvModule(middle, longer, 1, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H / 4, W / 4)."""
        first, second = self.conv1(x).chunk(2, dim=1)
        second = self.linear_conv(self.depthwise_conv(self.expand_conv(second)))
        return interleave(self.branch1(first), second)


class IterativeHead(BaseModule):
    """From the coarsest map to the finest, each added to the next: maps -> maps.

    Args:
        in_channels: of each map, finest first.
        norm_cfg: for all layers.
    """

    def __init__(self, in_channels: Sequence[int], norm_cfg: Config = BN) -> None:
        super().__init__()
        self.in_channels = list(in_channels)[::-1]
        targets = [*self.in_channels[1:], self.in_channels[-1]]
        self.projects = nn.ModuleList(
            DepthwiseSeparableConvModule(
                before, after, 3, padding=1, norm_cfg=norm_cfg, act_cfg=RELU, dw_act_cfg=None
            )
            for before, after in zip(self.in_channels, targets, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first -> maps, finest first."""
        outs: list[Tensor] = []
        for x, project in zip(reversed(maps), self.projects, strict=True):
            if outs:
                size = tuple(x.shape[-2:])
                x = x + F.interpolate(outs[-1], size=size, mode="bilinear", align_corners=True)
            outs.append(project(x))
        return outs[::-1]


class LiteHRModule(BaseModule):
    """Branches, then an exchange between all of them: maps, finest first -> maps.

    Args:
        num_branches: resolutions.
        num_blocks: blocks of each branch.
        in_channels: of each branch.
        reduce_ratio: of `ConditionalChannelWeighting`.
        module_type: "LITE" weighs channels, "NAIVE" has shuffle units.
        multiscale_output: return all branches, or only the finest.
        with_fuse: exchange at all.
        conv_cfg, norm_cfg: for all layers.

    Raises:
        ConfigError: another module type, or number of channels.
    """

    def __init__(
        self,
        num_branches: int,
        num_blocks: int,
        in_channels: Sequence[int],
        reduce_ratio: int,
        module_type: str,
        multiscale_output: bool = False,
        with_fuse: bool = True,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if num_branches != len(in_channels):
            raise ConfigError(f"{num_branches} branches need as many channels, got {in_channels}")
        if module_type.upper() not in ("LITE", "NAIVE"):
            raise ConfigError(f"module_type should be either 'LITE' or 'NAIVE', got {module_type}")
        self.in_channels, self.num_branches = list(in_channels), num_branches
        self.lite = module_type.upper() == "LITE"
        self.multiscale_output, self.with_fuse = multiscale_output, with_fuse
        self._cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        if self.lite:
            options: dict[str, Any] = dict(stride=1, reduce_ratio=reduce_ratio, with_cp=with_cp)
            self.layers: nn.Sequential | nn.ModuleList = nn.Sequential(
                *(
                    ConditionalChannelWeighting(in_channels, **options, **self._cfgs)
                    for _ in range(num_blocks)
                )
            )
        else:
            unit: dict[str, Any] = {"stride": 1, "with_cp": with_cp, "act_cfg": RELU, **self._cfgs}
            self.layers = nn.ModuleList(
                nn.Sequential(*(ShuffleUnitV2(c, c, **unit) for _ in range(num_blocks)))
                for c in in_channels
            )
        if with_fuse:
            targets = num_branches if multiscale_output else 1
            self.fuse_layers = make_exchange(self.in_channels, targets, self._step, self._up)
            self.relu = nn.ReLU()

    def _step(self, before: int, after: int, stride: int, relu: bool) -> nn.Module:
        tail = [nn.ReLU(inplace=True)] if relu else []
        return separable_norm(before, after, stride, tail=tail, **self._cfgs)

    def _up(self, before: int, after: int, growth: int) -> nn.Module:
        enlarge = nn.Upsample(scale_factor=growth, mode="nearest")
        return conv_norm(before, after, 1, tail=[enlarge], **self._cfgs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first -> maps, finest first."""
        if self.lite:
            outs = list(self.layers(maps))
        else:
            outs = [branch(m) for branch, m in zip(self.layers, maps, strict=True)]
        if self.with_fuse and self.num_branches > 1:
            outs = self._exchange(outs)
        return outs if self.multiscale_output else outs[:1]

    def _exchange(self, maps: list[Tensor]) -> list[Tensor]:
        """Sums over branches, with the weights that released networks were trained with.

        In every sum the finest branch counts twice, and the sums after the first one see the
        first sum in its place: the original program adds in place. It also computes the finest
        branch's part twice, which in training moves the running statistics of its norms twice.
        """
        fused = []
        for to, row in enumerate(self.fuse_layers):
            terms = [m if p is None else p(m) for p, m in zip(row, maps, strict=True)]
            repeat = self.training and row[0] is not None
            total = terms[0] + (row[0](maps[0]) if repeat else terms[0])
            for term in terms[1:]:
                total += term
            if to == 0:
                maps = [total, *maps[1:]]
            fused.append(self.relu(total))
        return fused


@MODELS.register_module()
class LiteHRNet(BaseBackbone):
    """Light high-resolution network: (B, 3, H, W) -> one map at stride 4.

    Args:
        extra: `stem` (`stem_channels`, `out_channels`, `expand_ratio`), `num_stages`,
            `stages_spec` (lists, an entry each stage: `num_modules`, `num_branches`,
            `num_blocks`, `module_type`, `with_fuse`, `reduce_ratios`, `num_channels`), and
            `with_head`.
        in_channels: channels of the picture.
        conv_cfg, norm_cfg: for all layers.

    Raises:
        ConfigError: lists with fewer entries than `num_stages`.
    """

    channels_last = True

    def __init__(
        self,
        extra: Config,
        in_channels: int = 3,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.extra, self.norm_eval, self.with_cp = extra, norm_eval, with_cp
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}

        def step(before: int, after: int, stride: int, relu: bool) -> nn.Module:
            return separable_norm(before, after, stride, tail=[nn.ReLU()] * relu, **cfgs)

        self.stem = Stem(in_channels, **extra["stem"], **cfgs)
        self.num_stages = extra["num_stages"]
        check_entries(self, self.num_stages, "stages", extra["stages_spec"], or_more=True)
        channels = [self.stem.out_channels]
        self._multiple = 1
        for i in range(self.num_stages):
            spec = {name: values[i] for name, values in extra["stages_spec"].items()}
            widths = list(spec["num_channels"])
            self.add_module(f"transition{i}", make_transition(channels, widths, step))
            modules = (
                LiteHRModule(
                    spec["num_branches"],
                    spec["num_blocks"],
                    widths,
                    spec["reduce_ratios"],
                    spec["module_type"],
                    multiscale_output=True,
                    with_fuse=spec["with_fuse"],
                    with_cp=with_cp,
                    **cfgs,
                )
                for _ in range(spec["num_modules"])
            )
            self.add_module(f"stage{i}", nn.Sequential(*modules))
            channels = widths
            if spec["with_fuse"]:
                # each branch has half the size of the one before
                self._multiple = max(self._multiple, 2 ** (spec["num_branches"] - 1))
        self.with_head = extra["with_head"]
        if self.with_head:
            self.head_layer = IterativeHead(channels, norm_cfg)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> ((B, C, H / 4, W / 4),)."""
        maps = [maybe_checkpoint(self.stem, self.with_cp, x)]
        check_sides(self, maps[0], self._multiple, stride=4)
        for i in range(self.num_stages):
            transition = getattr(self, f"transition{i}")
            inputs = [
                maps[j] if t is None else t(maps[min(j, len(maps) - 1)])
                for j, t in enumerate(transition)
            ]
            maps = getattr(self, f"stage{i}")(inputs)
        return ((self.head_layer(maps) if self.with_head else maps)[0],)

    layers18 = ShortForm()
    layers30 = ShortForm()
