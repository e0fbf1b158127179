"""YOLOX's path aggregation with the names that MMYOLO gives its layers (Ge 2021, Liu 2018)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.layers import BaseModule, ConvModule
from poise.layers.csp import SILU, YOLO_BN, CSPLayer, conv_class
from poise.layers.paths import aggregate_paths, check_maps
from poise.models.backbones.base import freeze
from poise.registry import MODELS

__all__ = ["YOLOPAFPN"]

Config = Mapping[str, Any]


@MODELS.register_module(name="YOLOXPAFPN", scope="mmyolo")
class YOLOPAFPN(BaseModule):
    """Neck of YOLOX; weights lie under other names than those of `YOLOXPAFPN`.

    Args:
        in_channels: channels of each input map, finest first, before `widen_factor`.
        out_channels: channels of every output map, before `widen_factor`.
        deepen_factor, widen_factor: factors of blocks and channels.
        num_csp_blocks: blocks of each CSP layer, before `deepen_factor`.
        use_depthwise: make the strided convolutions depthwise separable.
        freeze_all: keep all weights as they are in training.
        norm_cfg, act_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        freeze_all: bool = False,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SILU,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.freeze_all = freeze_all
        self.in_channels = [int(c * widen_factor) for c in in_channels]
        self.out_channels = int(out_channels * widen_factor)
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        blocks = round(num_csp_blocks * deepen_factor)
        steps = list(itertools.pairwise(self.in_channels))

        def csp(before: int, after: int) -> CSPLayer:
            return CSPLayer(before, after, num_blocks=blocks, add_identity=False, **cfgs)

        def join(place: int, small: int) -> nn.Module:
            """CSP layer and, but for the finest map, the lateral convolution after it."""
            if place == 0:
                return csp(2 * small, small)
            finer = ConvModule(small, self.in_channels[place - 1], 1, **cfgs)
            return nn.Sequential(csp(2 * small, small), finer)

        # only the coarsest map is reduced before the way down
        reduce = ConvModule(self.in_channels[-1], self.in_channels[-2], 1, **cfgs)
        self.reduce_layers = nn.ModuleList([*(nn.Identity() for _ in steps), reduce])
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.top_down_layers = nn.ModuleList(
            join(place, small) for place, (small, _) in reversed(list(enumerate(steps)))
        )
        self.downsample_layers = nn.ModuleList(
            conv_class(use_depthwise)(small, small, 3, stride=2, padding=1, **cfgs)
            for small, _ in steps
        )
        self.bottom_up_layers = nn.ModuleList(csp(2 * small, big) for small, big in steps)
        self.out_layers = nn.ModuleList(
            ConvModule(c, self.out_channels, 1, **cfgs) for c in self.in_channels
        )

    def train(self, mode: bool = True) -> YOLOPAFPN:
        """Set the mode; with `freeze_all` nothing learns."""
        super().train(mode)
        if self.freeze_all:
            freeze(self.children())
        return self

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> maps (B, out_channels, H, W).

        Raises:
            DataError: another number of maps.
        """
        check_maps(self, inputs, len(self.in_channels))
        *coarser, finest = self.top_down_layers
        laterals = [self.reduce_layers[-1], *(pair[1] for pair in coarser)]  # type: ignore[index]
        downward = [*(pair[0] for pair in coarser), finest]  # type: ignore[index]
        outs = aggregate_paths(
            inputs,
            laterals,
            downward,
            self.downsample_layers,
            self.bottom_up_layers,
            self.upsample,
        )
        return tuple(conv(x) for conv, x in zip(self.out_layers, outs, strict=True))
