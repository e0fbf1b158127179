"""Encodings of places in a map, of its pixels and of points."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from poise.layers import BaseModule
from poise.models.heads.edpose.encoder import sine_waves
from poise.registry import MODELS

__all__ = ["LearnedPositionalEncoding", "SinePositionalEncoding"]

_UNIFORM = {"type": "Uniform", "layer": "Embedding"}


@MODELS.register_module()
class SinePositionalEncoding(BaseModule):
    """Sines and cosines of x and y (Carion 2020): of the pixels of a map, or of points.

    Args:
        num_feats: channels of each axis.
        temperature: period of the slowest wave over that of the fastest.
        normalize: positions run from 0 to `scale` over the picture.
        scale: where they end.
        eps, offset: of that division, and of positions.
    """

    def __init__(
        self,
        num_feats: int,
        temperature: float = 10000,
        normalize: bool = False,
        scale: float = 2 * math.pi,
        eps: float = 1e-6,
        offset: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_feats, self.temperature = num_feats, temperature
        self.normalize, self.scale, self.eps, self.offset = normalize, scale, eps, offset

    def forward(self, mask: Tensor) -> Tensor:
        """Encoding (B, 2 * num_feats, H, W); `mask` (B, H, W) is true outside of the picture."""
        seen = 1 - mask.int()
        y, x = (seen.cumsum(axis, dtype=torch.float32) for axis in (1, 2))
        if self.normalize:
            y = (y + self.offset) / (y[:, -1:] + self.eps) * self.scale
            x = (x + self.offset) / (x[:, :, -1:] + self.eps) * self.scale
        return torch.cat((self._waves(y), self._waves(x)), dim=-1).permute(0, 3, 1, 2)

    def forward_coordinates(self, coord: Tensor) -> Tensor:
        """Encoding (B, K, 2 * num_feats) of points (B, K, 2), (x, y) as shares of the picture."""
        x, y = (coord * self.scale).unbind(dim=-1)
        return torch.cat((self._waves(y), self._waves(x)), dim=-1)

    def _waves(self, position: Tensor) -> Tensor:
        return sine_waves(position, self.num_feats, self.temperature)


@MODELS.register_module()
class LearnedPositionalEncoding(BaseModule):
    """A learned vector for each row and each column; of the pixels of a map only.

    Args:
        num_feats: channels of each axis.
        row_num_embed, col_num_embed: rows and columns there may be.
    """

    def __init__(
        self,
        num_feats: int,
        row_num_embed: int = 50,
        col_num_embed: int = 50,
        init_cfg: Any = _UNIFORM,
    ) -> None:
        super().__init__(init_cfg)
        self.num_feats = num_feats
        self.row_embed = nn.Embedding(row_num_embed, num_feats)
        self.col_embed = nn.Embedding(col_num_embed, num_feats)

    def forward(self, mask: Tensor) -> Tensor:
        """Encoding (B, 2 * num_feats, H, W) of maps of the size of `mask` (B, H, W)."""
        batch, height, width = mask.shape
        rows, columns = self.row_embed.weight[:height], self.col_embed.weight[:width]
        axes = (columns.expand(height, -1, -1), rows[:, None].expand(-1, width, -1))
        return torch.cat(axes, dim=-1).permute(2, 0, 1).expand(batch, -1, -1, -1)
