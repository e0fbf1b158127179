"""DSTFormer of MotionBERT: attention over joints and over time (Zhu 2023, arXiv 2210.06551)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import DataError, one_of
from poise.layers import BaseModule, DropPath, Linear, constant_init, trunc_normal_
from poise.layers.attention import check_heads
from poise.layers.drop import drop_path_rates
from poise.models.backbones.base import BaseBackbone, is_pretrained
from poise.registry import MODELS

__all__ = ["DSTFormer"]


class Attention(BaseModule):
    """Attention over the joints of a frame, or over a joint's frames: (B * T, K, C) -> the same.

    Args:
        dim: C.
        num_heads: heads; divides C.
        qkv_bias: bias of the joint projection.
        qk_scale: factor of the products; None is 1 / sqrt(C / heads).
        attn_drop, proj_drop: dropout of attention weights and after the projection.
        mode: "spatial" or "temporal".

    Raises:
        ConfigError: another mode, or heads that do not divide the channels.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        mode: str = "spatial",
    ) -> None:
        super().__init__()
        one_of(mode, ("spatial", "temporal"), "mode")
        check_heads(dim, num_heads)
        self.num_heads, self.mode = num_heads, mode
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.attn_drop = attn_drop
        self.proj = Linear(dim, dim)
        self.qkv = Linear(dim, dim * 3, bias=qkv_bias)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x: Tensor, seq_len: int = 1) -> Tensor:
        """(B * T, K, C) with T = `seq_len` -> (B * T, K, C)."""
        frames, K, C = x.shape
        # (3, B, T, heads, K, channels of a head)
        qkv = self.qkv(x).view(-1, seq_len, K, 3, self.num_heads, C // self.num_heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)
        if self.mode == "temporal":
            qkv = qkv.transpose(2, 4)
        # torch's fused attention takes no more than four axes
        query, key, value = qkv.flatten(1, 2).unbind(0)
        dropout = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=self.scale)
        if self.mode == "temporal":
            out = out.unflatten(0, (-1, K)).transpose(1, 3).flatten(0, 1)
        out = out.transpose(1, 2).reshape(frames, K, C)
        return self.proj_drop(self.proj(out))


class AttentionBlock(BaseModule):
    """Both attentions, each with a feed-forward, in one order: (B * T, K, C) -> the same.

    Args:
        dim, num_heads: C and heads.
        mlp_ratio, mlp_out_ratio: channels inside and after the feed-forward, relative to C.
        qkv_bias, qk_scale, attn_drop: as `Attention`.
        drop: dropout after projections.
        drop_path: probability of stochastic depth.
        st_mode: "st" attends over joints first, "ts" over time.

    Raises:
        ConfigError: another order.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        mlp_out_ratio: float = 1.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
        st_mode: str = "st",
    ) -> None:
        super().__init__()
        self.st_mode = one_of(st_mode, ("st", "ts"), "st_mode")
        hidden, out = int(dim * mlp_ratio), int(dim * mlp_out_ratio)
        # parts come in pairs in released weights: s for joints, t for time
        modes = {"s": "spatial", "t": "temporal"}
        for key in modes:
            self.add_module(f"norm1_{key}", nn.LayerNorm(dim, eps=1e-6))
        for key, mode in modes.items():
            attention = Attention(dim, num_heads, qkv_bias, qk_scale, attn_drop, drop, mode)
            self.add_module(f"attn_{key}", attention)
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()
        for key in modes:
            self.add_module(f"norm2_{key}", nn.LayerNorm(dim, eps=1e-6))
        for key in modes:
            mlp = [Linear(dim, hidden), nn.GELU(), Linear(hidden, out), nn.Dropout(drop)]
            self.add_module(f"mlp_{key}", nn.Sequential(*mlp))

    def forward(self, x: Tensor, seq_len: int = 1) -> Tensor:
        """(B * T, K, C) with T = `seq_len` -> (B * T, K, C)."""
        for key in self.st_mode:
            attended = getattr(self, f"attn_{key}")(getattr(self, f"norm1_{key}")(x), seq_len)
            x = x + self.drop_path(attended)
            x = x + self.drop_path(getattr(self, f"mlp_{key}")(getattr(self, f"norm2_{key}")(x)))
        return x


@MODELS.register_module()
class DSTFormer(BaseBackbone):
    """Dual-stream transformer: keypoint sequences (B, T, K, D) -> features (B, T, K, C).

    Args:
        in_channels: D, x, y and score.
        feat_size: C.
        depth: pairs of blocks.
        num_heads: heads; divides C.
        mlp_ratio: channels inside feed-forwards relative to C.
        num_keypoints: K.
        seq_len: longest T.
        qkv_bias, qk_scale: of the attentions.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        att_fuse: weigh the two streams by what they say, rather than evenly.
    """

    def __init__(
        self,
        in_channels: int,
        feat_size: int = 256,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        num_keypoints: int = 17,
        seq_len: int = 243,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        att_fuse: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.feat_size, self.att_fuse = in_channels, feat_size, att_fuse
        self.joints_embed = Linear(in_channels, feat_size)
        self.pos_drop = nn.Dropout(drop_rate)
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        settings: dict[str, Any] = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "qk_scale": qk_scale,
            "drop": drop_rate,
            "attn_drop": attn_drop_rate,
        }
        for mode in ("st", "ts"):
            blocks = (
                AttentionBlock(feat_size, num_heads, drop_path=r, st_mode=mode, **settings)
                for r in rates
            )
            self.add_module(f"blocks_{mode}", nn.ModuleList(blocks))
        self.norm = nn.LayerNorm(feat_size, eps=1e-6)
        self.temp_embed = nn.Parameter(torch.zeros(1, seq_len, 1, feat_size))
        self.spat_embed = nn.Parameter(torch.zeros(1, num_keypoints, feat_size))
        trunc_normal_(self.temp_embed, std=0.02)
        trunc_normal_(self.spat_embed, std=0.02)
        if att_fuse:
            self.attn_regress = nn.ModuleList(Linear(feat_size * 2, 2) for _ in range(depth))
            for layer in self.attn_regress:
                constant_init(layer, 0, bias=0.5)

    def init_weights(self) -> None:
        """Narrow cut Gaussians for linear layers, whose biases stay as built; 1, 0 for norms."""
        super().init_weights()
        if is_pretrained(self):
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                constant_init(module, 1, bias=0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, K, D), or (T, K, D) of one sequence -> (B, T, K, C).

        Raises:
            DataError: another number of axes, or more frames than `seq_len`.
        """
        if x.dim() == 3:
            x = x[None]
        if x.dim() != 4 or x.shape[1] > self.temp_embed.shape[1]:
            raise DataError(
                f"expected (B, T, K, {self.in_channels}) with T up to {self.temp_embed.shape[1]}, "
                f"got {tuple(x.shape)}"
            )
        T = x.shape[1]
        x = self.joints_embed(x) + self.spat_embed + self.temp_embed[:, :T]
        x = self.pos_drop(x.flatten(0, 1))
        for i, (by_joints, by_time) in enumerate(zip(self.blocks_st, self.blocks_ts, strict=True)):
            first, second = by_joints(x, T), by_time(x, T)
            if self.att_fuse:
                weights = self.attn_regress[i](torch.cat((first, second), dim=-1)).softmax(dim=-1)
                x = first * weights[..., :1] + second * weights[..., 1:]
            else:
                x = (first + second) * 0.5
        return self.norm(x).unflatten(0, (-1, T))
