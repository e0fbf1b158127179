"""Attention inside windows, with learned biases for relative positions (Liu 2021, Swin)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise.layers.base import BaseModule
from poise.layers.init import trunc_normal_
from poise.layers.linear import Linear

__all__ = ["WindowMSA", "join_windows", "split_windows"]


def split_windows(x: Tensor, window_size: int | Sequence[int]) -> Tensor:
    """Map (B, H, W, C) -> windows (B * windows, h * w, C), row by row.

    Args:
        x: height and width are multiples of the window's.
        window_size: (h, w).
    """
    h, w = _pair(window_size)
    B, H, W, C = x.shape
    x = x.view(B, H // h, h, W // w, w, C)
    return x.transpose(2, 3).reshape(-1, h * w, C)


def join_windows(
    windows: Tensor, window_size: int | Sequence[int], height: int, width: int
) -> Tensor:
    """Windows (B * windows, h * w, C) -> map (B, H, W, C); undoes `split_windows`."""
    h, w = _pair(window_size)
    x = windows.view(-1, height // h, width // w, h, w, windows.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])


def _relative_index(height: int, width: int) -> Tensor:
    """(h * w, h * w) int64: row of the bias table for each pair of places in a window."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None, :] + height - 1
    right = columns[:, None] - columns[None, :] + width - 1
    return down * (2 * width - 1) + right


class WindowMSA(BaseModule):
    """Attention of the tokens of each window: (B * windows, L, C) -> the same.

    Args:
        embed_dims: C.
        num_heads: heads; divides C.
        window_size: (h, w), h * w = L.
        qkv_bias: bias of the joint projection.
        qk_scale: factor of the products; None is 1 / sqrt(C / heads).
        attn_drop_rate, proj_drop_rate: dropout of attention weights and after the projection.
        with_rpe: add a learned bias for each relative position.
        init_cfg: how weights start.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: Sequence[int],
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        with_rpe: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.window_size, self.with_rpe = tuple(window_size), with_rpe
        self.scale = qk_scale or (embed_dims // num_heads) ** -0.5
        if with_rpe:
            height, width = window_size
            table = torch.zeros((2 * height - 1) * (2 * width - 1), num_heads)
            self.relative_position_bias_table = nn.Parameter(table)
            self.register_buffer("relative_position_index", _relative_index(height, width))
        self.qkv = Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.attn_drop_rate = attn_drop_rate
        self.proj = Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def init_weights(self) -> None:
        """Biases start as a narrow cut Gaussian."""
        super().init_weights()
        if self.with_rpe:
            trunc_normal_(self.relative_position_bias_table, std=0.02)

    def _bias(self, mask: Tensor | None, count: int) -> Tensor | None:
        """What is added to products: (1 or B * windows, heads or 1, L, L)."""
        bias = None
        if self.with_rpe:
            # (L, L, heads) -> (1, heads, L, L)
            table = self.relative_position_bias_table
            bias = table[self.relative_position_index].permute(2, 0, 1).unsqueeze(0)
        if mask is None:
            return bias
        mask = mask.unsqueeze(1) if bias is None else mask.unsqueeze(1) + bias
        return mask.repeat(count // mask.shape[0], 1, 1, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend inside windows.

        Args:
            x: (B * windows, L, C).
            mask: (windows, L, L), added to the products.
        """
        B, L, C = x.shape
        qkv = self.qkv(x).view(B, L, 3, self.num_heads, C // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self._bias(mask, B),
            dropout_p=self.attn_drop_rate if self.training else 0.0,
            scale=self.scale,
        )
        return self.proj_drop(self.proj(out.transpose(1, 2).reshape(B, L, C)))
