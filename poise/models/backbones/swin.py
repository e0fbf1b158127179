"""Swin transformer (Liu 2021, arXiv 2103.14030)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise._options import options_of
from poise.errors import ConfigError
from poise.layers import BaseModule, build_dropout, build_norm_layer, trunc_normal_
from poise.layers.drop import drop_path_rates
from poise.layers.patches import PatchEmbed, PatchMerging, picture_sides
from poise.layers.recompute import maybe_checkpoint
from poise.layers.transformer import FFN
from poise.layers.window_attention import (
    WindowMSA,
    attend_in_windows,
    shift_mask,
    window_padding,
)
from poise.models.backbones.base import (
    TOKEN_INIT,
    BaseBackbone,
    ShortForm,
    check_entries,
    check_frozen_stages,
    check_out_indices,
    freeze,
    is_pretrained,
)
from poise.models.renames import rename_old_keys
from poise.models.weights import load_state_dict, read_state_dict
from poise.registry import MODELS

__all__ = ["SwinTransformer", "convert_swin_keys"]

Config = Mapping[str, Any]
LN: Config = {"type": "LN"}
GELU: Config = {"type": "GELU"}
Size = tuple[int, int]


class ShiftWindowMSA(BaseModule):
    """Attention in windows, which may lie shifted over the map: (B, H * W, C) -> the same.

    Args:
        embed_dims, num_heads: C and heads.
        window_size: side of a window.
        shift_size: places the windows are moved by; less than a window.
        dropout_layer: dropout of the result.
        **attention: further arguments of `WindowMSA`.

    Raises:
        ConfigError: a shift of a window or more.
    """

    @options_of(WindowMSA, positional=True, without=("with_rpe",))
    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        shift_size: int = 0,
        *,
        dropout_layer: Config = {"type": "DropPath", "drop_prob": 0.0},  # noqa: B006
        init_cfg: Any = None,
        **attention: Any,
    ) -> None:
        super().__init__(init_cfg)
        if not 0 <= shift_size < window_size:
            raise ConfigError(f"shift_size must be in 0 ... {window_size - 1}, got {shift_size}")
        self.window_size, self.shift_size = window_size, shift_size
        self.w_msa = WindowMSA(embed_dims, num_heads, _pair(window_size), **attention)
        self.drop = build_dropout(dropout_layer)

    def _mask(self, height: int, width: int, x: Tensor) -> Tensor | None:
        """(windows, L, L): FAR between tokens that are no neighbours before the shift."""
        if not self.shift_size:
            return None
        return shift_mask(height, width, self.window_size, self.shift_size, x.device).to(x.dtype)

    def forward(self, query: Tensor, hw_shape: Size) -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W) -> (B, H * W, C)."""
        height, width = hw_shape
        _, right, _, below = window_padding(height, width, self.window_size)
        mask = self._mask(height + below, width + right, query)
        x = attend_in_windows(
            query.unflatten(1, (height, width)),
            self.window_size,
            lambda windows: self.w_msa(windows, mask),
            shift=self.shift_size,
        )
        return self.drop(x.flatten(1, 2))


class SwinBlock(BaseModule):
    """Window attention and feed-forward, each added: (B, H * W, C) -> the same.

    Args:
        embed_dims, num_heads, feedforward_channels: C, heads, channels of the feed-forward.
        window_size: side of a window.
        shift: move the windows by half their side.
        qkv_bias, qk_scale: of the attention.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        act_cfg, norm_cfg: activation and norms.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        window_size: int = 7,
        shift: bool = False,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_cfg: Config = GELU,
        norm_cfg: Config = LN,
        with_cp: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        drop_path = {"type": "DropPath", "drop_prob": drop_path_rate}
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ShiftWindowMSA(
            embed_dims,
            num_heads,
            window_size,
            window_size // 2 if shift else 0,
            dropout_layer=drop_path,
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attn_drop_rate=attn_drop_rate,
            proj_drop_rate=drop_rate,
        )
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(
            embed_dims,
            feedforward_channels,
            ffn_drop=drop_rate,
            dropout_layer=drop_path,
            act_cfg=act_cfg,
        )

    def forward(self, x: Tensor, hw_shape: Size) -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W) -> (B, H * W, C)."""

        def run(x: Tensor) -> Tensor:
            x = x + self.attn(self.norm1(x), hw_shape)
            return self.ffn(self.norm2(x), identity=x)

        return maybe_checkpoint(run, self.with_cp, x)


class SwinBlockSequence(BaseModule):
    """Blocks of one size, every second one shifted, and the way to the next size.

    Args:
        depth: blocks.
        drop_path_rates: of each block.
        downsample: module for the next size, or None.
        **block: arguments of `SwinBlock`.
    """

    def __init__(
        self,
        depth: int,
        drop_path_rates: Sequence[float],
        downsample: nn.Module | None,
        **block: Any,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(shift=i % 2 == 1, drop_path_rate=drop_path_rates[i], **block)
            for i in range(depth)
        )
        self.downsample = downsample

    def forward(self, x: Tensor, hw_shape: Size) -> tuple[Tensor, Size, Tensor]:
        """Tokens and grid -> tokens and grid for the next size, and tokens of this one."""
        for block in self.blocks:
            x = block(x, hw_shape)
        if self.downsample is None:
            return x, hw_shape, x
        return *self.downsample(x, hw_shape), x


@MODELS.register_module()
class SwinTransformer(BaseBackbone):
    """Transformer over shifted windows: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        pretrain_img_size: of pretraining, for absolute position embeddings.
        in_channels: channels of the picture.
        embed_dims: channels of the first size; each size has twice as many.
        patch_size: side of patches.
        window_size: side of windows.
        mlp_ratio: channels of feed-forwards relative to those of tokens.
        depths, num_heads: blocks and heads of each size.
        strides: of the patches, and from size to size.
        out_indices: sizes whose maps are returned, from 0.
        qkv_bias, qk_scale: of the attentions.
        patch_norm: norms after patches and mergers.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        use_abs_pos_embed: add learned absolute positions.
        act_cfg, norm_cfg: activations and norms.
        convert_weights: the file of "Pretrained" has the authors' names.
        frozen_stages: sizes without training, patches included; -1 for none.

    Raises:
        ConfigError: patches that overlap, or lists that do not fit together.
    """

    def __init__(
        self,
        pretrain_img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        embed_dims: int = 96,
        patch_size: int = 4,
        window_size: int = 7,
        mlp_ratio: int = 4,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        strides: Sequence[int] = (4, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = False,
        act_cfg: Config = GELU,
        norm_cfg: Config = LN,
        with_cp: bool = False,
        convert_weights: bool = False,
        frozen_stages: int = -1,
        init_cfg: Any = TOKEN_INIT,
    ) -> None:
        super().__init__(init_cfg)
        lists = {"num_heads": num_heads, "strides": strides}
        check_entries(self, len(depths), "sizes", lists, or_more=True)
        check_out_indices(out_indices, len(depths))
        check_frozen_stages(frozen_stages, len(depths))
        if strides[0] != patch_size:
            raise ConfigError(f"Use non-overlapping patch embed: {strides[0]=} != {patch_size=}")
        sides = picture_sides(pretrain_img_size)
        self.convert_weights, self.frozen_stages = convert_weights, frozen_stages
        self.out_indices, self.use_abs_pos_embed = out_indices, use_abs_pos_embed
        merge_norm = norm_cfg if patch_norm else None
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, stride=strides[0], norm_cfg=merge_norm
        )
        if use_abs_pos_embed:
            rows, columns = (side // patch_size for side in sides)
            shape = (1, rows * columns, embed_dims)
            self.absolute_pos_embed = nn.Parameter(torch.zeros(shape))
        self.drop_after_pos = nn.Dropout(drop_rate)
        rates = drop_path_rates(drop_path_rate, depths)
        block = {
            "window_size": window_size,
            "qkv_bias": qkv_bias,
            "qk_scale": qk_scale,
            "drop_rate": drop_rate,
            "attn_drop_rate": attn_drop_rate,
            "act_cfg": act_cfg,
            "norm_cfg": norm_cfg,
            "with_cp": with_cp,
        }
        self.num_features = [embed_dims * 2**i for i in range(len(depths))]
        self.stages = nn.ModuleList()
        for i, width in enumerate(self.num_features):
            merger = (
                PatchMerging(width, 2 * width, stride=strides[i + 1], norm_cfg=merge_norm)
                if i < len(depths) - 1
                else None
            )
            stage = SwinBlockSequence(
                depths[i],
                rates[i],
                merger,
                embed_dims=width,
                num_heads=num_heads[i],
                feedforward_channels=mlp_ratio * width,
                **block,
            )
            self.stages.append(stage)
        for i in out_indices:
            self.add_module(f"norm{i}", build_norm_layer(norm_cfg, self.num_features[i])[1])
        # files of MMPose 0.x hold the norms of all four maps
        unused = sorted(set(range(len(depths))) - set(out_indices))
        rename_old_keys(self, [], always=[(rf"norm{i}\.", None) for i in unused])

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        parts = [self.patch_embed, self.drop_after_pos]
        if self.use_abs_pos_embed:
            self.absolute_pos_embed.requires_grad = False
        for i in range(self.frozen_stages):
            parts.append(self.stages[i])
            if i in self.out_indices:
                parts.append(getattr(self, f"norm{i}"))
        freeze(parts)

    def init_weights(self) -> None:
        """Apply `init_cfg`; weights of a file are fitted to this window size."""
        if not is_pretrained(self):
            super().init_weights()
            if self.use_abs_pos_embed:
                trunc_normal_(self.absolute_pos_embed, std=0.02)
            return
        state = read_state_dict(self.init_cfg["checkpoint"])
        if self.convert_weights:
            state = convert_swin_keys(state)
        own = self.state_dict()
        for key in [k for k in state if k.endswith("relative_position_bias_table") and k in own]:
            state[key] = _resize_table(state[key], own[key])
        # positions of another window size are no weights
        fitting = {k: v for k, v in state.items() if "relative_position_index" not in k}
        load_state_dict(self, fitting)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        x, grid = self.patch_embed(x)
        if self.use_abs_pos_embed:
            x = x + self.absolute_pos_embed
        x = self.drop_after_pos(x)
        outs = []
        for i, stage in enumerate(self.stages):
            here = grid
            x, grid, out = stage(x, grid)
            if i in self.out_indices:
                out = getattr(self, f"norm{i}")(out).transpose(1, 2)
                outs.append(out.unflatten(2, here).contiguous())
        return tuple(outs)

    tiny = ShortForm()
    small = ShortForm()
    base = ShortForm()
    large = ShortForm()


def _resize_table(table: Tensor, own: Tensor) -> Tensor:
    """Bias table (L, heads) of a square window for a window of another size."""
    if table.shape == own.shape or table.shape[1] != own.shape[1]:
        return table
    before, after = (round(t.shape[0] ** 0.5) for t in (table, own))
    grid = table.T.view(1, -1, before, before)
    return F.interpolate(grid, size=(after, after), mode="bicubic").flatten(2)[0].T.contiguous()


#: authors' names -> MMPose's, the first that fits
_RENAMES = (
    ("attn.", "attn.w_msa."),
    ("mlp.fc1.", "ffn.layers.0.0."),
    ("mlp.fc2.", "ffn.layers.1."),
    ("mlp.", "ffn."),
)


def convert_swin_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the authors' program under MMPose's names.

    Mergers take their four neighbours in another order, so their weights are reordered.

    Args:
        state: keys such as `layers.0.blocks.0.attn.qkv.weight`.
    """
    converted: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith("head"):
            continue
        if key.startswith("layers"):
            if "downsample." in key and ("reduction." in key or "norm." in key):
                # (..., 4 * C) ordered (neighbour, channel) -> (channel, neighbour)
                parts = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
                value = parts.transpose(-1, -2).flatten(-2)
            old, new = next(((o, n) for o, n in _RENAMES if o in key), ("", ""))
            key = key.replace(old, new) if old else key
            key = key.replace("layers", "stages", 1)
        elif key.startswith("patch_embed"):
            key = key.replace("proj", "projection")
        converted[key] = value
    return converted
