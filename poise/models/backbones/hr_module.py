"""What high-resolution networks are made of: branches, and the ways between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.layers import BaseModule, build_conv_layer, build_norm_layer
from poise.layers.residual import ResLayer, get_expansion
from poise.models.backbones.base import check_entries

__all__ = ["HRModule", "conv_norm", "make_exchange", "make_transition", "separable_norm"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    *,
    conv_cfg: Config | None,
    norm_cfg: Config,
    relu: bool = False,
    tail: Sequence[nn.Module] = (),
) -> nn.Sequential:
    """Convolution, norm, and what follows, as one row with keys 0, 1, ...

    Args:
        in_channels, out_channels, kernel_size, stride: of the convolution, which keeps the
            size at stride 1.
        conv_cfg, norm_cfg: for the layers.
        relu: add a rectifier.
        tail: further modules.
    """
    conv = build_conv_layer(
        conv_cfg,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=False,
    )
    norm = build_norm_layer(norm_cfg, out_channels)[1]
    rectifier = [nn.ReLU(inplace=True)] if relu else []
    return nn.Sequential(conv, norm, *rectifier, *tail)


def separable_norm(
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    *,
    conv_cfg: Config | None,
    norm_cfg: Config,
    tail: Sequence[nn.Module] = (),
) -> nn.Sequential:
    """Depthwise 3 x 3 and pointwise convolution, each with a norm, keys 0 to 3, then `tail`."""
    depthwise = build_conv_layer(
        conv_cfg,
        in_channels,
        in_channels,
        3,
        stride=stride,
        padding=1,
        groups=in_channels,
        bias=False,
    )
    pointwise = build_conv_layer(conv_cfg, in_channels, out_channels, 1, bias=False)
    norms = [build_norm_layer(norm_cfg, c)[1] for c in (in_channels, out_channels)]
    return nn.Sequential(depthwise, norms[0], pointwise, norms[1], *tail)


#: makes a module of (channels before, channels after, stride, rectify)
Step = Callable[[int, int, int, bool], nn.Module]


def make_transition(before: Sequence[int], after: Sequence[int], step: Step) -> nn.ModuleList:
    """Modules that give each branch of a stage its input; None where the input fits already.

    Args:
        before: channels of the branches there are.
        after: channels of the branches of the next stage. New ones come from the smallest
            old one by strides of 2.
        step: makes one convolution.
    """
    branches: list[Any] = []  # torch's types know no None in a ModuleList, torch does
    for i, channels in enumerate(after):
        if i < len(before):
            same = channels == before[i]
            branches.append(None if same else step(before[i], channels, 1, True))
            continue
        halvings = i + 1 - len(before)
        widths = [before[-1]] * halvings + [channels]
        steps = (step(widths[j], widths[j + 1], 2, True) for j in range(halvings))
        branches.append(nn.Sequential(*steps))
    return nn.ModuleList(branches)


def make_exchange(
    widths: Sequence[int], targets: int, step: Step, up: Callable[[int, int, int], nn.Module]
) -> Any:
    """ModuleList [to][from] of ways between branches; None on the diagonal, or for one branch.

    Args:
        widths: channels of the branches; each has half the size of the last.
        targets: branches that receive, from the finest on.
        step: makes one convolution.
        up: makes a module of (channels before, channels after, growth of the size).
    """
    if len(widths) == 1:
        return None

    def path(source: int, to: int) -> Any:
        if source == to:
            return None
        start, end = widths[source], widths[to]
        if source > to:
            return up(start, end, 2 ** (source - to))
        halvings = [step(start, start, 2, True) for _ in range(to - source - 1)]
        return nn.Sequential(*halvings, step(start, end, 2, False))

    sources = range(len(widths))
    return nn.ModuleList(
        nn.ModuleList(path(source, to) for source in sources) for to in range(targets)
    )


class HRModule(BaseModule):
    """Branches of residual blocks, then an exchange between all of them.

    Args:
        num_branches: resolutions.
        blocks: class of the residual blocks.
        num_blocks: blocks of each branch.
        in_channels: channels of each branch as it comes in.
        num_channels: middle channels of each branch.
        multiscale_output: return all branches, or only the finest.
        conv_cfg, norm_cfg: for all layers.
        upsample_cfg: `mode` and `align_corners` of the upsampling.

    Raises:
        ConfigError: lists of another length than `num_branches`.
    """

    def __init__(
        self,
        num_branches: int,
        blocks: type,
        num_blocks: Sequence[int],
        in_channels: Sequence[int],
        num_channels: Sequence[int],
        multiscale_output: bool = False,
        with_cp: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        upsample_cfg: Config = {"mode": "nearest", "align_corners": None},  # noqa: B006
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        lists = {"num_blocks": num_blocks, "in_channels": in_channels, "num_channels": num_channels}
        check_entries(self, num_branches, "branches", lists)
        self.num_branches = num_branches
        self.multiscale_output = multiscale_output
        self._cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.upsample_cfg = upsample_cfg
        #: channels of each branch as it goes out
        self.in_channels = [c * get_expansion(blocks) for c in num_channels]
        self.branches = nn.ModuleList(
            self._branch(blocks, i, n, before, after, with_cp)
            for i, (n, before, after) in enumerate(
                zip(num_blocks, in_channels, self.in_channels, strict=True)
            )
        )
        targets = num_branches if multiscale_output else 1
        self.fuse_layers = make_exchange(self.in_channels, targets, self._step, self._up)
        self.relu = nn.ReLU(inplace=True)

    def _branch(
        self, block: type, index: int, count: int, before: int, after: int, with_cp: bool
    ) -> nn.Module:
        """Blocks of one branch."""
        return ResLayer(block, count, before, after, with_cp=with_cp, **self._cfgs)

    def _step(self, before: int, after: int, stride: int, relu: bool) -> nn.Module:
        """Convolution on a way down."""
        return conv_norm(before, after, stride=stride, relu=relu, **self._cfgs)

    def _up(self, before: int, after: int, growth: int) -> nn.Module:
        """Convolution and upsampling."""
        enlarge = nn.Upsample(
            scale_factor=growth,
            mode=self.upsample_cfg["mode"],
            align_corners=self.upsample_cfg["align_corners"],
        )
        return conv_norm(before, after, 1, tail=[enlarge], **self._cfgs)

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        """A map per branch, each half the size of the last -> the same, exchanged."""
        maps = [branch(m) for branch, m in zip(self.branches, x, strict=True)]
        if self.fuse_layers is None:
            return maps
        return [self.relu(self._fuse(row, maps)) for row in self.fuse_layers]

    @staticmethod
    def _fuse(row: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
        """Sum of all branches at one resolution."""
        paths = ((path, m) for path, m in zip(row, maps, strict=True))
        terms = (m if path is None else path(m) for path, m in paths)
        total = next(terms) + next(terms)
        for term in terms:
            total += term
        return total
