"""Attention to a few learned places on feature maps of several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ArgumentError
from poise.layers.attention import check_heads
from poise.layers.base import BaseModule
from poise.layers.init import constant_init, xavier_init
from poise.layers.linear import Linear
from poise.registry import MODELS

__all__ = ["MultiScaleDeformableAttention", "map_sizes", "sample_and_weigh", "split_maps"]


def map_sizes(spatial_shapes: Tensor | Sequence[Any]) -> list[Any]:
    """Pairs of height and width of (L, 2) sizes; those that are pairs already stay.

    Plain numbers; while a network is traced they are tensors, so that what is written follows from
    the picture.
    """
    if not isinstance(spatial_shapes, Tensor):
        return list(spatial_shapes)
    if torch.jit.is_tracing():
        return [tuple(size.unbind()) for size in spatial_shapes.unbind()]
    sizes: list[Any] = spatial_shapes.tolist()
    return sizes


def split_maps(values: Tensor, sizes: Sequence[Any]) -> list[Tensor]:
    """Parts (B, H * W, ...) of values (B, S, ...), one a map."""
    parts, start = [], 0
    for height, width in sizes:
        end = start + height * width
        parts.append(values[:, start:end])
        start = end
    return parts


def sample_and_weigh(
    value: Tensor, spatial_shapes: Tensor | Sequence[Any], locations: Tensor, weights: Tensor
) -> Tensor:
    """Weighted sum of values at some places of all maps.

    Args:
        value: (B, S, heads, C) values of all maps, one map after another, row by row.
        spatial_shapes: (L, 2) height and width of each map, or pairs of them.
        locations: (B, Q, heads, L, P, 2) places (x, y) in 0..1.
        weights: (B, Q, heads, L, P).

    Returns:
        (B, Q, heads * C).
    """
    heads, channels = value.shape[2:]
    queries = locations.shape[1]
    sizes = map_sizes(spatial_shapes)
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # L, B * heads, Q, P, 2
    # L, B * heads, 1, Q, P
    weights = weights.permute(3, 0, 2, 1, 4).flatten(1, 2).unsqueeze(2)
    sums = []  # level after level: what all of them sample would not stay in a cache
    for maps, (height, width), grid, weight in zip(
        split_maps(value, sizes), sizes, grids, weights, strict=True
    ):
        # batch and heads as one; a number in place of -1 would be fixed in exported files
        maps = maps.permute(0, 2, 3, 1).reshape(-1, channels, height, width)
        sampled = F.grid_sample(
            maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        sums.append((sampled * weight).sum(dim=-1))
    out = torch.stack(sums).sum(dim=0)
    return out.reshape(-1, heads * channels, queries).transpose(1, 2)


@MODELS.register_module(scope="mmcv")
class MultiScaleDeformableAttention(BaseModule):
    """Each query looks at a few places around its reference point, on every map.

    Zhu 2021, "Deformable DETR", section 4.1, arXiv 2010.04159.

    Args:
        embed_dims: channels.
        num_heads: heads.
        num_levels: number of maps.
        num_points: places on each map and head.
        im2col_step: not used; kept for configs.
        dropout: of the output before the residual sum.
        batch_first: (B, L, C) instead of (L, B, C).
        norm_cfg: not used; kept for configs.
        value_proj_ratio: channels of the values, relative to `embed_dims`.

    Raises:
        ConfigError: heads that do not divide the channels.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        im2col_step: int = 64,
        dropout: float = 0.1,
        batch_first: bool = False,
        norm_cfg: Any = None,
        init_cfg: Any = None,
        value_proj_ratio: float = 1.0,
    ) -> None:
        super().__init__(init_cfg)
        check_heads(embed_dims, num_heads)
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.num_levels, self.num_points = num_levels, num_points
        self.batch_first = batch_first
        self.dropout = nn.Dropout(dropout)
        places = num_heads * num_levels * num_points
        width = int(embed_dims * value_proj_ratio)
        self.sampling_offsets = Linear(embed_dims, places * 2)
        self.attention_weights = Linear(embed_dims, places)
        self.value_proj = Linear(embed_dims, width)
        self.output_proj = Linear(width, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Start with equal weights and places on rays, a ray a head."""
        constant_init(self.sampling_offsets, 0.0)
        angle = torch.arange(self.num_heads) * (2.0 * math.pi / self.num_heads)
        ray = torch.stack([angle.cos(), angle.sin()], dim=-1)
        ray = ray / ray.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1.0, self.num_points + 1)
        start = ray[:, None, None] * steps[:, None]  # heads, 1, P, 2
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(start.expand(-1, self.num_levels, -1, -1).reshape(-1))
        constant_init(self.attention_weights, val=0.0, bias=0.0)
        xavier_init(self.value_proj, distribution="uniform", bias=0.0)
        xavier_init(self.output_proj, distribution="uniform", bias=0.0)
        self._is_init = True

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        reference_points: Tensor | None = None,
        spatial_shapes: Tensor | Sequence[Any] | None = None,
        level_start_index: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend and add.

        Args:
            query: (B, Q, C), or (Q, B, C) without `batch_first`.
            key: not used.
            value: (B, S, C) maps, one after another; the query if None.
            identity: what is added; the query if None.
            query_pos: added to the query.
            key_padding_mask: (B, S), True where there is no picture.
            reference_points: (B, Q, L, 2) points or (B, Q, L, 4) boxes (cx, cy, w, h), 0..1.
            spatial_shapes: (L, 2) height and width of the maps, or, where references are boxes,
                pairs of plain numbers, which graphs hold better.
            level_start_index: not used.
            **kwargs: ignored; layers of a decoder get one set of arguments.
        """
        if reference_points is None or spatial_shapes is None:
            raise ArgumentError(
                "deformable attention needs `reference_points` and `spatial_shapes`, the places "
                "to look at and the sizes of the maps; got None"
            )
        identity = query if identity is None else identity
        value = query if value is None else value
        query = query if query_pos is None else query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        shape = (self.num_heads, self.num_levels, self.num_points)
        value = self.value_proj(value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask[..., None], 0.0)
        value = value.unflatten(-1, (self.num_heads, -1))
        weights = self.attention_weights(query).unflatten(-1, (self.num_heads, -1)).softmax(-1)
        offsets = self.sampling_offsets(query).unflatten(-1, (*shape, 2))
        places = self._places(reference_points[:, :, None, :, None], offsets, spatial_shapes)
        out = sample_and_weigh(value, spatial_shapes, places, weights.unflatten(-1, shape[1:]))
        out = self.output_proj(out)
        if not self.batch_first:
            out = out.transpose(0, 1)
        return self.dropout(out) + identity

    def _places(self, reference: Tensor, offsets: Tensor, spatial_shapes: Any) -> Tensor:
        """Places in 0..1 of offsets in map pixels, or in shares of a box."""
        if reference.shape[-1] == 2:
            size = spatial_shapes.flip(-1)[:, None]  # L, 1, (width, height)
            return reference + offsets / size
        center, box = reference[..., :2], reference[..., 2:]
        return center + offsets / self.num_points * box * 0.5
