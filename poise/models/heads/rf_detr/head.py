"""Head of RF-DETR with keypoints: proposals of a map, a decoder, and what queries predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise.errors import ConfigError
from poise.layers import BaseModule
from poise.models.heads.base import BaseHead
from poise.models.heads.dense import start_rare
from poise.models.heads.edpose.encoder import MLP, pixel_centres
from poise.models.heads.edpose.head import PROPOSAL_RANGE, PROPOSAL_SIZE
from poise.models.heads.rf_detr.decoder import RFDETRDecoder
from poise.models.heads.rf_detr.people import best_people
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["RFDETRHead", "moved_boxes"]

#: numbers that a keypoint's query predicts, see `best_people`
_NUMBERS = 8
#: settings of predictions that `best_people` takes
_LIMITS = ("num_select", "trace_alpha", "score_thr")


def moved_boxes(deltas: Tensor, boxes: Tensor) -> Tensor:
    """Boxes (..., 4), (cx, cy, w, h), moved by shares of their size and scaled by exponents."""
    centers = deltas[..., :2] * boxes[..., 2:] + boxes[..., :2]
    return torch.cat((centers, deltas[..., 2:].exp() * boxes[..., 2:]), dim=-1)


class _KeypointQueries(BaseModule):
    """Queries of a person's keypoints, which depend on the person: (B, N, C) -> (B, N, K, C)."""

    def __init__(self, embed_dims: int, num_keypoints: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_keypoints, embed_dims))
        self.query_norm = nn.LayerNorm(embed_dims, elementwise_affine=False)
        last = nn.Linear(embed_dims, 3 * embed_dims)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.modulation = nn.Sequential(nn.Linear(embed_dims, embed_dims), nn.GELU(), last)
        self.out_proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, people: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, K, C)."""
        scale, shift, gate = self.modulation(people.unsqueeze(-2)).chunk(3, dim=-1)
        changed = self.query_norm(self.queries) * (1 + scale) + shift
        return self.out_proj(changed) * gate + self.queries


@MODELS.register_module(scope="poise")
class RFDETRHead(BaseHead):
    """People as queries, with keypoints, their doubt and their visibility; for inference.

    Robinson 2025, "RF-DETR", arXiv 2511.09554, and the keypoints of its 2026 preview. Of the
    groups of queries that training has, the first one is kept, which is what RF-DETR predicts by.

    Args:
        keypoints_per_class: number of keypoints of each class; 0 for classes without.
        num_classes: logits of classes, with that of no object. A file with another number wins,
            as with other places of the classes that have keypoints.
        num_queries: people at most.
        num_layers: layers of the decoder.
        embed_dims: channels.
        num_heads: heads of self-attention.
        num_cross_heads: heads of the attention to maps.
        num_levels: maps.
        num_points: places on each map, of each head.
        feedforward_channels: channels inside the feed-forward of people.

    Raises:
        ConfigError: no keypoints, or more classes with keypoints than classes.
    """

    instead = (
        "train it with the package rfdetr, whose checkpoints Poise reads, or train RTMO for "
        "one-stage pose estimation"
    )
    keypoint_classes: Tensor

    def __init__(
        self,
        keypoints_per_class: Sequence[int] = (17,),
        num_classes: int = 91,
        num_queries: int = 100,
        num_layers: int = 4,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_cross_heads: int = 16,
        num_levels: int = 1,
        num_points: int = 2,
        feedforward_channels: int = 2048,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        owners = [i for i, count in enumerate(keypoints_per_class) for _ in range(count)]
        if not owners or len(keypoints_per_class) > num_classes:
            raise ConfigError(
                f"keypoints_per_class={list(keypoints_per_class)} should have a keypoint, and no "
                f"more classes than num_classes={num_classes}"
            )
        self.num_queries, self.embed_dims = num_queries, embed_dims
        self.register_buffer("keypoint_classes", torch.tensor(owners))
        self._set_classes(num_classes)
        self.refpoint_embed = nn.Embedding(num_queries, 4)
        self.query_feat = nn.Embedding(num_queries, embed_dims)
        self.enc_output = nn.Linear(embed_dims, embed_dims)
        self.enc_output_norm = nn.LayerNorm(embed_dims)
        self.enc_out_bbox_embed = MLP(embed_dims, embed_dims, 4, 3)
        self.keypoint_queries = _KeypointQueries(embed_dims, len(owners))
        self.decoder = RFDETRDecoder(
            len(owners),
            num_layers,
            embed_dims,
            num_heads=num_heads,
            feedforward_channels=feedforward_channels,
            cross=dict(num_heads=num_cross_heads, num_levels=num_levels, num_points=num_points),
        )
        self.bbox_embed = MLP(embed_dims, embed_dims, 4, 3)
        self.keypoint_embed = MLP(embed_dims, embed_dims, _NUMBERS, 3)

    def init_weights(self) -> None:
        """Start with boxes and keypoints that stay where they are."""
        super().init_weights()
        for part in (self.enc_out_bbox_embed, self.bbox_embed, self.keypoint_embed):
            nn.init.zeros_(part.layers[-1].weight)
            nn.init.zeros_(part.layers[-1].bias)
        nn.init.zeros_(self.refpoint_embed.weight)

    def _set_classes(self, count: int) -> None:
        self.num_classes = count
        self.class_embed = nn.Linear(self.embed_dims, count)
        self.enc_out_class_embed = nn.Linear(self.embed_dims, count)
        start_rare((self.class_embed, self.enc_out_class_embed))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # what a file calls its classes matters as little as how many have no keypoints
        rows = state_dict.get(f"{prefix}class_embed.weight")
        if rows is not None and rows.ndim == 2 and len(rows) != self.num_classes:
            self._set_classes(len(rows))
        super()._load_from_state_dict(state_dict, prefix, *args)

    # ------------------------------------------------------------------ network

    def forward(self, feats: tuple[Sequence[Tensor], Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Logits (B, Q, classes), boxes (B, Q, 4), keypoints (B, Q, K, 8); see `best_people`.

        Args:
            feats: maps (B, C, H, W) for people and for keypoints, a level each.
        """
        memory = [torch.cat([f.flatten(2).transpose(1, 2) for f in maps], 1) for maps in feats]
        sizes = [(f.shape[-2], f.shape[-1]) for f in feats[0]]
        boxes = moved_boxes(self.refpoint_embed.weight, self._propose(memory[0], sizes))
        people = self.query_feat.weight[: boxes.shape[1]].expand(memory[0].shape[0], -1, -1)
        classes = self.keypoint_classes
        people, keypoints = self.decoder(
            people,
            self.keypoint_queries(people),
            boxes,
            F.pad(classes[:, None] != classes, (1, 0, 1, 0)),
            (memory[0], memory[1]),
            sizes,
        )
        points = self.keypoint_embed(keypoints)
        points = points.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        around = boxes.unsqueeze(2)
        places = points[..., :2] * around[..., 2:] + around[..., :2]
        shares = points[..., -1] @ F.one_hot(classes, self.num_classes).to(points.dtype)
        return (
            self.class_embed(people) + shares,
            moved_boxes(self.bbox_embed(people), boxes),
            torch.cat((places, points[..., 2:]), dim=-1),
        )

    def _propose(self, memory: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Boxes (B, Q, 4) around the pixels (B, S, C) of maps that are likest people."""
        boxes = []
        for level, (rows, columns) in enumerate(sizes):
            size = memory.new_tensor([columns, rows])
            centers = pixel_centres(rows, columns, memory) / size
            side = torch.full_like(centers, PROPOSAL_SIZE * 2.0**level)
            boxes.append(torch.cat((centers, side), dim=-1))
        grid = torch.cat(boxes).to(memory.dtype)
        low, high = PROPOSAL_RANGE
        out = ~((grid > low) & (grid < high)).all(dim=-1, keepdim=True)
        pixels = self.enc_output_norm(self.enc_output(memory.masked_fill(out, 0.0)))
        scores = self.enc_out_class_embed(pixels).amax(dim=-1)
        best = scores.topk(min(self.num_queries, pixels.shape[1]), dim=1).indices.unsqueeze(-1)
        chosen = pixels.gather(1, best.expand(-1, -1, pixels.shape[-1]))
        grid = grid.masked_fill(out, 0.0)
        return moved_boxes(self.enc_out_bbox_embed(chosen), grid[best.squeeze(-1)])

    # --------------------------------------------------------------- prediction

    def require_covariances(self) -> None:
        """The network tells, not a codec."""

    def predict(
        self,
        feats: Any,
        batch_data_samples: Sequence[Any],
        test_cfg: Mapping[str, Any] = {},
    ) -> list[InstanceData]:
        """Predict the people of each picture, best first.

        Args:
            feats: see `forward`.
            batch_data_samples: B samples, with `input_size`.
            test_cfg: `num_select`, `trace_alpha` and `score_thr` of `best_people`;
                `output_covariances`.

        Returns:
            B `InstanceData` of arrays, input space: `keypoints` (N, K, 2), `bboxes` (N, 4),
            `keypoint_scores`, `keypoints_visible`, `bbox_scores`, `labels`; of several classes
            with keypoints also `categories`; if asked for `keypoint_covariances` (N, K, 2, 2).

        Raises:
            ConfigError: `flip_test`, which the head does not know.
        """
        self.refuse_flip_test(test_cfg)
        limits = {name: test_cfg[name] for name in _LIMITS if name in test_cfg}
        several = len(self.keypoint_classes.unique()) > 1
        results = []
        outputs = zip(*self.forward(feats), strict=True)
        for sample, (logits, boxes, points) in zip(batch_data_samples, outputs, strict=True):
            found = best_people(logits, boxes, points, self.keypoint_classes, **limits)
            size = found.boxes.new_tensor(sample.metainfo["input_size"])
            people = InstanceData(
                labels=found.labels,
                bboxes=found.boxes * size.tile(2),
                bbox_scores=found.scores,
                keypoints=found.keypoints * size,
                keypoint_scores=found.keypoint_scores,
                keypoints_visible=found.visible,
            )
            if several:
                people.set_field(found.labels, "categories")
            people = people.numpy()
            if test_cfg.get("output_covariances", False):
                covariances = found.covariances * size * size.unsqueeze(-1)
                people.set_field(as_numpy(covariances), "keypoint_covariances")
            results.append(people)
        return results
