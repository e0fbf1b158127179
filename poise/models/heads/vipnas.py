"""Heatmap head of ViPNAS: deconvolutions with groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poise._options import options_of
from poise.models.heads.heatmap import HeatmapHead
from poise.registry import MODELS

__all__ = ["ViPNASHead"]


@MODELS.register_module()
class ViPNASHead(HeatmapHead):
    """HeatmapHead whose deconvolutions have groups, found by architecture search.

    Xu 2021, "ViPNAS: Efficient Video Pose Estimation via Neural Architecture Search".

    Args:
        in_channels: channels of the last feature map.
        out_channels: channels of the heatmaps.
        deconv_out_channels: channels of each deconvolution.
        deconv_kernel_sizes: kernel size of each.
        deconv_num_groups: groups of each.
        **options: further arguments of `HeatmapHead`.
    """

    @options_of(HeatmapHead, positional=True)
    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (144, 144, 144),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        **options: Any,
    ) -> None:
        self._deconv_num_groups = deconv_num_groups
        super().__init__(
            in_channels, out_channels, deconv_out_channels, deconv_kernel_sizes, **options
        )

    def _add_deconv_layers(
        self, channels: int, out_channels: Sequence[int] | None, **settings: Sequence[int] | None
    ) -> int:
        return super()._add_deconv_layers(
            channels, out_channels, **settings, deconv_num_groups=self._deconv_num_groups
        )
