"""Maps of equal channels by one convolution each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ArgumentError
from poise.layers import BaseModule, ConvModule
from poise.layers.paths import check_maps
from poise.registry import MODELS

__all__ = ["ChannelMapper"]

Config = Mapping[str, Any]


@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class ChannelMapper(BaseModule):
    """Bring every map to `out_channels`, and add coarser ones: the neck of DETR-like networks.

    Args:
        in_channels: channels of each input map, finest first.
        out_channels: channels of every output map.
        kernel_size: of the convolutions.
        conv_cfg, norm_cfg, act_cfg: for them.
        num_outs: output maps; more than inputs adds convolutions of stride 2.
        bias: of the convolutions, or "auto".

    Raises:
        ArgumentError: `in_channels` is no list.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        kernel_size: int = 3,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = {"type": "ReLU"},  # noqa: B006 (never changed)
        num_outs: int | None = None,
        bias: bool | str = "auto",
        init_cfg: Any = {  # noqa: B006 (never changed)
            "type": "Xavier",
            "layer": "Conv2d",
            "distribution": "uniform",
        },
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(in_channels, (list, tuple)):
            raise ArgumentError(f"in_channels must be a list, one number a map; got {in_channels}")
        cfgs = {"bias": bias, "conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.convs = nn.ModuleList(
            ConvModule(c, out_channels, kernel_size, padding=(kernel_size - 1) // 2, **cfgs)
            for c in in_channels
        )
        extra = 0 if num_outs is None else max(num_outs - len(in_channels), 0)
        sources = [in_channels[-1], *[out_channels] * extra][:extra]
        self.extra_convs = (
            nn.ModuleList(
                ConvModule(c, out_channels, 3, stride=2, padding=1, **cfgs) for c in sources
            )
            if extra
            else None
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> maps (B, out_channels, H, W), perhaps more.

        Raises:
            DataError: another number of maps than `in_channels` says.
        """
        check_maps(self, inputs, len(self.convs))
        outs = [conv(x) for conv, x in zip(self.convs, inputs, strict=True)]
        source = inputs[-1]
        for conv in self.extra_convs or ():
            source = conv(source)
            outs.append(source)
        return tuple(outs)
