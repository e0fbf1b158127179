"""V2V-PoseNet: from volumes to volumes (Moon 2018, arXiv 1711.07399)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import DataError
from poise.layers import BaseModule, ConvModule
from poise.models.backbones.base import BaseBackbone
from poise.registry import MODELS

__all__ = ["V2VNet"]

Config = Mapping[str, Any]
NORMAL: Config = {"type": "Normal", "std": 0.001, "layer": ["Conv3d", "ConvTranspose3d"]}

#: convolution with norm; released weights have a bias as well
_conv3d = partial(ConvModule, conv_cfg={"type": "Conv3d"}, norm_cfg={"type": "BN3d"}, bias=True)


class _Block(BaseModule):
    """Convolution that keeps the size, under the name `block`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.block = _conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C', D, H, W)."""
        return self.block(x)


class _Residual(BaseModule):
    """Two convolutions and the input, rectified: (B, C, D, H, W) -> (B, C', D, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.res_branch = nn.Sequential(
            _conv3d(in_channels, out_channels, 3, padding=1),
            _conv3d(out_channels, out_channels, 3, padding=1, act_cfg=None),
        )
        same = in_channels == out_channels
        self.skip_con: nn.Module = (
            nn.Identity() if same else _conv3d(in_channels, out_channels, 1, act_cfg=None)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C', D, H, W)."""
        return F.relu(self.res_branch(x) + self.skip_con(x))


class _Double(BaseModule):
    """Transposed convolution to twice the size, under the name `block`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ConvTranspose3d(in_channels, out_channels, 2, stride=2),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C', 2 D, 2 H, 2 W)."""
        return self.block(x)


class _EncoderDecoder(BaseModule):
    """Two halvings and back, with a residual block around each: same shape in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        double, four = 2 * channels, 4 * channels
        self.encoder_res1 = _Residual(channels, double)
        self.encoder_res2 = _Residual(double, four)
        self.mid_res = _Residual(four, four)
        self.decoder_res2 = _Residual(four, four)
        self.decoder_upsample2 = _Double(four, double)
        self.decoder_res1 = _Residual(double, double)
        self.decoder_upsample1 = _Double(double, channels)
        self.skip_res1 = _Residual(channels, channels)
        self.skip_res2 = _Residual(double, double)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> (B, C, D, H, W)."""
        half = self.encoder_res1(F.max_pool3d(x, 2))
        quarter = self.encoder_res2(F.max_pool3d(half, 2))
        y = self.decoder_upsample2(self.decoder_res2(self.mid_res(quarter)))
        y = self.decoder_res1(y + self.skip_res2(half))
        return self.decoder_upsample1(y) + self.skip_res1(x)


@MODELS.register_module()
class V2VNet(BaseBackbone):
    """Volume to volume: (B, input_channels, D, H, W) -> one of output_channels, same size.

    Args:
        input_channels: channels of the volume.
        output_channels: of the result.
        mid_channels: between.
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        mid_channels: int = 32,
        init_cfg: Any = NORMAL,
    ) -> None:
        super().__init__(init_cfg)
        self.front_layers = nn.Sequential(
            _Block(input_channels, mid_channels // 2, 7), _Residual(mid_channels // 2, mid_channels)
        )
        self.encoder_decoder = _EncoderDecoder(mid_channels)
        self.output_layer = nn.Conv3d(mid_channels, output_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, D, H, W) -> ((B, C', D, H, W),).

        Raises:
            DataError: no volume, or sides that are no multiples of 4.
        """
        if x.dim() != 5 or any(side % 4 for side in x.shape[2:]):
            raise DataError(
                "V2VNet takes volumes (B, C, D, H, W) whose sides are multiples of 4, since it "
                f"halves them twice; got {tuple(x.shape)}"
            )
        return (self.output_layer(self.encoder_decoder(self.front_layers(x))),)
