"""Attention inside windows, with learned biases for relative positions (Liu 2021, Swin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise.layers.attention import SelfAttention
from poise.layers.init import trunc_normal_

__all__ = [
    "WindowMSA",
    "attend_in_windows",
    "relative_index",
    "shift_mask",
    "split_windows",
    "window_padding",
]

#: added to products between tokens that a shift made neighbours
FAR = -100.0


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


def window_padding(
    height: int, width: int, window_size: int | Sequence[int], *, centred: bool = False
) -> tuple[int, int, int, int]:
    """Pixels to add left, right, above and below, so that whole windows cover a map.

    Args:
        height, width: of the map.
        window_size: side of a window, or (h, w).
        centred: on all sides alike; else right and below.
    """
    h, w = _pair(window_size)
    rows, columns = -height % h, -width % w
    top, left = (rows // 2, columns // 2) if centred else (0, 0)
    return left, columns - left, top, rows - top


def attend_in_windows(
    x: Tensor,
    window_size: int | Sequence[int],
    attend: Callable[[Tensor], Tensor],
    *,
    shift: int = 0,
    centred: bool = False,
) -> Tensor:
    """Map (B, H, W, C) of which each window sees itself alone; any H and W.

    Args:
        x: the map; it is padded with zeros to whole windows, and cut again.
        window_size: side of a window, or (h, w).
        attend: windows (B * windows, h * w, C) -> the same.
        shift: pixels that the padded map is moved by up and to the left meanwhile; what leaves
            it comes back on the other side.
        centred: pad on all sides alike; else right and below.
    """
    h, w = _pair(window_size)
    H, W = x.shape[1:3]
    left, right, top, below = window_padding(H, W, window_size, centred=centred)
    x = F.pad(x, (0, 0, left, right, top, below))
    height, width = x.shape[1:3]
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    windows = attend(split_windows(x, window_size))
    x = windows.view(-1, height // h, width // w, h, w, windows.shape[-1])
    x = x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])
    if shift:
        x = torch.roll(x, (shift, shift), (1, 2))
    return x[:, top : top + H, left : left + W]


def shift_mask(
    height: int, width: int, window_size: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """(windows, L, L) float32: `FAR` between tokens that are no neighbours before the shift.

    Args:
        height, width: of the map, multiples of the window's side.
        window_size: side of a window.
        shift: places that the map is moved by, more than none.
        device: where it is made.
    """

    def regions(size: int) -> Tensor:
        ids = torch.zeros(size, device=device)
        ids[-window_size:] = 1
        ids[-shift:] = 2
        return ids

    labels = 3 * regions(height)[:, None] + regions(width)
    labels = split_windows(labels[None, :, :, None], window_size).squeeze(-1)
    return (labels[:, None] != labels[:, :, None]) * FAR


def relative_index(height: int, width: int) -> Tensor:
    """(h * w, h * w) int64: row of the bias table for each pair of places in a window."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None, :] + height - 1
    right = columns[:, None] - columns[None, :] + width - 1
    return down * (2 * width - 1) + right


class WindowMSA(SelfAttention):
    """Attention of the tokens of each window: (B * windows, L, C) -> the same.

    Args:
        embed_dims, num_heads, qkv_bias, qk_scale, attn_drop_rate, proj_drop_rate, init_cfg: as
            `SelfAttention`.
        window_size: (h, w), h * w = L.
        with_rpe: add a learned bias for each relative position.
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
        drops = (attn_drop_rate, proj_drop_rate)
        super().__init__(embed_dims, num_heads, qkv_bias, qk_scale, *drops, init_cfg)
        self.window_size, self.with_rpe = tuple(window_size), with_rpe
        if with_rpe:
            height, width = window_size
            table = torch.zeros((2 * height - 1) * (2 * width - 1), num_heads)
            self.relative_position_bias_table = nn.Parameter(table)
            self.register_buffer("relative_position_index", relative_index(height, width))

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
        return self.attend(x, self._bias(mask, len(x)))
