"""Parts of transformers under MMCV's names: attention, feed-forward, DETR's encoder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers.attention import check_heads
from poise.layers.base import BaseModule, ModuleList, Sequential
from poise.layers.builders import build_activation_layer, build_dropout, build_norm_layer
from poise.layers.linear import Linear
from poise.layers.recompute import maybe_checkpoint
from poise.layers.scale import LayerScale
from poise.registry import MODELS

__all__ = [
    "FFN",
    "DetrTransformerEncoder",
    "DetrTransformerEncoderLayer",
    "Mlp",
    "MultiheadAttention",
]

Config = Mapping[str, Any]
LN: Config = {"type": "LN"}


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
        batch_first: tokens are (B, L, C) rather than (L, B, C).
        **kwargs: further arguments of `nn.MultiheadAttention`; `dropout` sets `attn_drop` and
            the probability of `dropout_layer`.

    Raises:
        ConfigError: heads that do not divide the channels.
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
        check_heads(embed_dims, num_heads)
        if "dropout" in kwargs:
            attn_drop = kwargs.pop("dropout")
            dropout_layer = {**(dropout_layer or {}), "drop_prob": attn_drop}
        self.embed_dims, self.num_heads, self.batch_first = embed_dims, num_heads, batch_first
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, **kwargs)
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
        tokens = [
            query if query_pos is None else query + query_pos,
            key if key_pos is None else key + key_pos,
            value,
        ]
        if self.batch_first:
            tokens = [t.transpose(0, 1) for t in tokens]
        # tokens first, and weights although nobody reads them: the fused kernels of the other way
        # round otherwise than the reference, and RTMO keeps its best 2000 cells in the order of
        # scores that differ by less than that
        out = self.attn(
            *tokens, attn_mask=attn_mask, key_padding_mask=key_padding_mask, need_weights=True
        )[0]
        if self.batch_first:
            out = out.transpose(0, 1)
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
                    Linear(before, after), build_activation_layer(act_cfg), nn.Dropout(ffn_drop)
                )
                for before, after in itertools.pairwise(widths)
            ),
            Linear(feedforward_channels, embed_dims),
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


class Mlp(nn.Module):
    """Two layers with GELU: (..., C) -> the same.

    Args:
        channels, hidden: C, and channels between.
        drop: dropout after each layer.
        layer: makes them of (channels before, channels after).
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        drop: float = 0.0,
        layer: Callable[[int, int], nn.Module] = Linear,
    ) -> None:
        super().__init__()
        self.fc1 = layer(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = layer(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C), or (B, C, H, W) with convolutions -> the same shape."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class DetrTransformerEncoderLayer(BaseModule):
    """Attention and feed-forward, each with a norm after it (Carion 2020, DETR).

    Args:
        self_attn_cfg: arguments of `MultiheadAttention`; the batch comes first.
        ffn_cfg: arguments of `FFN`.
        norm_cfg: of both norms.

    Raises:
        ConfigError: `batch_first=False`.
    """

    #: class of the attention
    attention: ClassVar[Callable[..., Any]] = MultiheadAttention

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
        self.self_attn = self.attention(**{**self_attn_cfg, "batch_first": True})
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
