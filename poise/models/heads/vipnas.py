"""Heatmap head of ViPNAS: deconvolutions with groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poise.models.heads.defaults import HEATMAP_LOSS
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
        conv_out_channels: channels of each convolution after them; None for none.
        conv_kernel_sizes: kernel size of each.
        final_layer: arguments of the last layer; None for none.
        loss: config or module.
        decoder: codec or its config.
        init_cfg: how the weights start.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        deconv_out_channels: Sequence[int] | None = (144, 144, 144),
        deconv_kernel_sizes: Sequence[int] | None = (4, 4, 4),
        deconv_num_groups: Sequence[int] | None = (16, 16, 16),
        conv_out_channels: Sequence[int] | None = None,
        conv_kernel_sizes: Sequence[int] | None = None,
        final_layer: Mapping[str, Any] | None = {"kernel_size": 1},
        loss: Any = HEATMAP_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        self._deconv_num_groups = deconv_num_groups
        super().__init__(
            in_channels,
            out_channels,
            deconv_out_channels,
            deconv_kernel_sizes,
            conv_out_channels,
            conv_kernel_sizes,
            final_layer,
            loss,
            decoder,
            init_cfg,
        )

    def _add_deconv_layers(
        self, channels: int, out_channels: Sequence[int] | None, **settings: Sequence[int] | None
    ) -> int:
        return super()._add_deconv_layers(
            channels, out_channels, **settings, deconv_num_groups=self._deconv_num_groups
        )
