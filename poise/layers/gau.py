"""Gated attention over any number of leading axes (RTMO), and its products (RTMPose, too)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ArgumentError
from poise.layers.base import BaseModule
from poise.layers.drop import DropPath
from poise.layers.linear import Linear
from poise.layers.scale import ChannelWiseScale, ScaleNorm
from poise.layers.sine_position import SinePositionalEncoding

__all__ = ["GAUEncoder", "squared_products"]


def squared_products(query: Tensor, key: Tensor, width: int, bias: Tensor | None = None) -> Tensor:
    """Weights (..., L, L) of attention: squares of rectified products, instead of a softmax.

    So 2021, "Primer", arXiv 2109.08668; Hua 2022, arXiv 2202.10447, section 3.2.

    Args:
        query, key: (..., L, width).
        width: of both.
        bias: added to the products, (..., L, L).
    """
    products = query @ key.transpose(-1, -2)
    products = products if bias is None else products + bias
    return F.relu(products / math.sqrt(width)).square()


class GAUEncoder(BaseModule):
    """Self-attention with a gate, squared ReLU scores and a residual path.

    Hua 2022, "Transformer Quality in Linear Time", section 3.2, arXiv 2202.10447.

    Args:
        in_token_dims: width of the input tokens.
        out_token_dims: width of the output tokens; where it equals the input's there is a
            residual path.
        expansion_factor: width of the gate, relative to the input.
        s: width of queries and keys.
        eps: smallest norm that the scale norm divides by.
        dropout_rate: dropout of the attention.
        drop_path: probability of leaving the unit out of a sample.
        act_fn: "SiLU", or ReLU for any other text.
        bias: linear layers have a bias.
        pos_enc: "add" or "rope": how a position encoding joins queries and keys; "none" or
            False for none.
        spatial_dim: axes of the positions, 1 or 2.
    """

    def __init__(
        self,
        in_token_dims: int,
        out_token_dims: int,
        expansion_factor: float = 2,
        s: int = 128,
        eps: float = 1e-5,
        dropout_rate: float = 0.0,
        drop_path: float = 0.0,
        act_fn: str = "SiLU",
        bias: bool = False,
        pos_enc: str | bool = "none",
        spatial_dim: int = 1,
    ) -> None:
        super().__init__()
        self.s = s
        self.pos_enc = pos_enc
        self.spatial_dim = spatial_dim
        self.e = int(in_token_dims * expansion_factor)
        self.dropout_rate = dropout_rate
        self.shortcut = in_token_dims == out_token_dims
        self.gamma = nn.Parameter(torch.rand(2, s))
        self.beta = nn.Parameter(torch.rand(2, s))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.o = Linear(self.e, out_token_dims, bias=bias)
        self.uv = Linear(in_token_dims, 2 * self.e + s, bias=bias)
        self.ln = ScaleNorm(in_token_dims, eps=eps)
        nn.init.xavier_uniform_(self.uv.weight)
        self.act_fn = nn.SiLU(inplace=True) if act_fn == "SiLU" else nn.ReLU(inplace=True)
        if self.shortcut:
            self.res_scale = ChannelWiseScale(in_token_dims)
        if dropout_rate > 0:
            self.dropout = nn.Dropout(dropout_rate)

    def _positioned(self, x: Tensor, pos_enc: Tensor | None) -> Tensor:
        """Queries or keys (..., L, s) with their positions."""
        if self.pos_enc not in ("rope", "add"):
            # MMPose's takes True and every other word for "none"
            return x
        if pos_enc is None:
            raise ArgumentError(f"GAUEncoder(pos_enc={self.pos_enc!r}) needs `pos_enc`, got None")
        if self.pos_enc == "rope":
            return SinePositionalEncoding.apply_rotary_pos_enc(x, pos_enc, self.spatial_dim)
        return x + pos_enc.reshape(x.shape[-2:])

    def forward(
        self, x: Tensor, mask: Tensor | None = None, pos_enc: Tensor | None = None
    ) -> Tensor:
        """Tokens (..., L, C) -> (..., L, C').

        Args:
            x: tokens.
            mask: factor of the attention, broadcastable to (..., L, L).
            pos_enc: encoding of the positions, as `pos_enc` of the constructor needs it.
        """
        gate, value, base = self.act_fn(self.uv(self.ln(x))).split([self.e, self.e, self.s], -1)
        query, key = (
            self._positioned(base * gamma + beta, pos_enc)
            for gamma, beta in zip(self.gamma, self.beta, strict=True)
        )
        kernel = squared_products(query, key, self.s)
        if mask is not None:
            kernel = kernel * mask
        if self.dropout_rate > 0:
            kernel = self.dropout(kernel)
        out = self.drop_path(self.o(gate * (kernel @ value)))
        return self.res_scale(x) + out if self.shortcut else out
