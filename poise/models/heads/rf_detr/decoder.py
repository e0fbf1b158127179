"""Decoder of RF-DETR: people look at one another and at maps, then at their keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.layers import BaseModule, ModuleList
from poise.layers.deform_attention import MultiScaleDeformableAttention
from poise.layers.transformer import FFN
from poise.models.heads.edpose.decoder import DecoderLayer, box_encoding
from poise.models.heads.edpose.encoder import MLP

__all__ = ["RFDETRDecoder"]

#: the released files start keypoints with hardly any say in what a person is
_SAY = 1e-6
#: channels inside the feed-forward of keypoints, relative to those outside
_WIDER = 4


class _PoseLayer(DecoderLayer):
    """A layer of people, then one of each person and its keypoints; see `RFDETRDecoder`."""

    def __init__(
        self, embed_dims: int, num_heads: int, feedforward_channels: int, cross: Mapping[str, int]
    ) -> None:
        looking: dict[str, Any] = {**cross, "embed_dims": embed_dims, "dropout": 0.0}
        super().__init__(
            {"embed_dims": embed_dims, "num_heads": num_heads},
            looking,
            {"embed_dims": embed_dims, "feedforward_channels": feedforward_channels},
        )
        self.group_attn = nn.MultiheadAttention(embed_dims, num_heads, batch_first=True)
        self.person_scale = nn.Parameter(torch.full((1,), _SAY))
        self.person_norm = nn.LayerNorm(embed_dims)
        self.keypoint_cross_attn = MultiScaleDeformableAttention(**looking, batch_first=True)
        self.keypoint_ffn = FFN(embed_dims, _WIDER * embed_dims)
        self.keypoint_norms = ModuleList(nn.LayerNorm(embed_dims) for _ in range(3))

    def with_keypoints(
        self,
        people: Tensor,
        keypoints: Tensor,
        names: Tensor,
        apart: Tensor,
        query_pos: Tensor,
        reference_points: Tensor,
        **memory: Any,
    ) -> tuple[Tensor, Tensor]:
        """Let people and their keypoints look at one another, and keypoints at maps.

        Args:
            people: (B, N, C).
            keypoints: (B, N, K, C).
            names: (1 + K, C) what tells a person and the keypoints from one another.
            apart: (1 + K, 1 + K) bool, True for keypoints of different classes.
            query_pos: (B, N, C) where people are.
            reference_points: (B, N, 1, 4) their boxes.
            **memory: `value`, `spatial_shapes` of the maps of keypoints.
        """
        count, points, channels = keypoints.shape[1:]
        group = torch.cat((people.unsqueeze(2), keypoints), dim=2).flatten(0, 1)
        query = group + names
        seen = self.group_attn(query, query, group, attn_mask=apart, need_weights=False)[0]
        seen = seen.reshape(-1, count, 1 + points, channels)
        people = self.person_norm(people + seen[:, :, 0] * self.person_scale)
        keypoints = self.keypoint_norms[0](keypoints + seen[:, :, 1:])

        def of_each(values: Tensor) -> Tensor:
            """(B, N, ...) -> (B, N * K, ...): what a person has, for each of its keypoints."""
            return values.unsqueeze(2).expand(-1, -1, points, *values.shape[2:]).flatten(1, 2)

        keypoints = self.keypoint_cross_attn(
            keypoints.flatten(1, 2),
            query_pos=of_each(query_pos),
            reference_points=of_each(reference_points),
            **memory,
        )
        keypoints = self.keypoint_norms[1](keypoints)
        keypoints = self.keypoint_norms[2](self.keypoint_ffn(keypoints))
        return people, keypoints.reshape(-1, count, points, channels)


class RFDETRDecoder(BaseModule):
    """Layers around boxes that stay where they are (Liu 2023, Group Pose, arXiv 2308.07313).

    Args:
        num_keypoints: K, of all classes.
        num_layers: layers.
        embed_dims: C.
        **layer: of each layer: heads of self-attention `num_heads`, channels inside the
            feed-forward of people `feedforward_channels`; `cross`, the heads, levels and points of
            the attention to maps.
    """

    def __init__(self, num_keypoints: int, num_layers: int, embed_dims: int, **layer: Any) -> None:
        super().__init__()
        self.layers = ModuleList(_PoseLayer(embed_dims, **layer) for _ in range(num_layers))
        self.norm = nn.LayerNorm(embed_dims)
        self.ref_point_head = MLP(2 * embed_dims, embed_dims, embed_dims, 2)
        self.keypoint_pos_embed = nn.Parameter(torch.randn(num_keypoints, embed_dims))

    def forward(
        self,
        people: Tensor,
        keypoints: Tensor,
        boxes: Tensor,
        apart: Tensor,
        memory: tuple[Tensor, Tensor],
        spatial_shapes: Sequence[tuple[int, int]],
    ) -> tuple[Tensor, Tensor]:
        """People (B, N, C) and their keypoints (B, N, K, C) after the last layer.

        Args:
            people: (B, N, C).
            keypoints: (B, N, K, C).
            boxes: (B, N, 4) as (cx, cy, w, h), 0..1.
            apart: (1 + K, 1 + K) bool, True for keypoints of different classes.
            memory: (B, S, C) pixels of the maps for people, and for keypoints.
            spatial_shapes: height and width of each map.
        """
        waves = box_encoding(boxes, people.shape[-1] // 2)
        places = self.ref_point_head(waves.to(people.dtype))
        nobody = torch.zeros_like(self.keypoint_pos_embed[:1])
        names = torch.cat((nobody, self.keypoint_pos_embed))
        common: dict[str, Any] = {
            "reference_points": boxes.unsqueeze(2),
            "spatial_shapes": spatial_shapes,
        }
        for layer in self.layers:
            people = layer(people, places, None, value=memory[0], **common)
            people, keypoints = layer.with_keypoints(
                people, keypoints, names, apart, places, value=memory[1], **common
            )
        return self.norm(people), keypoints
