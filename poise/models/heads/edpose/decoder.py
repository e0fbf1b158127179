"""Decoder of ED-Pose: queries are people first, then people with their keypoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, ModuleList, build_norm_layer
from poise.layers.deform_attention import MultiScaleDeformableAttention
from poise.layers.transformer import FFN, MultiheadAttention
from poise.models.heads.edpose.encoder import LAYER_NORM, MLP, inverse_sigmoid, sine_waves

__all__ = ["DecoderLayer", "EDPoseDecoder", "box_encoding"]

#: channels of the encoding of each number of a box
BOX_CHANNELS = 128
TEMPERATURE = 10000


def box_encoding(boxes: Tensor, channels: int = BOX_CHANNELS) -> Tensor:
    """Sine encoding (..., 4 * channels) of boxes (..., 4), (cx, cy, w, h) in 0..1; y is first."""
    waves = [sine_waves(boxes[..., i] * 2 * math.pi, channels, TEMPERATURE) for i in (1, 0, 2, 3)]
    return torch.cat(waves, dim=-1)


class DecoderLayer(BaseModule):
    """Self-attention, deformable cross-attention, feed-forward; a norm after each."""

    def __init__(
        self,
        self_attn_cfg: Mapping[str, Any],
        cross_attn_cfg: Mapping[str, Any],
        ffn_cfg: Mapping[str, Any],
        norm_cfg: Mapping[str, Any] = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(**{**self_attn_cfg, "batch_first": True})
        self.cross_attn = MultiScaleDeformableAttention(**{**cross_attn_cfg, "batch_first": True})
        self.embed_dims = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(3))

    def forward(
        self, query: Tensor, query_pos: Tensor, self_attn_mask: Tensor | None, **memory: Any
    ) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        query = self.norms[0](
            self.self_attn(query, query_pos=query_pos, key_pos=query_pos, attn_mask=self_attn_mask)
        )
        query = self.norms[1](self.cross_attn(query, query_pos=query_pos, **memory))
        return self.norms[2](self.ffn(query))


class EDPoseDecoder(BaseModule):
    """Layers that move boxes of people, and after some layers boxes of keypoints too.

    The layers that predict from queries (`bbox_embed`, `pose_embed`, `pose_hw_embed`,
    `class_embed`) belong to the output head, which sets them here.

    Args:
        layer_cfg: `self_attn_cfg`, `cross_attn_cfg`, `ffn_cfg` of each layer.
        num_layers: number of layers.
        return_intermediate: must be True.
        embed_dims: channels.
        query_dim: numbers of a reference, 4.
        num_feature_levels: number of maps.
        num_box_decoder_layers: layers that know people only.
        num_keypoints: K.
        num_dn: denoising queries of training.
        num_group: people that are kept.

    Raises:
        ConfigError: `return_intermediate` is False, or `query_dim` is not 4.
    """

    def __init__(
        self,
        layer_cfg: Mapping[str, Any],
        num_layers: int,
        return_intermediate: bool,
        embed_dims: int = 256,
        query_dim: int = 4,
        num_feature_levels: int = 1,
        num_box_decoder_layers: int = 2,
        num_keypoints: int = 17,
        num_dn: int = 100,
        num_group: int = 100,
    ) -> None:
        super().__init__()
        if not return_intermediate or query_dim != 4:
            raise ConfigError(
                "EDPoseDecoder needs return_intermediate=True and query_dim=4, got "
                f"{return_intermediate} and {query_dim}"
            )
        self.num_layers = num_layers
        self.embed_dims = embed_dims
        self.num_keypoints = num_keypoints
        self.num_box_decoder_layers = num_box_decoder_layers
        self.num_group = num_group
        self.layers = ModuleList(DecoderLayer(**layer_cfg) for _ in range(num_layers))
        self.norm = nn.LayerNorm(embed_dims)
        self.ref_point_head = MLP(query_dim // 2 * embed_dims, embed_dims, embed_dims, 2)
        self.hw = nn.Embedding(num_keypoints, 2)
        self.keypoint_embed = nn.Embedding(num_keypoints, embed_dims)

    def forward(
        self,
        query: Tensor,
        reference_points: Tensor,
        valid_ratios: Tensor,
        group_mask: Tensor,
        **memory: Any,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Queries after each layer and boxes before each layer, and after the last.

        Args:
            query: (B, Q, C).
            reference_points: (B, Q, 4) boxes (cx, cy, w, h), 0..1.
            valid_ratios: (B, L, 2) share of each map that is picture.
            group_mask: (Q', Q') bool, True where a query of the second kind may not look.
            **memory: `value`, `key_padding_mask`, `spatial_shapes` of the encoder.
        """
        boxes, states, references = reference_points, [], [reference_points]
        ratios = torch.cat([valid_ratios, valid_ratios], dim=-1)[:, None]
        mask = None
        for i, layer in enumerate(self.layers):
            scaled = boxes[:, :, None] * ratios
            query = layer(
                query,
                self.ref_point_head(box_encoding(scaled[:, :, 0])),
                mask,
                reference_points=scaled,
                **memory,
            )
            states.append(self.norm(query))
            if i < self.num_box_decoder_layers:
                boxes = (self.bbox_embed[i](query) + inverse_sigmoid(boxes)).sigmoid()
                if i == self.num_box_decoder_layers - 1:
                    query, boxes = self._expand(query, boxes, i)
                    mask = group_mask
            else:
                boxes = self._move(query, boxes, i)
            boxes = boxes.detach()
            references.append(boxes)
        return states, references

    def _expand(self, query: Tensor, boxes: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Keep the best people and give each its keypoints.

        Returns:
            Queries (B, groups * (K + 1), C) and boxes (B, groups * (K + 1), 4); a person, then
            its keypoints.
        """
        scores = self.class_embed[layer](query).amax(dim=-1)
        best = scores.topk(self.num_group, dim=1).indices[..., None]
        query = query.gather(1, best.expand(-1, -1, query.shape[-1])).unsqueeze(2)
        boxes = boxes.gather(1, best.expand(-1, -1, 4)).unsqueeze(2)
        keypoints = query + self.keypoint_embed.weight
        # released weights: COCO's model has a layer of its own for this step, the last one
        first = self.pose_embed[-1 if self.num_keypoints == 17 else 0]
        xy = (inverse_sigmoid(boxes[..., :2]) + first(keypoints)[..., :2]).sigmoid()
        wh = self.hw.weight.sigmoid() * boxes[..., 2:]
        small = torch.cat([xy, wh], dim=-1)
        return (
            torch.cat([query, keypoints], dim=2).flatten(1, 2),
            torch.cat([boxes, small], dim=2).flatten(1, 2),
        )

    def _move(self, query: Tensor, boxes: Tensor, layer: int) -> Tensor:
        """Boxes of people and of keypoints after a layer of the second kind."""
        pose = layer - self.num_box_decoder_layers
        groups = (self.num_group, self.num_keypoints + 1)
        query, logits = query.unflatten(1, groups), inverse_sigmoid(boxes).unflatten(1, groups)
        person = self.bbox_embed[layer](query[:, :, :1])
        keypoints = query[:, :, 1:]
        parts = (self.pose_embed[pose](keypoints)[..., :2], self.pose_hw_embed[pose](keypoints))
        delta = torch.cat([person, torch.cat(parts, dim=-1)], dim=2)
        return (logits + delta).sigmoid().flatten(1, 2)
