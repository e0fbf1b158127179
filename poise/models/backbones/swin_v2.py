"""Swin transformer V2 (Liu 2022, arXiv 2111.09883), as Pose Anything has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError, DataError
from poise.layers import DropPath, constant_init
from poise.layers.drop import drop_path_rates
from poise.layers.patches import picture_sides
from poise.layers.recompute import maybe_checkpoint
from poise.layers.transformer import Mlp
from poise.layers.window_attention import (
    attend_in_windows,
    relative_index,
    shift_mask,
    window_padding,
)
from poise.models.backbones.base import TOKEN_INIT, BaseBackbone, check_entries, is_pretrained
from poise.models.weights import load_state_dict, read_state_dict
from poise.registry import MODELS

__all__ = ["SwinTransformerV2"]

Size = tuple[int, int]

#: the sharpest attention: products of unit vectors are multiplied by at most so much
MAX_SCALE = 100.0
#: biases of relative positions lie between 0 and this
MAX_BIAS = 16.0
#: distances run from -8 to 8 before their logarithm is taken
REACH = 8
#: channels between in the network that makes biases of distances
BIAS_CHANNELS = 512


class CosineWindowAttention(nn.Module):
    """Attention by the angle of queries and keys, biased by the logarithm of distances.

    Biases come from a small network, so that windows may grow after pretraining (section 3.3).

    Args:
        dim: channels C.
        window_size: (h, w).
        num_heads: heads; divides C.
        qkv_bias: bias of queries and values.
        attn_drop, proj_drop: dropout of attention weights and after the projection.
        pretrained: side of the windows in pretraining; 0 for these.
    """

    relative_coords_table: Tensor
    relative_position_index: Tensor

    def __init__(
        self,
        dim: int,
        window_size: Size,
        num_heads: int,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        pretrained: int = 0,
    ) -> None:
        super().__init__()
        self.num_heads, self.attn_drop = num_heads, attn_drop
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10)))
        self.q_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.register_buffer("relative_coords_table", _log_distances(window_size, pretrained))
        self.register_buffer("relative_position_index", relative_index(*window_size))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, BIAS_CHANNELS), nn.ReLU(), nn.Linear(BIAS_CHANNELS, num_heads, bias=False)
        )
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def _bias(self) -> Tensor:
        """(1, heads, L, L), added to the products."""
        table = MAX_BIAS * self.cpb_mlp(self.relative_coords_table).flatten(0, 2).sigmoid()
        return table[self.relative_position_index].permute(2, 0, 1).unsqueeze(0)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B * windows, L, C) -> the same; `mask` (windows, L, L) is added to the products."""
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        sharpness = self.logit_scale.clamp(max=math.log(MAX_SCALE)).exp()
        # half precision has no number as small as torch's least norm, and padding has the norm 0
        eps = max(1e-12, torch.finfo(x.dtype).tiny)
        added = self._bias()
        if mask is not None:
            added = (added + mask.unsqueeze(1)).repeat(len(x) // len(mask), 1, 1, 1)
        out = F.scaled_dot_product_attention(
            F.normalize(query, dim=-1, eps=eps) * sharpness,
            F.normalize(key, dim=-1, eps=eps),
            value,
            attn_mask=added,
            dropout_p=self.attn_drop if self.training else 0.0,
            scale=1.0,
        )
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))


def _log_distances(window: Size, pretrained: int) -> Tensor:
    """(1, 2 h - 1, 2 w - 1, 2): all (down, right) in a window, on a logarithmic scale."""
    axes = [torch.arange(1 - side, side, dtype=torch.float32) for side in window]
    steps = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    reach = torch.tensor([(pretrained or side) - 1 for side in window], dtype=torch.float32)
    steps = steps / reach * REACH
    return (steps.sign() * (steps.abs() + 1).log2() / math.log2(REACH)).unsqueeze(0)


class SwinBlockV2(nn.Module):
    """Attention and feed-forward, each with its norm at the end of the branch (section 3.2).

    Args:
        dim: channels C.
        grid: height and width of the map.
        num_heads: heads.
        window_size: side of windows; maps that are no larger are one window.
        shift: move the windows by half their side.
        hidden: channels of the feed-forward.
        drop, drop_path: probabilities of dropouts.
        **attention: further arguments of `CosineWindowAttention`.
    """

    attn_mask: Tensor | None

    def __init__(
        self,
        dim: int,
        grid: Size,
        num_heads: int,
        window_size: int,
        shift: bool,
        hidden: int,
        drop: float,
        drop_path: float,
        **attention: Any,
    ) -> None:
        super().__init__()
        whole = min(grid) <= window_size
        self.grid, self.window_size = grid, min(grid) if whole else window_size
        self.shift = window_size // 2 if shift and not whole else 0
        self.norm1 = nn.LayerNorm(dim)
        window = (self.window_size, self.window_size)
        self.attn = CosineWindowAttention(dim, window, num_heads, proj_drop=drop, **attention)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden, drop, nn.Linear)
        _, right, _, below = window_padding(*grid, self.window_size)
        padded = (grid[0] + below, grid[1] + right)
        mask = shift_mask(*padded, self.window_size, self.shift) if self.shift else None
        self.register_buffer("attn_mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H * W, C) -> the same."""
        seen = attend_in_windows(
            x.unflatten(1, self.grid),
            self.window_size,
            lambda windows: self.attn(windows, self.attn_mask),
            shift=self.shift,
        )
        x = x + self.drop_path(self.norm1(seen.flatten(1, 2)))
        return x + self.drop_path(self.norm2(self.mlp(x)))


class _Merging(nn.Module):
    """Four neighbours into one token, the norm last: (B, H * W, C) -> (B, H * W / 4, 2 C)."""

    def __init__(self, grid: Size, dim: int) -> None:
        super().__init__()
        self.grid = grid
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H * W, C) -> (B, H * W / 4, 2 C)."""
        height, width = self.grid
        x = x.unflatten(1, (height // 2, 2, width // 2, 2))
        # (row, down, column, right, C): left before right, above before below
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3).flatten(1, 2)
        return self.norm(self.reduction(x))


class _Stage(nn.Module):
    """Blocks of one size, and the way to the next."""

    def __init__(
        self, blocks: list[nn.Module], downsample: nn.Module | None, with_cp: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of this size -> tokens of the next."""
        for block in self.blocks:
            x = maybe_checkpoint(block, self.with_cp, x)
        return x if self.downsample is None else self.downsample(x)


class _Patches(nn.Module):
    """(B, 3, H, W) -> tokens (B, L, C)."""

    def __init__(self, in_chans: int, dim: int, side: int, norm: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, side, side)
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, L, C)."""
        return self.norm(self.proj(x).flatten(2).transpose(1, 2))


def _upsampled(kind: str, channels: int) -> nn.Module:
    """What makes a map twice as large: (B, C, H, W) -> (B, C, 2 H, 2 W)."""
    smooth: dict[str, Any] = {"mode": "bilinear", "align_corners": False}
    if kind == "deconv":
        return nn.ConvTranspose2d(channels, channels, 2, stride=2)
    if kind == "bilinear":
        return nn.Upsample(scale_factor=2, **smooth)
    if kind in ("new_deconv", "new_deconv2"):
        return nn.Sequential(
            nn.Upsample(scale_factor=2, **(smooth if kind == "new_deconv" else {})),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
    return nn.Identity()


@MODELS.register_module()
class SwinTransformerV2(BaseBackbone):
    """Shifted windows with cosine attention: (B, 3, H, W) -> one map at stride 16.

    Args:
        img_size: side of the pictures, or (height, width); no others pass.
        patch_size: side of patches.
        in_chans: channels of the picture.
        num_classes: channels of `head`, which poses do not need but released weights have.
        embed_dim: channels of the first size; each size has twice as many.
        depths, num_heads: blocks and heads of each size.
        window_size: side of windows.
        mlp_ratio: channels of feed-forwards relative to those of tokens.
        qkv_bias: bias of queries and values.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        ape: add learned absolute positions.
        patch_norm: norm after the patches.
        use_checkpoint: compute activations anew in the backward pass.
        pretrained_window_sizes: side of windows of each size in pretraining; 0 for `window_size`.
        multi_scale: one map of all sizes, at stride 8.
        upsample: how the map at stride 32 becomes one at 16: "deconv", "new_deconv",
            "new_deconv2" or "bilinear"; any other leaves it.
        init_cfg: how weights start; of "Pretrained" a file in the authors' form.

    Raises:
        ConfigError: lists that do not fit together, or pictures that patches do not fill.
    """

    def __init__(
        self,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        num_classes: int = 1000,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        ape: bool = False,
        patch_norm: bool = True,
        use_checkpoint: bool = False,
        pretrained_window_sizes: Sequence[int] = (0, 0, 0, 0),
        multi_scale: bool = False,
        upsample: str = "deconv",
        init_cfg: Any = TOKEN_INIT,
    ) -> None:
        super().__init__(init_cfg)
        lists = {"num_heads": num_heads, "pretrained_window_sizes": pretrained_window_sizes}
        check_entries(self, len(depths), "sizes", lists, or_more=True)
        self.img_size = picture_sides(img_size)
        multiple = patch_size * 2 ** (len(depths) - 1)
        if any(side % multiple for side in self.img_size):
            raise ConfigError(
                f"SwinTransformerV2 joins patches of {patch_size} pixels by two, "
                f"{len(depths) - 1} times: the sides of img_size must be multiples of {multiple}, "
                f"got {self.img_size}"
            )
        rows, columns = (side // patch_size for side in self.img_size)
        widths = [embed_dim * 2**i for i in range(len(depths))]
        self.patch_embed = _Patches(in_chans, embed_dim, patch_size, patch_norm)
        self.absolute_pos_embed = None
        if ape:
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, rows * columns, embed_dim))
        self.pos_drop = nn.Dropout(drop_rate)
        self.num_features = widths[-1]
        self.layers = nn.ModuleList()
        rates = drop_path_rates(drop_path_rate, depths)
        for i, width in enumerate(widths):
            grid = (rows // 2**i, columns // 2**i)
            blocks: list[nn.Module] = [
                SwinBlockV2(
                    width,
                    grid,
                    num_heads[i],
                    window_size,
                    shift=n % 2 == 1,
                    hidden=int(width * mlp_ratio),
                    drop=drop_rate,
                    drop_path=rates[i][n],
                    qkv_bias=qkv_bias,
                    attn_drop=attn_drop_rate,
                    pretrained=pretrained_window_sizes[i],
                )
                for n in range(depths[i])
            ]
            merging = _Merging(grid, width) if i < len(depths) - 1 else None
            self.layers.append(_Stage(blocks, merging, use_checkpoint))
        self._last_grid = grid
        self.norm = nn.LayerNorm(self.num_features)
        self.multi_scale = multi_scale
        if multi_scale:
            scales = (2**i for i in range(len(depths) - 1))
            self.scales = [*scales, 2 ** (len(depths) - 2)]
            joined = sum(widths[1:]) + self.num_features
            self.multi_scale_fuse = nn.Conv2d(joined, self.num_features, 1)
        else:
            self.upsample = _upsampled(upsample, self.num_features)
        self.head = nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()

    def init_weights(self) -> None:
        """Apply `init_cfg`; branches start without effect, as their norms give 0."""
        if is_pretrained(self):
            load_state_dict(self, _authors_weights(self.init_cfg["checkpoint"]))
            return
        super().init_weights()
        for part in self.modules():
            if isinstance(part, SwinBlockV2):
                constant_init(part.norm1, 0)
                constant_init(part.norm2, 0)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H / 16, W / 16)."""
        sides = tuple(x.shape[-2:])
        if sides != self.img_size:
            raise DataError(
                f"SwinTransformerV2 takes {self.img_size} pixels (height, width), got {sides}; "
                "TopdownAffine's input_size and img_size should be the same"
            )
        x = self.patch_embed(x)
        if self.absolute_pos_embed is not None:
            x = x + self.absolute_pos_embed
        x = self.pos_drop(x)
        sizes = []
        for stage in self.layers:
            x = stage(x)
            sizes.append(x)
        if self.multi_scale:
            return self._fused(sizes)
        return self.upsample(self.norm(x).transpose(1, 2).unflatten(2, self._last_grid))

    def _fused(self, sizes: Sequence[Tensor]) -> Tensor:
        """Tokens of all sizes -> (B, C, H / 8, W / 8)."""
        height, width = (side // 8 for side in self.img_size)
        maps = [
            F.interpolate(
                tokens.transpose(1, 2).unflatten(2, (height // scale, width // scale)),
                scale_factor=float(scale),
            )
            for tokens, scale in zip(sizes, self.scales, strict=True)
        ]
        fused = self.multi_scale_fuse(torch.cat(maps, dim=1))
        return self.norm(fused.movedim(1, -1)).movedim(-1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a tuple of one map."""
        return (self.forward_features(x),)


def _authors_weights(path: str) -> dict[str, Tensor]:
    """Weights of pretraining by SimMIM or on ImageNet, under the names that they have here."""
    state: Mapping[str, Tensor] = read_state_dict(path)
    if any("encoder." in key for key in state):
        state = {
            key.replace("encoder.", ""): value
            for key, value in state.items()
            if key.startswith("encoder.")
        }
    own = ("relative_position_index", "relative_coords_table", "attn_mask")
    return {
        key.replace("rpe_mlp", "cpb_mlp"): value
        for key, value in state.items()
        if not key.endswith(own)
    }
