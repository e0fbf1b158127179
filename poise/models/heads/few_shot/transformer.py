"""Keypoints and picture seen together, then keypoints found in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import one_of
from poise.layers import BaseModule, xavier_init
from poise.models.heads.few_shot.decoder import ACTIVATIONS, GraphDecoder, Links
from poise.models.heads.few_shot.proposals import ProposalGenerator
from poise.registry import MODELS

__all__ = ["EncoderDecoder"]


class _EncoderLayer(BaseModule):
    """Self-attention and feed-forward, norms behind; places are in the values, too."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, activation: str
    ) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(d_model, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.drop = nn.Dropout(dropout)
        self.activation = ACTIVATIONS[one_of(activation, ACTIVATIONS, "activation")]

    def forward(self, x: Tensor, places: Tensor, absent: Tensor) -> Tensor:
        """(B, L, C) -> the same; `places` is their encoding, `absent` (B, L) are not seen."""
        x = x + places
        seen, _ = self.self_attn(x, x, x, key_padding_mask=absent, need_weights=False)
        x = self.norm1(x + self.drop(seen))
        hidden = self.drop(self.activation(self.linear1(x)))
        return self.norm2(x + self.drop(self.linear2(hidden)))


class _Encoder(BaseModule):
    """Layers, and perhaps a norm behind the last."""

    def __init__(self, d_model: int, num_layers: int, normalize: bool, **layer: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_EncoderLayer(d_model, **layer) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model) if normalize else nn.Identity()

    def forward(self, x: Tensor, places: Tensor, absent: Tensor) -> Tensor:
        """(B, L, C) -> the same."""
        for layer in self.layers:
            x = layer(x, places, absent)
        return self.norm(x)


@MODELS.register_module(name=["EncoderDecoder", "TwoStageSupportRefineTransformer"])
class EncoderDecoder(BaseModule):
    """Encoder of keypoints and picture, proposals, and the graph decoder (Hirschorn 2023).

    Args:
        d_model: channels C.
        nhead: heads of all attentions.
        num_encoder_layers, num_decoder_layers: layers.
        graph_decoder: which layers of the feed-forward follow the skeleton: "pre" (the first),
            "post" (the second), None (none), any other text both.
        dim_feedforward: channels between.
        dropout: its probability.
        activation: "relu", "gelu" or "glu".
        normalize_before: a norm behind the encoder; layers have theirs behind in any case.
        similarity_proj_dim, dynamic_proj_dim: of `ProposalGenerator`.
        return_intermediate_dec, look_twice, detach_support_feat: of `GraphDecoder`.
    """

    def __init__(
        self,
        d_model: int = 256,
        nhead: int = 8,
        num_encoder_layers: int = 3,
        num_decoder_layers: int = 3,
        graph_decoder: str | None = None,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        normalize_before: bool = False,
        similarity_proj_dim: int = 256,
        dynamic_proj_dim: int = 128,
        return_intermediate_dec: bool = True,
        look_twice: bool = False,
        detach_support_feat: bool = False,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        layer: dict[str, Any] = dict(
            nhead=nhead, dim_feedforward=dim_feedforward, dropout=dropout, activation=activation
        )
        self.encoder = _Encoder(d_model, num_encoder_layers, normalize_before, **layer)
        self.decoder = GraphDecoder(
            d_model,
            num_decoder_layers,
            return_intermediate_dec,
            look_twice,
            detach_support_feat,
            graph_decoder=graph_decoder,
            **layer,
        )
        self.proposal_generator = ProposalGenerator(d_model, similarity_proj_dim, dynamic_proj_dim)

    def init_weights(self) -> None:
        """Xavier, uniform, of everything with rows and columns."""
        for module in self.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, Tensor) and weight.dim() > 1:
                xavier_init(module, distribution="uniform")
        self._is_init = True

    def forward(
        self,
        src: Tensor,
        support_embed: Tensor,
        pos_embed: Tensor,
        query_padding_mask: Tensor,
        position_embedding: Any,
        kpt_branch: Sequence[nn.Module],
        skeleton: Sequence[Links],
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Keypoints of pictures.

        Args:
            src: (B, C, H, W), the pictures; `pos_embed` encodes the places.
            support_embed: (B, K, C), the keypoints.
            query_padding_mask: (B, K) bool, keypoints that are not there.
            position_embedding: encodes points by `forward_coordinates`.
            kpt_branch: of each step, (B, K, C) -> (B, K, 2).
            skeleton: links of each picture.

        Returns:
            keypoints (steps, B, K, C); proposals (B, K, 2) for the loss; the points (B, K, 2)
            before and after each step; similarities (B, K, H, W).
        """
        grid = (src.shape[2], src.shape[3])
        picture, pixels = (x.flatten(2).transpose(1, 2) for x in (src, pos_embed))
        # keypoints have no place yet
        places = torch.cat((pixels, torch.zeros_like(support_embed)), dim=1)
        seen = query_padding_mask.new_zeros(picture.shape[:2])
        absent = torch.cat((seen, query_padding_mask), dim=1)
        both = self.encoder(torch.cat((picture, support_embed), dim=1), places, absent)
        picture, points = both.split((picture.shape[1], support_embed.shape[1]), dim=1)
        for_loss, similarity, proposals = self.proposal_generator(picture, points, grid)
        steps, passed = self.decoder(
            points,
            picture,
            pixels,
            query_padding_mask,
            proposals,
            position_embedding,
            kpt_branch,
            skeleton,
        )
        return steps, for_loss, passed, similarity
