"""Pyramid vision transformers (Wang 2021, arXiv 2102.12122; Wang 2022, arXiv 2106.13797)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise._options import options_of
from poise.layers import (
    BaseModule,
    Conv2d,
    ModuleList,
    Sequential,
    build_activation_layer,
    build_dropout,
    build_norm_layer,
    trunc_normal_,
)
from poise.layers.drop import drop_path_rates
from poise.layers.patches import PatchEmbed, nchw_to_nlc, nlc_to_nchw, picture_sides
from poise.layers.transformer import MultiheadAttention
from poise.models.backbones.base import (
    TOKEN_INIT,
    BaseBackbone,
    ShortForm,
    check_entries,
    check_out_indices,
    is_pretrained,
)
from poise.models.weights import load_state_dict, read_state_dict
from poise.registry import MODELS

__all__ = ["PyramidVisionTransformer", "PyramidVisionTransformerV2", "convert_pvt_keys"]

Config = Mapping[str, Any]
LN: Config = {"type": "LN", "eps": 1e-6}
GELU: Config = {"type": "GELU"}
Size = tuple[int, int]

_INIT: list[Config] = [*TOKEN_INIT, {"type": "Kaiming", "layer": ["Conv2d"]}]


class MixFFN(BaseModule):
    """Feed-forward of 1 x 1 convolutions, perhaps a depthwise one between, and a sum.

    (B, H * W, C) -> the same.

    Args:
        embed_dims, feedforward_channels: C and channels between.
        act_cfg: activation.
        ffn_drop: dropout after activation and end.
        dropout_layer: dropout before the sum, or None.
        use_conv: have the depthwise convolution, which tells positions apart.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        act_cfg: Config = GELU,
        ffn_drop: float = 0.0,
        dropout_layer: Config | None = None,
        use_conv: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = feedforward_channels
        depthwise = [Conv2d(hidden, hidden, 3, padding=1, groups=hidden)] if use_conv else []
        self.layers = Sequential(
            Conv2d(embed_dims, hidden, 1),
            *depthwise,
            build_activation_layer(act_cfg),
            nn.Dropout(ffn_drop),
            Conv2d(hidden, embed_dims, 1),
            nn.Dropout(ffn_drop),
        )
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()

    def forward(self, x: Tensor, hw_shape: Size, identity: Tensor | None = None) -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W), and what is added -> (B, H * W, C)."""
        out = nchw_to_nlc(self.layers(nlc_to_nchw(x, hw_shape)))
        return (x if identity is None else identity) + self.dropout_layer(out)


class SpatialReductionAttention(MultiheadAttention):
    """Attention whose keys are a smaller copy of the map: (B, H * W, C) -> the same.

    Args:
        embed_dims, num_heads: C and heads.
        qkv_bias: bias of projections.
        norm_cfg: norm of the smaller copy.
        sr_ratio: how much smaller each side is.
        **options: further arguments of `MultiheadAttention`.
    """

    @options_of(MultiheadAttention, positional=True, batch_first=True, dropout_layer=None)
    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        qkv_bias: bool = True,
        norm_cfg: Config = {"type": "LN"},  # noqa: B006 (never changed)
        sr_ratio: int = 1,
        init_cfg: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(embed_dims, num_heads, init_cfg=init_cfg, bias=qkv_bias, **options)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def forward(  # type: ignore[override]  # the keys come from the tokens themselves
        self, x: Tensor, hw_shape: Size, identity: Tensor | None = None
    ) -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W), and what is added -> (B, H * W, C)."""
        reduced = x
        if self.sr_ratio > 1:
            reduced = self.norm(nchw_to_nlc(self.sr(nlc_to_nchw(x, hw_shape))))
        return super().forward(x, reduced, reduced, x if identity is None else identity)


class PVTEncoderLayer(BaseModule):
    """Attention and feed-forward, each after a norm and added: (B, H * W, C) -> the same.

    Args:
        embed_dims, num_heads, feedforward_channels: C, heads, channels of the feed-forward.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        qkv_bias: of the attention.
        act_cfg, norm_cfg: activation and norms.
        sr_ratio: of the attention.
        use_conv_ffn: of the feed-forward.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        act_cfg: Config = GELU,
        norm_cfg: Config = LN,
        sr_ratio: int = 1,
        use_conv_ffn: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        drop_path = {"type": "DropPath", "drop_prob": drop_path_rate}
        self.norm1 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = SpatialReductionAttention(
            embed_dims,
            num_heads,
            attn_drop=attn_drop_rate,
            proj_drop=drop_rate,
            dropout_layer=drop_path,
            qkv_bias=qkv_bias,
            norm_cfg=norm_cfg,
            sr_ratio=sr_ratio,
        )
        self.norm2 = build_norm_layer(norm_cfg, embed_dims)[1]
        self.ffn = MixFFN(
            embed_dims, feedforward_channels, act_cfg, drop_rate, drop_path, use_conv_ffn
        )

    def forward(self, x: Tensor, hw_shape: Size) -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W) -> (B, H * W, C)."""
        x = self.attn(self.norm1(x), hw_shape, identity=x)
        return self.ffn(self.norm2(x), hw_shape, identity=x)


class AbsolutePositionEmbedding(BaseModule):
    """Learned positions, resized to the grid at hand and added: (B, H * W, C) -> the same.

    Args:
        pos_shape: (H, W) that positions are learned for.
        pos_dim: C.
        drop_rate: dropout of the result.
    """

    def __init__(
        self,
        pos_shape: int | Sequence[int],
        pos_dim: int,
        drop_rate: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.pos_shape = tuple(_pair(pos_shape))
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(self.pos_shape), pos_dim))
        self.drop = nn.Dropout(drop_rate)

    def init_weights(self) -> None:
        """Narrow cut Gaussian."""
        super().init_weights()
        trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor, hw_shape: Size, mode: str = "bilinear") -> Tensor:
        """Tokens (B, H * W, C) of a grid (H, W) -> (B, H * W, C)."""
        grid = self.pos_embed.transpose(1, 2).unflatten(2, self.pos_shape)
        resized = F.interpolate(grid, size=tuple(hw_shape), mode=mode)
        return self.drop(x + resized.flatten(2).transpose(1, 2))


@MODELS.register_module()
class PyramidVisionTransformer(BaseBackbone):
    """Transformer over ever larger patches: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        pretrain_img_size: that absolute positions are learned for.
        in_channels: channels of the picture.
        embed_dims: channels of a head; stage i has `num_heads[i]` times as many.
        num_stages: stages.
        num_layers, num_heads: of each stage.
        patch_sizes, strides, paddings: of the patches of each stage.
        sr_ratios: of the attention in each stage.
        out_indices: stages whose maps are returned, from 0.
        mlp_ratios: channels of feed-forwards relative to those of tokens.
        qkv_bias: of the attentions.
        drop_rate, attn_drop_rate, drop_path_rate: probabilities of dropouts.
        use_abs_pos_embed: add learned positions.
        norm_after_stage: norm at the end of each stage.
        use_conv_ffn: of the feed-forwards.
        act_cfg, norm_cfg: activations and norms.
        convert_weights: the file of "Pretrained" has the authors' names.

    Raises:
        ConfigError: lists of another length than `num_stages`, or no such stage.
    """

    def __init__(
        self,
        pretrain_img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 5, 8),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        paddings: Sequence[int] = (0, 0, 0, 0),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratios: Sequence[int] = (8, 8, 4, 4),
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = True,
        norm_after_stage: bool = False,
        use_conv_ffn: bool = False,
        act_cfg: Config = GELU,
        norm_cfg: Config = LN,
        convert_weights: bool = True,
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        lists = {"num_layers": num_layers, "num_heads": num_heads, "patch_sizes": patch_sizes}
        lists |= {"strides": strides, "sr_ratios": sr_ratios}
        check_entries(self, num_stages, "stages", lists)
        lists = {"paddings": paddings, "mlp_ratios": mlp_ratios}
        check_entries(self, num_stages, "stages", lists, or_more=True)
        check_out_indices(out_indices, num_stages)
        sides = picture_sides(pretrain_img_size)
        self.convert_weights, self.out_indices = convert_weights, out_indices
        rates = drop_path_rates(drop_path_rate, num_layers)
        self.layers = ModuleList()
        channels, shrunk = in_channels, 1
        for i, count in enumerate(num_layers):
            width = embed_dims * num_heads[i]
            shrunk *= patch_sizes[i]
            patches = PatchEmbed(
                channels,
                width,
                kernel_size=patch_sizes[i],
                stride=strides[i],
                padding=paddings[i],
                norm_cfg=norm_cfg,
            )
            blocks = ModuleList()
            if use_abs_pos_embed:
                grid = [side // shrunk for side in sides]
                blocks.append(AbsolutePositionEmbedding(grid, width, drop_rate))
            blocks.extend(
                PVTEncoderLayer(
                    width,
                    num_heads[i],
                    mlp_ratios[i] * width,
                    drop_rate,
                    attn_drop_rate,
                    rates[i][j],
                    qkv_bias,
                    act_cfg,
                    norm_cfg,
                    sr_ratios[i],
                    use_conv_ffn,
                )
                for j in range(count)
            )
            norm = build_norm_layer(norm_cfg, width)[1] if norm_after_stage else nn.Identity()
            self.layers.append(ModuleList([patches, blocks, norm]))
            channels = width

    def init_weights(self) -> None:
        """Apply `init_cfg`; a file of the authors is renamed first."""
        if not is_pretrained(self):
            super().init_weights()
            return
        state = read_state_dict(self.init_cfg["checkpoint"])
        load_state_dict(self, convert_pvt_keys(state) if self.convert_weights else state)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        outs = []
        for i, (patches, blocks, norm) in enumerate(self.layers):
            x, grid = patches(x)
            for block in blocks:
                x = block(x, grid)
            x = nlc_to_nchw(norm(x), grid)
            if i in self.out_indices:
                # necks and heads from elsewhere may take views of it
                outs.append(x.contiguous())
        return outs

    tiny = ShortForm()
    small = ShortForm()
    medium = ShortForm()
    large = ShortForm()


@MODELS.register_module()
class PyramidVisionTransformerV2(PyramidVisionTransformer):
    """Version 2: patches that overlap, and convolutions instead of positions.

    Args:
        **kwargs: as `PyramidVisionTransformer`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            patch_sizes=[7, 3, 3, 3],
            paddings=[3, 1, 1, 1],
            use_abs_pos_embed=False,
            norm_after_stage=True,
            use_conv_ffn=True,
            **kwargs,
        )

    b0 = ShortForm()
    b1 = ShortForm()
    b2 = ShortForm()
    b3 = ShortForm()
    b4 = ShortForm()
    b5 = ShortForm()


#: names inside a block, authors' -> MMPose's
_PVT_RENAMES = (
    ("attn.proj.", "attn.attn.out_proj."),
    ("mlp.", "ffn.layers."),
    ("fc1.", "0."),
    ("dwconv.dwconv.", "1."),
)


def convert_pvt_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the authors' programs under MMPose's names.

    Args:
        state: keys such as `block1.0.attn.q.weight`, `patch_embed1.proj.weight`.
    """
    with_positions = any(k.startswith("pos_embed") for k in state)
    last_fc = "4." if any("dwconv" in k for k in state) else "3."
    converted: dict[str, Tensor] = {}
    for key, value in state.items():
        top, _, rest = key.partition(".")
        name, stage = top.rstrip("0123456789"), top[-1]
        if name in ("head", "cls_token") or key.startswith("norm."):
            continue
        if not stage.isdigit():
            converted[key] = value
            continue
        prefix = f"layers.{int(stage) - 1}"
        if name == "pos_embed":
            # the coarsest positions begin with the class token's
            extra = stage == "4" and value.shape[1] == 50
            converted[f"{prefix}.1.0.pos_embed"] = value[:, 1:] if extra else value
        elif name == "patch_embed":
            converted[f"{prefix}.0.{rest.replace('proj.', 'projection.')}"] = value
        elif name == "norm":
            converted[f"{prefix}.2.{rest}"] = value
        elif name == "block" and "attn.kv." not in rest:
            index, _, part = rest.partition(".")
            if "attn.q." in part:
                value = torch.cat([value, state[key.replace("attn.q.", "attn.kv.")]])
                part = part.replace("attn.q.", "attn.attn.in_proj_")
            elif "mlp.fc" in part and part.endswith("weight"):
                value = value[:, :, None, None]
            for old, new in (*_PVT_RENAMES, ("fc2.", last_fc)):
                part = part.replace(old, new)
            converted[f"{prefix}.1.{int(index) + with_positions}.{part}"] = value
    return converted
