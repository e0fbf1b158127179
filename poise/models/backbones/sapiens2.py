"""Sapiens2: a vision transformer of people in fine resolution (Khirodkar 2026, arXiv 2604.21681).

Written from the paper and from the names and shapes of the published weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError, one_of
from poise.layers import LayerScale, RMSNorm
from poise.layers.attention import check_heads
from poise.layers.base import BaseModule, ModuleList
from poise.layers.drop import DropPath, drop_path_rates
from poise.layers.init import trunc_normal_
from poise.layers.linear import Linear
from poise.layers.patches import PatchEmbed, nlc_to_nchw, picture_sides
from poise.models.backbones.base import (
    BaseBackbone,
    check_frozen_stages,
    freeze,
    is_pretrained,
)
from poise.models.backbones.tokens import (
    LayerDepths,
    arch_settings,
    arch_table,
    layer_indices,
)
from poise.models.renames import rename_old_keys
from poise.registry import MODELS

__all__ = ["Sapiens2"]

#: name, channels, layers, heads, channels of the feed-forward part
_ARCHS = (
    ("sapiens2_0.1b", 768, 12, 12, 3072),
    ("sapiens2_0.4b", 1024, 24, 16, 4096),
    ("sapiens2_0.8b", 1280, 32, 16, 5120),
    ("sapiens2_1b", 1536, 40, 24, 6144),
    ("sapiens2_5b", 2432, 56, 32, 9728),
)
#: layers at either end whose heads have keys of their own; between them two heads share
_UNSHARED = 8
_EPS = 1e-6


class RotaryPosition(nn.Module):
    """Angles that turn queries and keys by where their patch lies (Su 2021; axial, as DINOv3).

    Args:
        head_dims: channels of a head, a multiple of 4.
        base: the longest period, in units of half a picture.
        dtype: in which angles are computed.
    """

    periods: Tensor

    def __init__(self, head_dims: int, base: float, dtype: torch.dtype) -> None:
        super().__init__()
        if head_dims % 4:
            raise ConfigError(f"a head of {head_dims} channels; rotations ask for a multiple of 4")
        steps = 2 * torch.arange(head_dims // 4, dtype=dtype) / (head_dims // 2)
        # released files hold the periods, too, which follow from the base
        self.register_buffer("periods", base**steps, persistent=False)
        rename_old_keys(self, [], always=[("periods$", None)])

    def forward(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(rows, columns) of patches -> sines and cosines (rows * columns, head_dims)."""
        # centres of patches from -1 to 1, whatever the picture's sides
        along = [
            2 * (torch.arange(0.5, n, dtype=self.periods.dtype, device=self.periods.device) / n) - 1
            for n in grid
        ]
        places = torch.stack(torch.meshgrid(*along, indexing="ij"), dim=-1).flatten(0, 1)
        angles = (2 * math.pi * places[..., None] / self.periods).flatten(1).tile(2)
        return angles.sin(), angles.cos()


def _turned(x: Tensor, sines: Tensor, cosines: Tensor) -> Tensor:
    """Heads (B, heads, L, C) with channel i and i + C / 2 turned as pairs.

    Tokens in front that stand for no patch stay as they are.
    """
    extra = x.shape[2] - sines.shape[0]
    rounded = x.to(sines.dtype)
    patches = rounded[:, :, extra:]
    first, second = patches.chunk(2, dim=-1)
    turned = patches * cosines + torch.cat((-second, first), dim=-1) * sines
    return torch.cat((rounded[:, :, :extra], turned), dim=2).to(x.dtype)


class RotaryAttention(nn.Module):
    """Attention with rotations, norms of queries and keys, and heads that share keys.

    Grouped queries: Ainslie 2023. (B, L, C) -> (B, L, C).

    Args:
        embed_dims, num_heads: C, heads of queries.
        num_kv_heads: heads of keys and values; divides `num_heads`.
        qkv_bias: bias of the projections.
        use_qk_norm: norm of each query and key.
        layer_scale_init_value: start of factors per channel; 0 for none.

    Raises:
        ConfigError: heads that do not divide.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        num_kv_heads: int,
        *,
        qkv_bias: bool,
        use_qk_norm: bool,
        layer_scale_init_value: float,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads)
        check_heads(num_heads, num_kv_heads)
        self.head_dims = embed_dims // num_heads
        self.sharing = num_heads // num_kv_heads
        narrow = num_kv_heads * self.head_dims
        self.wq = Linear(embed_dims, embed_dims, bias=qkv_bias)
        self.wk = Linear(embed_dims, narrow, bias=qkv_bias)
        self.wv = Linear(embed_dims, narrow, bias=qkv_bias)
        self.q_norm, self.k_norm = (
            RMSNorm(self.head_dims, eps=_EPS) if use_qk_norm else nn.Identity() for _ in range(2)
        )
        self.proj = Linear(embed_dims, embed_dims)
        scale = layer_scale_init_value
        self.gamma = LayerScale(embed_dims, scale=scale) if scale > 0 else nn.Identity()

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """(B, L, C) and sines and cosines of the patches -> (B, L, C)."""
        query, key, value = (
            layer(x).unflatten(2, (-1, self.head_dims)).transpose(1, 2)
            for layer in (self.wq, self.wk, self.wv)
        )
        query, key = _turned(self.q_norm(query), *turns), _turned(self.k_norm(key), *turns)
        if self.sharing > 1:
            key, value = (each.repeat_interleave(self.sharing, dim=1) for each in (key, value))
        out = F.scaled_dot_product_attention(query, key, value)
        return self.gamma(self.proj(out.transpose(1, 2).flatten(2)))


class GatedFeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): (B, L, C) -> (B, L, C).

    Args:
        embed_dims: C.
        feedforward_channels: inside.
    """

    def __init__(self, embed_dims: int, feedforward_channels: int) -> None:
        super().__init__()
        self.w12 = Linear(embed_dims, 2 * feedforward_channels)
        self.w3 = Linear(feedforward_channels, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        gate, inner = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * inner)


class Sapiens2Layer(BaseModule):
    """Norm and attention, norm and feed-forward, each added: (B, L, C) -> (B, L, C).

    Args:
        embed_dims, feedforward_channels: C, and channels inside the feed-forward.
        drop_path_rate: of stochastic depth.
        attention: further arguments of `RotaryAttention`.
    """

    def __init__(
        self, embed_dims: int, feedforward_channels: int, drop_path_rate: float, **attention: Any
    ) -> None:
        super().__init__()
        self.ln1 = RMSNorm(embed_dims, eps=_EPS)
        self.attn = RotaryAttention(embed_dims, **attention)
        self.ln2 = RMSNorm(embed_dims, eps=_EPS)
        self.ffn = GatedFeedForward(embed_dims, feedforward_channels)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """(B, L, C) and sines and cosines of the patches -> (B, L, C)."""
        x = x + self.drop_path(self.attn(self.ln1(x), turns))
        return x + self.drop_path(self.ffn(self.ln2(x)))


@MODELS.register_module()
class Sapiens2(LayerDepths, BaseBackbone):
    """Patches, a class token and registers through layers with rotary positions.

    (B, 3, H, W) -> (B, C, H / patch, W / patch), one map for each of `out_indices`. Pictures of
    any size that the patches fill: positions count from the middle in half pictures.

    Args:
        arch: "sapiens2_0.1b", "sapiens2_0.4b", "sapiens2_0.8b", "sapiens2_1b", "sapiens2_5b", or
            a dict of `embed_dims`, `num_layers`, `num_heads`, `feedforward_channels`.
        img_size: of the picture, (height, width).
        patch_size: side of patches.
        in_channels: channels of the picture.
        out_indices: layers whose output is returned; negative ones count from the end.
        drop_path_rate: of stochastic depth in the last layer.
        use_qk_norm: norm of each query and key.
        qkv_bias: bias of the attention's projections.
        final_norm: norm after the last layer.
        out_type: "featmap"; "raw" is all tokens (B, L, C), "cls_token" (B, C).
        layer_scale_init_value: start of the factors of attention; 0 for none.
        frozen_stages: layers without training; -1 for none.
        num_kv_heads: heads of keys in each layer; None: all in the first and the last eight, half
            as many between them.
        n_storage_tokens: registers (Darcet 2024).
        pos_embed_rope_base: longest period of the rotations, in half pictures.
        pos_embed_rope_dtype: "fp32", as transformers computes angles, or "bf16", as Meta's code.

    Raises:
        ConfigError: unknown or incomplete settings.
    """

    arch_zoo = arch_table(_ARCHS)
    stack, first = "blocks", ("cls_token", "storage_tokens", "patch_embed")

    def __init__(
        self,
        arch: str | Mapping[str, int] = "sapiens2_1b",
        img_size: int | Sequence[int] = (1024, 768),
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        drop_path_rate: float = 0.0,
        use_qk_norm: bool = True,
        qkv_bias: bool = True,
        final_norm: bool = True,
        out_type: str = "featmap",
        layer_scale_init_value: float = 1e-4,
        frozen_stages: int = -1,
        num_kv_heads: Sequence[int] | None = None,
        n_storage_tokens: int = 8,
        pos_embed_rope_base: float = 100.0,
        pos_embed_rope_dtype: str = "fp32",
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = arch_settings(arch, self.arch_zoo)
        self.embed_dims, self.num_layers = settings["embed_dims"], settings["num_layers"]
        heads = settings["num_heads"]
        check_heads(self.embed_dims, heads)
        check_frozen_stages(frozen_stages, self.num_layers)
        self.frozen_stages, self.final_norm = frozen_stages, final_norm
        self.out_type = one_of(out_type, ("featmap", "raw", "cls_token"), "out_type")
        self.out_indices = layer_indices(out_indices, self.num_layers)
        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, "Conv2d", patch_size, patch_size, padding=0,
            input_size=picture_sides(img_size),
        )  # fmt: skip
        one_of(pos_embed_rope_dtype, ("fp32", "bf16"), "pos_embed_rope_dtype")
        dtype = torch.bfloat16 if pos_embed_rope_dtype == "bf16" else torch.float32
        self.rope_embed = RotaryPosition(self.embed_dims // heads, pos_embed_rope_base, dtype)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.storage_tokens = nn.Parameter(torch.zeros(1, n_storage_tokens, self.embed_dims))
        (rates,) = drop_path_rates(drop_path_rate, [self.num_layers])
        self.blocks = ModuleList(
            Sapiens2Layer(
                self.embed_dims,
                settings["feedforward_channels"],
                rate,
                num_heads=heads,
                num_kv_heads=shared,
                qkv_bias=qkv_bias,
                use_qk_norm=use_qk_norm,
                layer_scale_init_value=layer_scale_init_value,
            )
            for rate, shared in zip(rates, self._key_heads(heads, num_kv_heads), strict=True)
        )
        if final_norm:
            self.ln1 = RMSNorm(self.embed_dims, eps=_EPS)

    def _key_heads(self, heads: int, given: Sequence[int] | None) -> list[int]:
        """Heads of keys in each layer.

        Raises:
            ConfigError: not one number for each layer.
        """
        if given is None:
            between = range(_UNSHARED, self.num_layers - _UNSHARED)
            return [heads // 2 if i in between else heads for i in range(self.num_layers)]
        if len(given) != self.num_layers:
            raise ConfigError(
                f"num_kv_heads has {len(given)} numbers, expected one for each of the "
                f"{self.num_layers} layers"
            )
        return list(given)

    def init_weights(self) -> None:
        """Apply `init_cfg`; else narrow cut Gaussians for all that multiplies, and the tokens."""
        super().init_weights()
        if is_pretrained(self):
            return
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for token in (self.cls_token, self.storage_tokens):
            trunc_normal_(token, std=0.02)

    def _freeze_stages(self) -> None:
        if self.frozen_stages <= 0:
            return
        self.cls_token.requires_grad = self.storage_tokens.requires_grad = False
        parts = [self.patch_embed, *self.blocks[: self.frozen_stages]]
        if self.frozen_stages == self.num_layers and self.final_norm:
            parts.append(self.ln1)
        freeze(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> an output for each of `out_indices`, see `out_type`."""
        x, grid = self.patch_embed(x)
        front = (self.cls_token, self.storage_tokens)
        x = torch.cat([*(token.expand(x.shape[0], -1, -1) for token in front), x], dim=1)
        turns = self.rope_embed(grid)
        outs = []
        for i, layer in enumerate(self.blocks):
            x = layer(x, turns)
            if i == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(self._format_output(x, grid))
        return tuple(outs)

    def _format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens (B, L, C) as `out_type` says."""
        if self.out_type == "raw":
            return x
        if self.out_type == "cls_token":
            return x[:, 0]
        return nlc_to_nchw(x[:, 1 + self.storage_tokens.shape[1] :], grid)
