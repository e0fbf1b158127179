"""Attention of tokens on one another by one joint projection, as vision transformers have it."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers.base import BaseModule
from poise.layers.linear import Linear

__all__ = ["SelfAttention", "check_heads"]


def check_heads(embed_dims: int, num_heads: int) -> None:
    """Raise ConfigError unless the channels can be dealt out evenly over the heads."""
    if num_heads < 1 or embed_dims % num_heads:
        raise ConfigError(
            f"attention deals its channels out over its heads: embed_dims={embed_dims} is no "
            f"multiple of num_heads={num_heads}"
        )


class SelfAttention(BaseModule):
    """Scaled products of queries and keys (Vaswani 2017, section 3.2): (B, L, C) -> the same.

    Weights stand under `qkv` and `proj`.

    Args:
        embed_dims: C.
        num_heads: heads; divides C.
        qkv_bias: bias of the joint projection.
        qk_scale: factor of the products; None is 1 / sqrt(C / heads).
        attn_drop_rate, proj_drop_rate: dropout of attention weights and after the projection.

    Raises:
        ConfigError: heads that do not divide the channels.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        check_heads(embed_dims, num_heads)
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.scale = qk_scale or (embed_dims // num_heads) ** -0.5
        self.attn_drop_rate = attn_drop_rate
        self.qkv = Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def attend(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C).

        Args:
            x: tokens.
            bias: added to the products, (1 or B, 1 or heads, L, L).
        """
        B, L, C = x.shape
        qkv = self.qkv(x).view(B, L, 3, self.num_heads, C // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias,
            dropout_p=self.attn_drop_rate if self.training else 0.0,
            scale=self.scale,
        )
        return self.proj_drop(self.proj(out.transpose(1, 2).reshape(B, L, C)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        return self.attend(x)
