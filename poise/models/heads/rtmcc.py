"""Heads of RTMPose and RTMW: a large convolution, a linear layer, a gated attention unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import ConvModule, Linear, ScaleNorm
from poise.layers.rtmcc_block import RTMCCBlock
from poise.models.heads.base import last_map
from poise.models.heads.defaults import LINEAR_INIT, SIMCC_LOSS
from poise.models.heads.simcc import BaseSimCCHead
from poise.registry import MODELS

__all__ = ["GAU_CFG", "RTMCCHead", "RTMWHead", "gated_attention"]

#: settings of the gated attention unit unless a config says otherwise
GAU_CFG = {
    "hidden_dims": 256,
    "s": 128,
    "expansion_factor": 2,
    "dropout_rate": 0.0,
    "drop_path": 0.0,
    "act_fn": "ReLU",
    "use_rel_bias": False,
    "pos_enc": False,
}

_INIT = [
    {"type": "Normal", "layer": ["Conv2d"], "std": 0.001},
    {"type": "Constant", "layer": "BatchNorm2d", "val": 1},
    *LINEAR_INIT,
]


def gated_attention(num_keypoints: int, cfg: Mapping[str, Any]) -> RTMCCBlock:
    """The unit of a head's `gau_cfg`; widths in and out are its `hidden_dims`."""
    settings = dict(cfg)
    width = settings.pop("hidden_dims")
    return RTMCCBlock(num_keypoints, width, width, attn_type="self-attn", **settings)


class _GatedHead(BaseSimCCHead):
    """Constructor and the last layers that both heads share."""

    default_init_cfg = _INIT

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int,
        input_size: Sequence[int],
        in_featuremap_size: Sequence[int],
        simcc_split_ratio: float = 2.0,
        final_layer_kernel_size: int = 1,
        gau_cfg: Mapping[str, Any] = GAU_CFG,
        loss: Any = SIMCC_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = self.single_width(in_channels)
        self.out_channels = out_channels
        self.input_size = tuple(input_size)
        self.in_featuremap_size = tuple(in_featuremap_size)
        self.simcc_split_ratio = simcc_split_ratio
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        pixels = in_featuremap_size[0] * in_featuremap_size[1]
        self._add_token_layers(pixels, final_layer_kernel_size, gau_cfg["hidden_dims"])
        self.gau = gated_attention(out_channels, gau_cfg)
        width, height = self.bins(input_size, simcc_split_ratio)
        self.cls_x = Linear(gau_cfg["hidden_dims"], width, bias=False)
        self.cls_y = Linear(gau_cfg["hidden_dims"], height, bias=False)

    def _add_token_layers(self, pixels: int, kernel_size: int, hidden_dims: int) -> None:
        """Layers between feature maps and tokens."""
        raise NotImplementedError(f"{type(self).__name__} does not define `_add_token_layers`")

    def tokens(self, feats: Sequence[Tensor]) -> Tensor:
        """One token a keypoint, (B, K, hidden_dims)."""
        raise NotImplementedError(f"{type(self).__name__} does not define `tokens`")

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Distributions over x (B, K, W * ratio) and y (B, K, H * ratio)."""
        tokens = self.gau(self.tokens(feats))
        return self.cls_x(tokens), self.cls_y(tokens)


@MODELS.register_module()
class RTMCCHead(_GatedHead):
    """RTMPose's head (Jiang 2023, arXiv 2303.07399, section 3.2).

    Args:
        in_channels: channels of the last feature map.
        out_channels: number of keypoints.
        input_size: (width, height) of the model's input, pixels.
        in_featuremap_size: (width, height) of the feature map.
        simcc_split_ratio: bins a pixel.
        final_layer_kernel_size: kernel size of the convolution.
        gau_cfg: settings of the gated attention unit.
        loss: config or module.
        decoder: codec or its config.

    Raises:
        ConfigError: several feature maps.
    """

    def _add_token_layers(self, pixels: int, kernel_size: int, hidden_dims: int) -> None:
        self.final_layer = nn.Conv2d(
            self.in_channels, self.out_channels, kernel_size, padding=kernel_size // 2
        )
        self.mlp = nn.Sequential(ScaleNorm(pixels), Linear(pixels, hidden_dims, bias=False))

    def tokens(self, feats: Sequence[Tensor]) -> Tensor:
        """One token a keypoint of the last feature map."""
        return self.mlp(self.final_layer(last_map(feats)).flatten(2))


@MODELS.register_module()
class RTMWHead(_GatedHead):
    """RTMW's head: tokens of two scales, for small parts such as hands and faces.

    Jiang 2024, "RTMW", arXiv 2407.08634.

    Takes the arguments of `RTMCCHead`; `in_channels` and `in_featuremap_size` are of the coarse
    feature map, the fine one has half the channels and twice the size.
    """

    #: how many times finer the fine feature map is
    _upscale = 2

    def _add_token_layers(self, pixels: int, kernel_size: int, hidden_dims: int) -> None:
        area = self._upscale**2
        channels = self.in_channels
        self.ps = nn.PixelShuffle(self._upscale)

        def conv(inside: int, out: int) -> ConvModule:
            return ConvModule(
                inside,
                out,
                kernel_size,
                padding=kernel_size // 2,
                norm_cfg={"type": "BN", "requires_grad": True},
                act_cfg={"type": "ReLU"},
            )

        def tokens(size: int) -> nn.Sequential:
            return nn.Sequential(ScaleNorm(size), Linear(size, hidden_dims // 2, bias=False))

        self.conv_dec = conv(channels // area, channels // 4)
        self.final_layer = conv(channels, self.out_channels)
        self.final_layer2 = conv(channels // self._upscale + channels // 4, self.out_channels)
        self.mlp = tokens(pixels)
        self.mlp2 = tokens(pixels * area)

    def tokens(self, feats: Sequence[Tensor]) -> Tensor:
        """Tokens of the coarse map beside tokens of the fine map.

        Raises:
            ConfigError: another number of maps.
        """
        if len(feats) != 2:
            raise ConfigError(
                f"{type(self).__name__} takes two feature maps, a fine and a coarse one, got "
                f"{len(feats)}; let the backbone or the neck return two (out_indices)"
            )
        fine, coarse = feats
        detail = torch.cat([self.conv_dec(self.ps(coarse)), fine], dim=1)
        return torch.cat(
            [
                self.mlp(self.final_layer(coarse).flatten(2)),
                self.mlp2(self.final_layer2(detail).flatten(2)),
            ],
            dim=2,
        )
