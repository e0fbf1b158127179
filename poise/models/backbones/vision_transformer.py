"""Vision transformer, as ViTPose uses it (Dosovitskiy 2021, arXiv 2010.11929).

Names of weights and arguments are MMPretrain's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise.errors import ConfigError, DataError
from poise.layers import (
    BaseModule,
    LayerScale,
    ModuleList,
    build_dropout,
    build_norm_layer,
    trunc_normal_,
)
from poise.layers.attention import SelfAttention
from poise.layers.drop import drop_path_rates
from poise.layers.patches import PatchEmbed
from poise.layers.transformer import FFN
from poise.models.backbones.base import (
    BaseBackbone,
    ShortForm,
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
from poise.registry import MODELS

__all__ = ["VisionTransformer", "resize_pos_embed"]

Config = Mapping[str, Any]
LN: Config = {"type": "LN", "eps": 1e-6}

#: names, channels, layers, heads, channels inside the feed-forward
_ARCHS = (
    ("s small", 768, 8, 8, 2304),
    ("b base", 768, 12, 12, 3072),
    ("l large", 1024, 24, 16, 4096),
    ("h huge", 1280, 32, 16, 5120),
    ("eva-g eva-giant", 1408, 40, 16, 6144),
    ("deit-t deit-tiny", 192, 12, 3, 768),
    ("deit-s deit-small dinov2-s dinov2-small", 384, 12, 6, 1536),
    ("deit-b deit-base", 768, 12, 12, 3072),
    # Sapiens (Khirodkar 2024, arXiv 2408.12569)
    ("0.3b sapiens_0.3b", 1024, 24, 16, 4096),
    ("0.6b sapiens_0.6b", 1280, 32, 16, 5120),
    ("1b sapiens_1b", 1536, 40, 24, 6144),
    ("2b sapiens_2b", 1920, 48, 32, 7680),
)
_OUT_TYPES = ("raw", "cls_token", "featmap", "avg_featmap")


def resize_pos_embed(
    pos_embed: Tensor,
    src_shape: Sequence[int],
    dst_shape: Sequence[int],
    mode: str = "bicubic",
    num_extra_tokens: int = 1,
    antialias: bool = False,
) -> Tensor:
    """Position embeddings for another grid of patches.

    Args:
        pos_embed: (1, extra + H * W, C).
        src_shape: (H, W) they are for.
        dst_shape: (H', W') wanted.
        mode: of the interpolation.
        num_extra_tokens: tokens in front that stand for no patch.
        antialias: smooth before a grid is made smaller.

    Returns:
        (1, extra + H' * W', C).
    """
    if tuple(src_shape) == tuple(dst_shape):
        return pos_embed
    height, width = src_shape
    if pos_embed.shape[1] != height * width + num_extra_tokens:
        raise DataError(
            f"pos_embed has {pos_embed.shape[1]} tokens, expected {height} * {width} + "
            f"{num_extra_tokens}; check img_size"
        )
    extra, patches = pos_embed[:, :num_extra_tokens], pos_embed[:, num_extra_tokens:]
    grid = patches.transpose(1, 2).unflatten(2, (height, width))
    resized = F.interpolate(
        grid.float(), tuple(dst_shape), mode=mode, align_corners=False, antialias=antialias
    )
    return torch.cat((extra, resized.flatten(2).transpose(1, 2).to(patches.dtype)), dim=1)


class ScaledAttention(SelfAttention):
    """Self-attention, then a factor for each channel and a dropout: (B, L, C) -> the same.

    Args:
        embed_dims, num_heads, qkv_bias, attn_drop_rate, proj_drop_rate: as `SelfAttention`.
        dropout_layer: last dropout.
        layer_scale_init_value: start of the factors; 0 for none.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        dropout_layer: Config,
        layer_scale_init_value: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(embed_dims, num_heads, **options)
        self.out_drop = build_dropout(dropout_layer)
        scale = layer_scale_init_value
        self.gamma1 = LayerScale(embed_dims, scale=scale) if scale > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        return self.out_drop(self.gamma1(self.attend(x)))


class TransformerEncoderLayer(BaseModule):
    """Norm and attention, norm and feed-forward, each added: (B, L, C) -> (B, L, C).

    Args:
        embed_dims, num_heads, feedforward_channels: C, heads, channels inside the feed-forward.
        layer_scale_init_value: start of factors per channel; 0 for none.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        num_fcs: linear layers of the feed-forward.
        qkv_bias: bias of the attention's projection.
        act_cfg, norm_cfg: activation and norms.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        layer_scale_init_value: float = 0.0,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        act_cfg: Config = {"type": "GELU"},  # noqa: B006 (never changed)
        norm_cfg: Config = LN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        drop_path = {"type": "DropPath", "drop_prob": drop_path_rate}
        common: dict[str, Any] = {
            "dropout_layer": drop_path,
            "layer_scale_init_value": layer_scale_init_value,
        }
        self.ln1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = ScaledAttention(
            embed_dims,
            num_heads,
            attn_drop_rate=attn_drop_rate,
            proj_drop_rate=drop_rate,
            qkv_bias=qkv_bias,
            **common,
        )
        self.ln2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = FFN(
            embed_dims, feedforward_channels, num_fcs, act_cfg=act_cfg, ffn_drop=drop_rate, **common
        )

    def init_weights(self) -> None:
        """Xavier for the feed-forward, with biases of 1e-6."""
        super().init_weights()
        for module in self.ffn.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        x = x + self.attn(self.ln1(x))
        return self.ffn(self.ln2(x), identity=x)


@MODELS.register_module(scope="mmpretrain")
class VisionTransformer(LayerDepths, BaseBackbone):
    """Patches through attention layers: (B, 3, H, W) -> what `out_type` says, a layer each.

    Args:
        arch: "small", "base", "large", "huge", "deit-small", "sapiens_0.3b" ..., or a dict of
            `embed_dims`, `num_layers`, `num_heads`, `feedforward_channels`.
        img_size: of the picture, (height, width), that position embeddings are for.
        patch_size: side of patches.
        in_channels: channels of the picture.
        out_indices: layers whose output is returned; negative ones count from the end.
        drop_rate, drop_path_rate: of dropout, and of stochastic depth in the last layer.
        qkv_bias: bias of the attention's projection.
        norm_cfg: of all norms.
        final_norm: norm after the last layer.
        out_type: "featmap" (B, C, H / patch, W / patch), "raw" all tokens, "cls_token" (B, C),
            "avg_featmap" (B, C).
        with_cls_token: have a class token.
        frozen_stages: layers without training; -1 for none.
        interpolate_mode: for position embeddings of another picture size.
        layer_scale_init_value: start of factors per channel; 0 for none.
        patch_cfg, layer_cfgs: arguments of `PatchEmbed` and of the layers (a dict, or one each).
        pre_norm: norm before the first layer.
        output_cls_token: MMClassification's older form; False asks for "featmap".

    Raises:
        ConfigError: unknown or incomplete settings.
    """

    arch_zoo = arch_table(_ARCHS)
    stack, first = "layers", ("cls_token", "pos_embed", "patch_embed")

    def __init__(
        self,
        arch: str | Config = "base",
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        norm_cfg: Config = LN,
        final_norm: bool = True,
        out_type: str = "cls_token",
        with_cls_token: bool = True,
        frozen_stages: int = -1,
        interpolate_mode: str = "bicubic",
        layer_scale_init_value: float = 0.0,
        patch_cfg: Config = {},  # noqa: B006 (never changed)
        layer_cfgs: Config | Sequence[Config] = {},  # noqa: B006 (never changed)
        pre_norm: bool = False,
        init_cfg: Any = None,
        output_cls_token: bool | None = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = arch_settings(arch, self.arch_zoo)
        if output_cls_token is False:
            out_type = "featmap"
        _check_output(out_type, with_cls_token)
        self.embed_dims, self.num_layers = settings["embed_dims"], settings["num_layers"]
        check_frozen_stages(frozen_stages, self.num_layers)
        self.img_size = tuple(_pair(img_size))
        self.out_type, self.final_norm = out_type, final_norm
        self.frozen_stages, self.interpolate_mode = frozen_stages, interpolate_mode
        self.out_indices = layer_indices(out_indices, self.num_layers)
        patches = {
            "in_channels": in_channels,
            "input_size": self.img_size,
            "embed_dims": self.embed_dims,
            "kernel_size": patch_size,
            "stride": patch_size,
            "bias": not pre_norm,
        }
        self.patch_embed = PatchEmbed(**{**patches, **patch_cfg})
        self.patch_resolution = self.patch_embed.init_out_size or (0, 0)
        self.num_extra_tokens = int(with_cls_token)
        shape = (1, math.prod(self.patch_resolution) + self.num_extra_tokens, self.embed_dims)
        self.cls_token = (
            nn.Parameter(torch.zeros(1, 1, self.embed_dims)) if with_cls_token else None
        )
        self.pos_embed = nn.Parameter(torch.zeros(shape))
        self._register_load_state_dict_pre_hook(self._prepare_pos_embed)
        self.drop_after_pos = nn.Dropout(drop_rate)
        (rates,) = drop_path_rates(drop_path_rate, [self.num_layers])
        own = [layer_cfgs] * self.num_layers if isinstance(layer_cfgs, Mapping) else layer_cfgs
        common = {
            **{k: settings[k] for k in ("embed_dims", "num_heads", "feedforward_channels")},
            "layer_scale_init_value": layer_scale_init_value,
            "drop_rate": drop_rate,
            "qkv_bias": qkv_bias,
            "norm_cfg": norm_cfg,
        }
        self.layers = ModuleList(
            TransformerEncoderLayer(**{**common, "drop_path_rate": rate, **cfg})
            for rate, cfg in zip(rates, own, strict=True)
        )

        def norm() -> nn.Module:
            return build_norm_layer(norm_cfg, self.embed_dims)[1]

        self.pre_norm = norm() if pre_norm else nn.Identity()
        if final_norm:
            self.ln1 = norm()
        if out_type == "avg_featmap":
            self.ln2 = norm()

    def init_weights(self) -> None:
        """Apply `init_cfg`; position embeddings start as a narrow cut Gaussian."""
        super().init_weights()
        if not is_pretrained(self):
            trunc_normal_(self.pos_embed, std=0.02)

    def _prepare_pos_embed(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Fit position embeddings of another picture size, or of a class token, while loading."""
        name = f"{prefix}pos_embed"
        if name not in state_dict:
            return
        loaded, own = state_dict[name], self.pos_embed
        count = loaded.shape[1]
        # a square grid and one more: the file has a class token
        extra = math.isqrt(count) ** 2 != count and math.isqrt(count - 1) ** 2 == count - 1
        misfit = loaded.shape != own.shape
        if misfit and self.cls_token is None and (count == own.shape[1] + 1 or extra):
            loaded = loaded[:, 1:]
        # files do not say their grid; a picture classifier's is square
        patches = max(loaded.shape[1] - self.num_extra_tokens, 0)
        side = math.isqrt(patches)
        # what fits in no way is told with the other tensors that do not
        if loaded.shape != own.shape and loaded.shape[2] == own.shape[2] and side**2 == patches:
            loaded = resize_pos_embed(
                loaded,
                (side, side),
                self.patch_resolution,
                self.interpolate_mode,
                self.num_extra_tokens,
            )
        state_dict[name] = loaded

    def _freeze_stages(self) -> None:
        if self.frozen_stages <= 0:
            return
        self.pos_embed.requires_grad = False
        if self.cls_token is not None:
            self.cls_token.requires_grad = False
        parts = [self.drop_after_pos, self.patch_embed, self.pre_norm]
        parts += list(self.layers[: self.frozen_stages])
        if self.frozen_stages == self.num_layers:
            parts += [getattr(self, n) for n in ("ln1", "ln2") if hasattr(self, n)]
        freeze(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> an output for each of `out_indices`, see `out_type`."""
        x, grid = self.patch_embed(x)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = x + resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            grid,
            self.interpolate_mode,
            self.num_extra_tokens,
        )
        x = self.pre_norm(self.drop_after_pos(x))
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
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
        patches = x[:, self.num_extra_tokens :]
        if self.out_type == "avg_featmap":
            return self.ln2(patches.mean(dim=1))
        return patches.transpose(1, 2).unflatten(2, grid)

    small = ShortForm()
    base = ShortForm()
    large = ShortForm()
    huge = ShortForm()


def _check_output(out_type: str, with_cls_token: bool) -> None:
    """Raise ConfigError unless the output exists."""
    if out_type not in _OUT_TYPES:
        raise ConfigError(f"Unsupported `out_type` {out_type}, please choose from {_OUT_TYPES}")
    if out_type == "cls_token" and not with_cls_token:
        raise ConfigError('with_cls_token must be True when `out_type="cls_token"`')
