"""The layers of ED-Pose that turn queries into scores, boxes and keypoints."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.layers import BaseModule, constant_init
from poise.models.heads.dense import start_rare
from poise.models.heads.edpose.encoder import MLP, inverse_sigmoid

__all__ = ["EDPoseOutHead"]


def _copies(layer: nn.Module, count: int, *, shared: bool) -> nn.ModuleList:
    return nn.ModuleList(layer if shared else copy.deepcopy(layer) for _ in range(count))


class EDPoseOutHead(BaseModule):
    """Scores, boxes and keypoints of the decoder's queries.

    Args:
        num_classes: number of classes.
        num_keypoints: K.
        num_queries: queries of the first layers.
        cls_no_bias: no bias in the class layer.
        embed_dims: channels.
        as_two_stage: not used; kept for configs.
        refine_queries_num: denoising queries of training.
        num_box_decoder_layers: decoder layers that know people only.
        num_group: people that are kept.
        num_pred_layer: decoder layers.
        dec_pred_class_embed_share: one class layer for all decoder layers.
        dec_pred_bbox_embed_share: one box layer.
        dec_pred_pose_embed_share: one pose layer.
        **kwargs: settings of the decoder that do not matter here.
    """

    def __init__(
        self,
        num_classes: int,
        num_keypoints: int = 17,
        num_queries: int = 900,
        cls_no_bias: bool = False,
        embed_dims: int = 256,
        as_two_stage: bool = False,
        refine_queries_num: int = 100,
        num_box_decoder_layers: int = 2,
        num_group: int = 100,
        num_pred_layer: int = 6,
        dec_pred_class_embed_share: bool = False,
        dec_pred_bbox_embed_share: bool = False,
        dec_pred_pose_embed_share: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_keypoints = num_keypoints
        self.num_box_decoder_layers = num_box_decoder_layers
        self.num_group = num_group
        classes = nn.Linear(embed_dims, num_classes, bias=not cls_no_bias)
        if not cls_no_bias:
            start_rare([classes])
        boxes = MLP(embed_dims, embed_dims, 4, 3)
        pose = MLP(embed_dims, embed_dims, 2, 3)
        pose_size = MLP(embed_dims, embed_dims, 2, 3)
        late = num_pred_layer - num_box_decoder_layers
        # COCO's model places new keypoints by a layer of its own
        extra = 1 if num_keypoints == 17 else 0
        self.bbox_embed = _copies(boxes, num_pred_layer, shared=dec_pred_bbox_embed_share)
        self.class_embed = _copies(classes, num_pred_layer, shared=dec_pred_class_embed_share)
        self.pose_embed = _copies(pose, late + extra, shared=dec_pred_pose_embed_share)
        self.pose_hw_embed = _copies(pose_size, late, shared=True)

    def init_weights(self) -> None:
        """Start with boxes and keypoints that stay where they are."""
        for layer in (*self.bbox_embed, *self.pose_embed):
            constant_init(layer.layers[-1], 0, bias=0)
        self._is_init = True

    def forward(
        self, hidden_states: Sequence[Tensor], references: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the last decoder layer says.

        Args:
            hidden_states: (B, Q, C) after each layer.
            references: (B, Q, 4) boxes before each layer.

        Returns:
            Logits (B, groups, classes), boxes (B, groups, 4) as (cx, cy, w, h) in 0..1, and
            keypoints (B, groups, 3 * K): x and y by turns in 0..1, then visibilities.
        """
        last = len(hidden_states) - 1
        groups = (self.num_group, self.num_keypoints + 1)
        states = hidden_states[last].unflatten(1, groups)
        logits = inverse_sigmoid(references[last]).unflatten(1, groups)
        person = states[:, :, 0]
        boxes = (self.bbox_embed[last](person) + logits[:, :, 0]).sigmoid()
        pose = self.pose_embed[last - self.num_box_decoder_layers]
        xy = (pose(states[:, :, 1:]) + logits[:, :, 1:, :2]).sigmoid().flatten(2)
        # the network says nothing about visibility
        visible = torch.ones_like(xy[..., : self.num_keypoints]).sigmoid()
        return self.class_embed[last](person), boxes, torch.cat([xy, visible], dim=-1)
