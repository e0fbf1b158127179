"""Path aggregation: a pyramid down, then up again (Liu 2018), with CSP layers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.layers import BaseModule, ConvModule
from poise.layers.csp import SWISH, YOLO_BN, CSPLayer, conv_class
from poise.layers.paths import aggregate_paths, check_maps
from poise.models.backbones.csp import YOLO_INIT
from poise.registry import MODELS

__all__ = ["CSPNeXtPAFPN", "YOLOXPAFPN"]

Config = Mapping[str, Any]
DOUBLE: Config = {"scale_factor": 2, "mode": "nearest"}


class _PAFPN(BaseModule):
    """Maps, finest first -> maps of the same sizes that have seen one another."""

    def _build(
        self,
        in_channels: Sequence[int],
        num_csp_blocks: int,
        use_depthwise: bool,
        upsample_cfg: Config,
        cfgs: Mapping[str, Any],
        **csp_options: Any,
    ) -> None:
        """Create the layers of both ways.

        Args:
            in_channels: channels of each input map.
            num_csp_blocks: blocks of each CSP layer.
            use_depthwise: depthwise separable convolutions.
            upsample_cfg: arguments of `nn.Upsample`.
            cfgs: `conv_cfg`, `norm_cfg`, `act_cfg`.
            **csp_options: further arguments of CSP layers.
        """
        self.in_channels = in_channels
        self.out_convs: nn.ModuleList | None = None
        conv = conv_class(use_depthwise)

        def csp(before: int, after: int) -> CSPLayer:
            options: dict[str, Any] = {"num_blocks": num_csp_blocks, "use_depthwise": use_depthwise}
            return CSPLayer(before, after, add_identity=False, **options, **cfgs, **csp_options)

        self.upsample = nn.Upsample(**upsample_cfg)
        steps = list(itertools.pairwise(in_channels))
        downward = steps[::-1]
        self.reduce_layers = nn.ModuleList(
            ConvModule(big, small, 1, **cfgs) for small, big in downward
        )
        self.top_down_blocks = nn.ModuleList(csp(2 * small, small) for small, _ in downward)
        self.downsamples = nn.ModuleList(
            conv(small, small, 3, stride=2, padding=1, **cfgs) for small, _ in steps
        )
        self.bottom_up_blocks = nn.ModuleList(csp(2 * small, big) for small, big in steps)

    def _aggregate(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Both ways and the last convolutions."""
        check_maps(self, inputs, len(self.in_channels))
        outs = aggregate_paths(
            inputs,
            self.reduce_layers,
            self.top_down_blocks,
            self.downsamples,
            self.bottom_up_blocks,
            self.upsample,
        )
        if self.out_convs is None:
            return outs
        return [conv(x) for conv, x in zip(self.out_convs, outs, strict=True)]


@MODELS.register_module()
class CSPNeXtPAFPN(_PAFPN):
    """Neck of RTMDet, as RTMPose and RTMW use it.

    Args:
        in_channels: channels of each input map, finest first.
        out_channels: channels of every output map; None leaves the last convolutions out.
        out_indices: maps to return.
        num_csp_blocks: blocks of each CSP layer.
        use_depthwise: depthwise separable convolutions.
        expand_ratio: channels of each half of a CSP layer.
        upsample_cfg: arguments of `nn.Upsample`.
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int | None,
        out_indices: Sequence[int] = (0, 1, 2),
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        upsample_cfg: Config = DOUBLE,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        init_cfg: Any = YOLO_INIT,
    ) -> None:
        super().__init__(init_cfg)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self._build(
            in_channels,
            num_csp_blocks,
            use_depthwise,
            upsample_cfg,
            cfgs,
            use_cspnext_block=True,
            expand_ratio=expand_ratio,
        )
        self.out_channels, self.out_indices = out_channels, out_indices
        if out_channels is not None:
            conv = conv_class(use_depthwise)
            self.out_convs = nn.ModuleList(
                conv(c, out_channels, 3, padding=1, **cfgs) for c in in_channels
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> the maps of `out_indices`."""
        outs = self._aggregate(inputs)
        return tuple(outs[i] for i in self.out_indices)


@MODELS.register_module(name="CSPNeXtPAFPN", scope="mmdet")
class DetectionCSPNeXtPAFPN(CSPNeXtPAFPN):
    """MMDetection's signature of `CSPNeXtPAFPN`: all maps are returned.

    Args:
        in_channels, out_channels, num_csp_blocks, use_depthwise: as `CSPNeXtPAFPN`.
        *args, **kwargs: `expand_ratio` and what follows.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        levels = range(len(in_channels))
        options = (num_csp_blocks, use_depthwise, *args)
        super().__init__(in_channels, out_channels, levels, *options, **kwargs)


@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class YOLOXPAFPN(_PAFPN):
    """Neck of YOLOX.

    Args:
        in_channels: channels of each input map, finest first.
        out_channels: channels of every output map.
        num_csp_blocks, use_depthwise, upsample_cfg: as `CSPNeXtPAFPN`.
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        upsample_cfg: Config = DOUBLE,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        init_cfg: Any = YOLO_INIT,
    ) -> None:
        super().__init__(init_cfg)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self._build(in_channels, num_csp_blocks, use_depthwise, upsample_cfg, cfgs)
        self.out_channels = out_channels
        self.out_convs = nn.ModuleList(ConvModule(c, out_channels, 1, **cfgs) for c in in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> maps (B, out_channels, H, W)."""
        return tuple(self._aggregate(inputs))
