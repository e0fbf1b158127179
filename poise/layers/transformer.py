"""Parts of transformers under MMCV's names: attention, feed-forward, patches, DETR's encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise.errors import ConfigError, DataError
from poise.layers.base import BaseModule, ModuleList, Sequential
from poise.layers.builders import (
    build_activation_layer,
    build_conv_layer,
    build_dropout,
    build_norm_layer,
)
from poise.layers.recompute import maybe_checkpoint
from poise.layers.scale import LayerScale
from poise.registry import MODELS

__all__ = [
    "FFN",
    "AdaptivePadding",
    "DetrTransformerEncoder",
    "DetrTransformerEncoderLayer",
    "MultiheadAttention",
    "PatchEmbed",
    "PatchMerging",
    "nchw_to_nlc",
    "nlc_to_nchw",
]

Config = Mapping[str, Any]
LN: Config = {"type": "LN"}
Size = tuple[int, int]


def nlc_to_nchw(x: Tensor, hw_shape: Sequence[int]) -> Tensor:
    """Tokens (B, H * W, C) -> map (B, C, H, W)."""
    height, width = hw_shape
    if x.dim() != 3 or x.shape[1] != height * width:
        raise DataError(f"expected (B, {height} * {width}, C) tokens, got {tuple(x.shape)}")
    return x.transpose(1, 2).unflatten(2, (height, width)).contiguous()


def nchw_to_nlc(x: Tensor) -> Tensor:
    """Map (B, C, H, W) -> tokens (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()


def _dropout(cfg: Config | None) -> nn.Module:
    return build_dropout(cfg) if cfg else nn.Identity()


@MODELS.register_module(scope="mmcv")
class MultiheadAttention(BaseModule):
    """Attention with a residual sum and position encodings (Vaswani 2017).

    Args:
        embed_dims: channels C.
        num_heads: heads; divides C.
        attn_drop: dropout of attention weights.
        proj_drop: dropout after the projection.
        dropout_layer: dropout before the sum, or None.
        init_cfg: how weights start.
        batch_first: tokens are (B, L, C) rather than (L, B, C).
        **kwargs: further arguments of `nn.MultiheadAttention`; `dropout` sets `attn_drop` and
            the probability of `dropout_layer`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Config | None = {"type": "Dropout", "drop_prob": 0.0},  # noqa: B006
        init_cfg: Any = None,
        batch_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if "dropout" in kwargs:
            attn_drop = kwargs.pop("dropout")
            dropout_layer = {**(dropout_layer or {}), "drop_prob": attn_drop}
        self.embed_dims, self.num_heads, self.batch_first = embed_dims, num_heads, batch_first
        self.attn = nn.MultiheadAttention(
            embed_dims, num_heads, attn_drop, batch_first=batch_first, **kwargs
        )
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = _dropout(dropout_layer)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend and add.

        Args:
            query: (B, L, C) or (L, B, C), by `batch_first`.
            key: (B, S, C); the query if None.
            value: as the key; the key if None.
            identity: what is added; the query if None.
            query_pos, key_pos: added to query and key. The query's serves both if they have
                one shape.
            attn_mask: (L, S) or (B * heads, L, S).
            key_padding_mask: (B, S), True where a key is no content.
            **kwargs: ignored; layers of a decoder get one set of arguments.
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        if key_pos is None and query_pos is not None and query_pos.shape == key.shape:
            key_pos = query_pos
        out = self.attn(
            query if query_pos is None else query + query_pos,
            key if key_pos is None else key + key_pos,
            value,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            # weights nobody reads would rule the fused kernels out
            need_weights=False,
        )[0]
        return identity + self.dropout_layer(self.proj_drop(out))


@MODELS.register_module(scope="mmcv")
class FFN(BaseModule):
    """Linear layers with activations, and a residual sum: (..., C) -> (..., C).

    Args:
        embed_dims: C.
        feedforward_channels: channels between.
        num_fcs: linear layers, at least 2.
        act_cfg: activation after all but the last.
        ffn_drop: dropout after each.
        dropout_layer: dropout before the sum, or None.
        add_identity: add the input.
        init_cfg: how weights start.
        layer_scale_init_value: start of a factor per channel; 0 for none.

    Raises:
        ConfigError: fewer than two layers.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: Config = {"type": "ReLU", "inplace": True},  # noqa: B006 (never changed)
        ffn_drop: float = 0.0,
        dropout_layer: Config | None = None,
        add_identity: bool = True,
        init_cfg: Any = None,
        layer_scale_init_value: float = 0.0,
    ) -> None:
        super().__init__(init_cfg)
        if num_fcs < 2:
            raise ConfigError(f"num_fcs should be no less than 2, got {num_fcs}")
        self.embed_dims, self.feedforward_channels = embed_dims, feedforward_channels
        widths = [embed_dims] + [feedforward_channels] * (num_fcs - 1)
        self.layers = Sequential(
            *(
                Sequential(
                    nn.Linear(before, after), build_activation_layer(act_cfg), nn.Dropout(ffn_drop)
                )
                for before, after in zip(widths, widths[1:], strict=False)
            ),
            nn.Linear(feedforward_channels, embed_dims),
            nn.Dropout(ffn_drop),
        )
        self.dropout_layer = _dropout(dropout_layer)
        self.add_identity = add_identity
        scale = layer_scale_init_value
        self.gamma2 = LayerScale(embed_dims, scale=scale) if scale > 0 else nn.Identity()

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        """(..., C) -> (..., C); `identity` is what is added instead of `x`."""
        out = self.dropout_layer(self.gamma2(self.layers(x)))
        if not self.add_identity:
            return out
        return out + (x if identity is None else identity)


class AdaptivePadding(nn.Module):
    """Pad with zeros so that a kernel covers the whole map: (B, C, H, W) -> (B, C, H', W').

    Args:
        kernel_size, stride, dilation: of the kernel.
        padding: "corner" pads right and below, "same" all around.

    Raises:
        ConfigError: another `padding`.
    """

    def __init__(
        self,
        kernel_size: int | Size = 1,
        stride: int | Size = 1,
        dilation: int | Size = 1,
        padding: str = "corner",
    ) -> None:
        super().__init__()
        if padding not in ("same", "corner"):
            raise ConfigError(f"padding must be 'same' or 'corner', got {padding!r}")
        self.padding = padding
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.dilation = _pair(dilation)

    def get_pad_shape(self, input_shape: Sequence[int]) -> Size:
        """Rows and columns to add to a map of (height, width)."""
        pads = []
        sides = zip(input_shape, self.kernel_size, self.stride, self.dilation, strict=True)
        for size, kernel, stride, dilation in sides:
            covered = (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1
            pads.append(max(covered - size, 0))
        return pads[0], pads[1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        height, width = self.get_pad_shape(x.shape[-2:])
        if not height and not width:
            return x
        top, left = (height // 2, width // 2) if self.padding == "same" else (0, 0)
        return F.pad(x, [left, width - left, top, height - top])


class _Patches(BaseModule):
    """Where patches lie: what `PatchEmbed` and `PatchMerging` share."""

    def _set_grid(
        self,
        kernel_size: int | Size,
        stride: int | Size | None,
        padding: str | int | Size,
        dilation: int | Size,
    ) -> None:
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(kernel_size if not stride else stride)
        self.dilation = _pair(dilation)
        adaptive = isinstance(padding, str)
        self.adap_padding = (
            AdaptivePadding(self.kernel_size, self.stride, self.dilation, padding)
            if adaptive
            else None
        )
        self.padding = _pair(0 if adaptive else padding)

    def _padded(self, x: Tensor) -> Tensor:
        return x if self.adap_padding is None else self.adap_padding(x)

    def _out_size(self, size: Sequence[int]) -> Size:
        """Patches along (height, width) of a padded map."""
        sides = zip(size, self.padding, self.dilation, self.kernel_size, self.stride, strict=True)
        rows, columns = ((s + 2 * p - d * (k - 1) - 1) // step + 1 for s, p, d, k, step in sides)
        return rows, columns


class PatchEmbed(_Patches):
    """Patches as tokens: (B, C, H, W) -> (B, L, embed_dims) and their grid.

    Args:
        in_channels: C.
        embed_dims: channels of tokens.
        conv_type: name of the convolution.
        kernel_size, stride, dilation: of the patches.
        padding: pixels, or "corner" or "same", see `AdaptivePadding`.
        bias: of the convolution.
        norm_cfg: norm of tokens, or None.
        input_size: size of the picture, for `init_out_size`.
        init_cfg: how weights start.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: int | Size = 16,
        stride: int | Size | None = 16,
        padding: str | int | Size = "corner",
        dilation: int | Size = 1,
        bias: bool = True,
        norm_cfg: Config | None = None,
        input_size: int | Size | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        self._set_grid(kernel_size, stride, padding, dilation)
        self.projection = build_conv_layer(
            {"type": conv_type},
            in_channels,
            embed_dims,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            bias=bias,
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size: Size | None = None
        #: grid of patches of a picture of `input_size`
        self.init_out_size: Size | None = None
        if input_size:
            height, width = self.init_input_size = tuple(_pair(input_size))
            if self.adap_padding is not None:
                more = self.adap_padding.get_pad_shape((height, width))
                height, width = height + more[0], width + more[1]
            self.init_out_size = self._out_size((height, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        """(B, C, H, W) -> (B, L, embed_dims), (rows, columns)."""
        x = self.projection(self._padded(x))
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x)), grid


class PatchMerging(_Patches):
    """Neighbouring tokens into one: (B, L, C) -> (B, L', C') and their grid (Liu 2021, Swin).

    Args:
        in_channels, out_channels: C and C'.
        kernel_size, stride, dilation: of the neighbourhoods; the stride is the kernel if None.
        padding: tokens, or "corner" or "same", see `AdaptivePadding`.
        bias: of the linear layer.
        norm_cfg: norm before it, or None.
        init_cfg: how weights start.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size = 2,
        stride: int | Size | None = None,
        padding: str | int | Size = "corner",
        dilation: int | Size = 1,
        bias: bool = False,
        norm_cfg: Config | None = LN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        self._set_grid(kernel_size, stride, padding, dilation)
        self.sampler = nn.Unfold(self.kernel_size, self.dilation, self.padding, self.stride)
        joined = math.prod(self.kernel_size) * in_channels
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, joined)[1]
        self.reduction = nn.Linear(joined, out_channels, bias=bias)

    def forward(self, x: Tensor, input_size: Sequence[int]) -> tuple[Tensor, Size]:
        """Tokens (B, H * W, C) of a grid (H, W) -> tokens (B, L', C'), (rows, columns)."""
        patches = self._padded(nlc_to_nchw(x, input_size))
        x = self.sampler(patches).transpose(1, 2)
        x = x if self.norm is None else self.norm(x)
        return self.reduction(x), self._out_size(patches.shape[-2:])


class DetrTransformerEncoderLayer(BaseModule):
    """Attention and feed-forward, each with a norm after it (Carion 2020, DETR).

    Args:
        self_attn_cfg: arguments of `MultiheadAttention`; the batch comes first.
        ffn_cfg: arguments of `FFN`.
        norm_cfg: of both norms.
        init_cfg: how weights start.

    Raises:
        ConfigError: `batch_first=False`.
    """

    def __init__(
        self,
        self_attn_cfg: Config = {"embed_dims": 256, "num_heads": 8, "dropout": 0.0},  # noqa: B006
        ffn_cfg: Config = {"embed_dims": 256, "feedforward_channels": 1024},  # noqa: B006
        norm_cfg: Config = LN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if not self_attn_cfg.get("batch_first", True):
            raise ConfigError("a DETR encoder layer takes the batch first; remove batch_first")
        self.self_attn = MultiheadAttention(**{**self_attn_cfg, "batch_first": True})
        self.embed_dims = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(2))

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor | None,
        key_padding_mask: Tensor | None,
        **kwargs: Any,
    ) -> Tensor:
        """Tokens (B, L, C), their positions, and which are padding (B, L) -> (B, L, C)."""
        query = self.self_attn(
            query,
            query_pos=query_pos,
            key_pos=query_pos,
            key_padding_mask=key_padding_mask,
            **kwargs,
        )
        return self.norms[1](self.ffn(self.norms[0](query)))


class DetrTransformerEncoder(BaseModule):
    """A row of `DetrTransformerEncoderLayer`.

    Args:
        num_layers: layers.
        layer_cfg: arguments of each.
        num_cp: layers whose activations are recomputed in the backward pass, from the first.
        init_cfg: how weights start.
    """

    def __init__(
        self, num_layers: int, layer_cfg: Config, num_cp: int = -1, init_cfg: Any = None
    ) -> None:
        super().__init__(init_cfg)
        if num_cp > num_layers:
            raise ConfigError(f"num_cp={num_cp} exceeds num_layers={num_layers}")
        self.num_layers, self.num_cp = num_layers, num_cp
        self.layers = ModuleList(
            DetrTransformerEncoderLayer(**layer_cfg) for _ in range(num_layers)
        )
        self.embed_dims = self.layers[0].embed_dims if num_layers else 0

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor | None,
        key_padding_mask: Tensor | None,
        **kwargs: Any,
    ) -> Tensor:
        """Tokens (B, L, C) -> (B, L, C); see the layer."""
        for i, layer in enumerate(self.layers):

            def run(x: Tensor, layer: nn.Module = layer) -> Tensor:
                return layer(x, query_pos, key_padding_mask, **kwargs)

            query = maybe_checkpoint(run, i < self.num_cp, query)
        return query
