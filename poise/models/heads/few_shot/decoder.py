"""The graph decoder: keypoints move step by step, and neighbours of the skeleton talk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import one_of
from poise.layers import BaseModule
from poise.models.heads.edpose.encoder import inverse_sigmoid

__all__ = ["GraphDecoder", "GraphLayer", "adjacency"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "glu": F.glu}
#: a picture without links gets what the authors' demo gives it: the first keypoint, by itself
NO_LINKS = ((0, 0),)

Links = Sequence[Sequence[int]]


def adjacency(skeletons: Sequence[Links], absent: Tensor) -> Tensor:
    """What each keypoint hears: itself, and the mean of its neighbours.

    Args:
        skeletons: of each of B pictures the links, pairs of indices from 0.
        absent: (B, K) bool, keypoints that are not there.

    Returns:
        (B, 2, K, K) float32.
    """
    count = absent.shape[1]
    joined = torch.zeros(len(absent), count, count, device=absent.device)
    for own, links in zip(joined, skeletons, strict=True):
        first, second = torch.as_tensor([link[:2] for link in links or NO_LINKS]).T
        own[first, second] = own[second, first] = 1
    there = ~absent
    joined = joined * there[:, :, None] * there[:, None]
    # a keypoint without neighbours hears nothing from them
    joined = joined / joined.sum(dim=-1, keepdim=True).clamp(min=1)
    return torch.stack((torch.diag_embed(there).float(), joined), dim=1)


class GraphLayer(BaseModule):
    """Graph convolution (Kipf 2017) with a weight for oneself and one for one's neighbours.

    Args:
        in_features, out_features: channels.
    """

    KERNELS = 2

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_features, self.KERNELS * out_features, 1)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Keypoints (B, K, C) and `adjacency` (B, 2, K, K) -> (B, K, C')."""
        parts = self.conv(x.transpose(1, 2)).unflatten(1, (self.KERNELS, -1))
        return torch.einsum("bkcv,bkvw->bwc", parts, graph).relu()


class _DecoderLayer(BaseModule):
    """Keypoints look at one another, at the picture, and along the skeleton."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str,
        graph_decoder: str | None,
    ) -> None:
        super().__init__()
        self.graph_decoder = graph_decoder
        options: dict[str, Any] = {"dropout": dropout, "batch_first": True}
        self.self_attn = nn.MultiheadAttention(d_model, nhead, **options)
        # content and place stand side by side, hence twice the channels
        self.multihead_attn = nn.MultiheadAttention(2 * d_model, nhead, vdim=d_model, **options)
        self.choker = nn.Linear(2 * d_model, d_model)
        before = graph_decoder not in (None, "post")
        behind = graph_decoder not in (None, "pre")
        self.ffn1 = (GraphLayer if before else nn.Linear)(d_model, dim_feedforward)
        self.ffn2 = (GraphLayer if behind else nn.Linear)(dim_feedforward, d_model)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(d_model) for _ in range(3))
        self.drop = nn.Dropout(dropout)
        self.activation = ACTIVATIONS[one_of(activation, ACTIVATIONS, "activation")]

    def forward(
        self,
        points: Tensor,
        picture: Tensor,
        places: Tensor,
        pixels: Tensor,
        absent: Tensor,
        graph: Tensor,
    ) -> Tensor:
        """One step.

        Args:
            points: (B, K, C) keypoints; `places` (B, K, C) encodes where they are now.
            picture: (B, L, C); `pixels` (B, L, C) encodes the places.
            absent: (B, K), keypoints that nobody sees.
            graph: `adjacency` (B, 2, K, K).
        """
        own = points + places
        seen, _ = self.self_attn(own, own, points, key_padding_mask=absent, need_weights=False)
        points = self.norm1(points + self.drop(seen))
        query = torch.cat((points, places), dim=-1)
        key = torch.cat((picture, pixels), dim=-1)
        seen, _ = self.multihead_attn(query, key, picture, need_weights=False)
        points = self.norm2(points + self.drop(self.choker(seen)))
        hidden = self.drop(self.activation(_through(self.ffn1, points, graph)))
        return self.norm3(points + self.drop(_through(self.ffn2, hidden, graph)))


def _through(layer: nn.Module, x: Tensor, graph: Tensor) -> Tensor:
    return layer(x, graph) if isinstance(layer, GraphLayer) else layer(x)


class GeluMLP(BaseModule):
    """Linear layers with GELU between them: (..., C) -> (..., C).

    Args:
        width: C.
        num_layers: number of linear layers.
    """

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        for layer in self.layers[:-1]:
            x = F.gelu(layer(x))
        return self.layers[-1](x)


def moved(points: Tensor, step: Tensor) -> Tensor:
    """Points (..., 2), shares of the picture, after a step in logits."""
    return (inverse_sigmoid(points) + step).sigmoid()


class GraphDecoder(BaseModule):
    """Layers that move keypoints from their proposals to where they are.

    Args:
        d_model: channels C.
        num_layers: number of steps.
        return_intermediate: give keypoints after each step, not after the last alone.
        look_twice: gradients pass through the step before, too (Zhang 2022, DINO, section 3.5).
        detach_support_feat: no gradients from step to step.
        **layer: arguments of the layers.
    """

    def __init__(
        self,
        d_model: int,
        num_layers: int,
        return_intermediate: bool = False,
        look_twice: bool = False,
        detach_support_feat: bool = False,
        **layer: Any,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_DecoderLayer(d_model, **layer) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)
        self.ref_point_head = GeluMLP(d_model, 2)
        self.return_intermediate, self.look_twice = return_intermediate, look_twice
        self.detach_support_feat = detach_support_feat

    def forward(
        self,
        points: Tensor,
        picture: Tensor,
        pixels: Tensor,
        absent: Tensor,
        proposals: Tensor,
        positions: Any,
        branches: Sequence[nn.Module],
        skeletons: Sequence[Links],
    ) -> tuple[Tensor, list[Tensor]]:
        """Keypoints after the steps, and the points they moved through.

        Args:
            points: (B, K, C); `absent` (B, K) are not there.
            picture: (B, L, C); `pixels` (B, L, C) encodes its places.
            proposals: (B, K, 2), shares of the picture.
            positions: encodes points by `forward_coordinates`.
            branches: of each step, (B, K, C) -> its step in logits (B, K, 2).
            skeletons: links of each picture.

        Returns:
            (steps, B, K, C), and steps + 1 times (B, K, 2).
        """
        # attention to nobody is NaN: where all are absent, the first one stays
        absent = absent.clone()
        absent[absent.all(dim=1), 0] = False
        graph = adjacency(skeletons, absent)
        here = before = proposals.detach()
        passed, kept = [here], []
        for layer, branch in zip(self.layers, branches, strict=False):
            places = self.ref_point_head(positions.forward_coordinates(here))
            if self.detach_support_feat:
                points = points.detach()
            points = layer(points, picture, places, pixels, absent, graph)
            kept.append(self.norm(points))
            step = branch(points)
            passed.append(moved(before if self.look_twice else here, step))
            before = moved(here, step)
            here = before.detach()
        return torch.stack(kept if self.return_intermediate else kept[-1:]), passed
