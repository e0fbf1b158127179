"""Deformable encoder: pixels of all maps attend to places on all maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.layers import BaseModule, Linear, ModuleList
from poise.layers.deform_attention import MultiScaleDeformableAttention, map_sizes
from poise.layers.transformer import DetrTransformerEncoderLayer

__all__ = [
    "MLP",
    "DeformableEncoder",
    "PositionEmbeddingSineHW",
    "inverse_sigmoid",
    "pixel_centres",
    "sine_waves",
]

LAYER_NORM: dict[str, Any] = {"type": "LN"}
SIGMOID_EPS = 1e-3
NORMALISE_EPS = 1e-6


def pixel_centres(height: Any, width: Any, like: Tensor) -> Tensor:
    """Centres (height * width, 2) of the pixels of a map as (x, y), row by row.

    Args:
        height, width: of the map.
        like: has the device and the precision.
    """
    x, y = (torch.arange(side, device=like.device) + 0.5 for side in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1).to(like)


def inverse_sigmoid(x: Tensor, eps: float = SIGMOID_EPS) -> Tensor:
    """Logits of probabilities that are kept within [eps, 1 - eps]."""
    x = x.clamp(min=0, max=1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


def sine_waves(position: Tensor, channels: int, temperature: float) -> Tensor:
    """Sines and cosines by turns, (..., channels), of positions (...), in their precision."""
    index = torch.arange(channels, dtype=torch.float32, device=position.device)
    period = temperature ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    angle = position[..., None] / period
    waves = torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(-2)
    return waves.to(position.dtype)


class MLP(BaseModule):
    """Linear layers with ReLU between them.

    Args:
        input_dim: channels in.
        hidden_dim: channels between.
        output_dim: channels out.
        num_layers: number of linear layers.
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = ModuleList(Linear(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) -> (..., output_dim)."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class PositionEmbeddingSineHW(BaseModule):
    """Sine encoding of the pixels of a map, with a temperature for each axis.

    Args:
        num_pos_feats: channels of each axis.
        temperatureH: along y.
        temperatureW: along x.
        normalize: positions run from 0 to `scale` over the picture.
        scale: 2 pi if None.

    Raises:
        ConfigError: `scale` without `normalize`.
    """

    def __init__(
        self,
        num_pos_feats: int = 64,
        temperatureH: float = 10000,
        temperatureW: float = 10000,
        normalize: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if scale is not None and not normalize:
            raise ConfigError("PositionEmbeddingSineHW: `scale` needs normalize=True")
        self.num_pos_feats = num_pos_feats
        self.temperatureH = temperatureH
        self.temperatureW = temperatureW
        self.normalize = normalize
        self.scale = 2 * math.pi if scale is None else scale

    def forward(self, mask: Tensor) -> Tensor:
        """Encoding (B, 2 * num_pos_feats, H, W) of a map.

        Args:
            mask: (B, H, W) bool, True outside of the picture.
        """
        y = (~mask).cumsum(1, dtype=torch.float32)
        x = (~mask).cumsum(2, dtype=torch.float32)
        if self.normalize:
            y = y / (y[:, -1:, :] + NORMALISE_EPS) * self.scale
            x = x / (x[:, :, -1:] + NORMALISE_EPS) * self.scale
        waves = (
            sine_waves(y, self.num_pos_feats, self.temperatureH),
            sine_waves(x, self.num_pos_feats, self.temperatureW),
        )
        return torch.cat(waves, dim=3).permute(0, 3, 1, 2)


class _EncoderLayer(DetrTransformerEncoderLayer):
    """Deformable self-attention and feed-forward, each with a norm after it."""

    attention = MultiScaleDeformableAttention


class DeformableEncoder(BaseModule):
    """Layers of deformable self-attention (Zhu 2021, Deformable DETR, section 4.1).

    Args:
        num_layers: number of layers.
        layer_cfg: `self_attn_cfg`, `ffn_cfg`, `norm_cfg` of each.
    """

    def __init__(self, num_layers: int, layer_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.layers = ModuleList(_EncoderLayer(**layer_cfg) for _ in range(num_layers))
        self.embed_dims = self.layers[0].embed_dims

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor,
        spatial_shapes: Tensor,
        valid_ratios: Tensor,
    ) -> Tensor:
        """Encoded pixels (B, S, C).

        Args:
            query: (B, S, C) pixels of all maps.
            query_pos: (B, S, C) their positions.
            key_padding_mask: (B, S), True outside of the picture.
            spatial_shapes: (L, 2) height and width of the maps.
            valid_ratios: (B, L, 2) share (x, y) of each map that is picture.
        """
        points = self.reference_points(spatial_shapes, valid_ratios)
        for layer in self.layers:
            query = layer(
                query,
                query_pos,
                key_padding_mask=key_padding_mask,
                reference_points=points,
                spatial_shapes=spatial_shapes,
            )
        return query

    @staticmethod
    def reference_points(spatial_shapes: Tensor, valid_ratios: Tensor) -> Tensor:
        """(B, S, L, 2) centre of each pixel on each map, as a share of the whole map."""
        points = []
        for level, (height, width) in enumerate(map_sizes(spatial_shapes)):
            grid = pixel_centres(height, width, valid_ratios)
            size = spatial_shapes[level].flip(0).to(valid_ratios)
            points.append(grid[None] / (valid_ratios[:, None, level] * size))
        return torch.cat(points, dim=1)[:, :, None] * valid_ratios[:, None]
