"""The head: keypoints of labelled pictures as tokens, found in other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, xavier_init
from poise.layers.init import constant_init
from poise.layers.upsample import resize
from poise.metrics.functional import keypoint_pck_accuracy
from poise.models.heads.base import BaseHead
from poise.models.heads.edpose.encoder import inverse_sigmoid
from poise.models.heads.few_shot.decoder import Links
from poise.registry import MODELS

__all__ = ["PoseHead", "TokenDecodeMLP"]

EPS = 1e-8
#: a keypoint within this share of the picture's sides counts as right while training
PCK_THRESHOLD = 0.2
#: arguments of an older version, which change nothing of what the network gives
_OLDER = frozenset(
    (
        "num_samples",
        "num_support",
        "skeleton_loss_weight",
        "support_embedding_type",
        "support_pos_embed",
    )
)

_SINE = {"type": "SinePositionalEncoding", "normalize": True}
_OF_PICTURES, _OF_ENCODER = ({**_SINE, "num_feats": count} for count in (128, 512))


class TokenDecodeMLP(BaseModule):
    """Step of a keypoint, in logits: (..., C) -> (..., out_channels).

    Args:
        in_channels: C.
        hidden_channels: channels between.
        out_channels: 2 for x and y.
        num_layers: linear layers with GELU behind, before the last.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int = 2, num_layers: int = 3
    ) -> None:
        super().__init__()
        widths = [in_channels, *[hidden_channels] * num_layers]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden_channels, out_channels))

    def start_as_nothing(self) -> None:
        """Let steps be none."""
        constant_init(self.mlp[-1], 0)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., out_channels)."""
        return self.mlp(x)


@MODELS.register_module(name=["PoseHead", "TwoStageHead"])
class PoseHead(BaseHead):
    """Any keypoints, shown in other pictures (Hirschorn 2023, arXiv 2311.17891).

    Args:
        in_channels: channels of the backbone's map.
        transformer: config or module, such as `EncoderDecoder`; its `d_model` is C.
        positional_encoding: of C / 2 `num_feats`; also encodes points.
        encoder_positional_encoding: kept for released weights; not used.
        share_kpt_branch: one `TokenDecodeMLP` for all steps.
        num_decoder_layer: steps of the transformer.
        with_heatmap_loss: also train where the proposals look.
        heatmap_loss_weight: of that loss.
        with_bb_loss, bb_temperature, support_order_dropout, extra, train_cfg, test_cfg: accepted;
            they change nothing.
        **older: arguments of a version before, likewise.

    Raises:
        ConfigError: channels or steps that do not fit together, an encoding without points.
    """

    def __init__(
        self,
        in_channels: int,
        transformer: Any = None,
        positional_encoding: Any = _OF_PICTURES,
        encoder_positional_encoding: Any = _OF_ENCODER,
        share_kpt_branch: bool = False,
        num_decoder_layer: int = 3,
        with_heatmap_loss: bool = False,
        with_bb_loss: bool = False,
        bb_temperature: float = 0.2,
        heatmap_loss_weight: float = 2.0,
        support_order_dropout: float = -1,
        extra: Any = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        **older: Any,
    ) -> None:
        super().__init__()
        # points need no codec
        self.decoder = None
        unknown = sorted(older.keys() - _OLDER)
        if unknown:
            raise ConfigError(f"PoseHead has no argument {', '.join(unknown)}")
        self.positional_encoding = MODELS.build(positional_encoding)
        self.encoder_positional_encoding = MODELS.build(encoder_positional_encoding)
        self.transformer = MODELS.build(transformer or {"type": "EncoderDecoder"})
        self.embed_dims = width = self.transformer.d_model
        self._check(num_decoder_layer)
        self.with_heatmap_loss, self.heatmap_loss_weight = with_heatmap_loss, heatmap_loss_weight
        self.input_proj = nn.Conv2d(in_channels, width, 1)
        self.query_proj = nn.Linear(in_channels, width)
        one = TokenDecodeMLP(width, width)
        self.kpt_branch = nn.ModuleList(
            one if share_kpt_branch else TokenDecodeMLP(width, width)
            for _ in range(num_decoder_layer)
        )

    def _check(self, steps: int) -> None:
        feats = self.positional_encoding.num_feats
        if 2 * feats != self.embed_dims:
            raise ConfigError(
                f"PoseHead: the transformer's d_model={self.embed_dims} should be twice the "
                f"positional_encoding's num_feats={feats}"
            )
        if not hasattr(self.positional_encoding, "forward_coordinates"):
            raise ConfigError(
                f"PoseHead: {type(self.positional_encoding).__name__} encodes pixels alone; use "
                "SinePositionalEncoding, which encodes points, too"
            )
        layers = len(self.transformer.decoder.layers)
        if steps < layers:
            raise ConfigError(
                f"PoseHead: num_decoder_layer={steps} is less than the transformer's "
                f"num_decoder_layers={layers}"
            )

    def init_weights(self) -> None:
        """Xavier, uniform; steps start as none."""
        for module in self.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, Tensor) and weight.dim() > 1:
                xavier_init(module, distribution="uniform")
        for module in self.modules():
            if isinstance(module, TokenDecodeMLP):
                module.start_as_nothing()
        self._is_init = True

    def describe(
        self, feature_s: Sequence[Tensor], target_s: Sequence[Tensor], mask_s: Tensor
    ) -> Tensor:
        """Tokens (B, K, C) of keypoints: what the labelled pictures show where they are.

        Args:
            feature_s: of each shot the map (B, C', H, W).
            target_s: of each shot heatmaps (B, K, h, w).
            mask_s: (B, K, 1), 1 for keypoints that all shots show.
        """
        shots = []
        for feature, target in zip(feature_s, target_s, strict=True):
            shares = target / (target.sum(dim=(-2, -1), keepdim=True) + EPS)
            size = (target.shape[-2], target.shape[-1])
            large = resize(feature, size, mode="bilinear", align_corners=False)
            shots.append(shares.flatten(2) @ large.flatten(2).transpose(1, 2))
        return self.query_proj(torch.stack(shots).mean(dim=0) * mask_s)

    def locate(
        self, x: Tensor, tokens: Tensor, mask_s: Tensor, skeleton: Sequence[Links]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Places of keypoints.

        Args:
            x: (B, C', H, W), maps of the pictures.
            tokens: (B, K, C) of `describe`.
            mask_s: (B, K, 1).
            skeleton: links of each picture, pairs of indices from 0.

        Returns:
            points (steps, B, K, 2), shares of the picture; proposals (B, K, 2); similarities
            (B, K, H, W).
        """
        x = self.input_proj(x)
        pixels = self.positional_encoding(x.new_zeros((len(x), *x.shape[-2:]), dtype=torch.bool))
        absent = ~mask_s.bool().squeeze(-1)
        states, proposals, passed, similarity = self.transformer(
            x, tokens, pixels, absent, self.positional_encoding, self.kpt_branch, skeleton
        )
        points = [
            (branch(state) + inverse_sigmoid(start)).sigmoid()
            for branch, state, start in zip(self.kpt_branch, states, passed, strict=False)
        ]
        return torch.stack(points), proposals, similarity

    def forward(  # type: ignore[override]  # an episode is more than features
        self,
        x: Tensor,
        feature_s: Sequence[Tensor],
        target_s: Sequence[Tensor],
        mask_s: Tensor,
        skeleton: Sequence[Links],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `locate` gives for what `describe` says; arguments are theirs."""
        return self.locate(x, self.describe(feature_s, target_s, mask_s), mask_s, skeleton)

    def get_loss(
        self,
        output: Tensor,
        initial_proposals: Tensor,
        similarity_map: Tensor,
        target: Tensor,
        target_heatmap: Tensor,
        target_weight: Tensor,
        target_sizes: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of proposals, of each step, and of the similarities.

        Args:
            output, initial_proposals, similarity_map: of `forward`.
            target: keypoints (B, K, 2), input space.
            target_heatmap: (B, K, h, w).
            target_weight: (B, K, 1).
            target_sizes: width and height of the pictures, (B, 1, 2).
        """
        weight = target_weight.squeeze(-1)
        count = weight.sum(dim=-1)
        share = weight / torch.where(count == 0, 1, count)[:, None]
        places = target / target_sizes
        losses = {}
        if self.with_heatmap_loss:
            found = self.heatmap_loss(similarity_map, target_heatmap, share)
            losses["heatmap_loss"] = found * self.heatmap_loss_weight
        points = {"proposal_loss": initial_proposals}
        points |= {f"l1_loss_layer{step}": own for step, own in enumerate(output)}
        for name, own in points.items():
            distance = (own - places).abs().sum(dim=-1)
            losses[name] = (distance * share).sum() / len(own)
        return losses

    @staticmethod
    def heatmap_loss(similarity: Tensor, heatmaps: Tensor, share: Tensor) -> Tensor:
        """Mean squared difference of similarities (B, K, H, W) to heatmaps whose peak is 1."""
        target = F.interpolate(heatmaps, similarity.shape[-2:], mode="bilinear")
        target = target / (target.amax(dim=(-2, -1), keepdim=True) + 1e-10)
        squares = (similarity.sigmoid() - target).square().mean(dim=(-2, -1))
        return (squares * share).sum(dim=-1).mean()

    @staticmethod
    def get_accuracy(
        output: Tensor, target: Tensor, target_weight: Tensor, target_sizes: Tensor
    ) -> dict[str, Tensor]:
        """Share of keypoints that are right, of points (B, K, 2) as shares of the picture."""
        sizes = target_sizes.detach().cpu().numpy()
        arrays = (output.detach().cpu().numpy() * sizes, target.detach().cpu().numpy())
        mask = target_weight.squeeze(-1).cpu().numpy() > 0
        norm = np.broadcast_to(sizes[:, 0], (len(mask), 2))
        _, accuracy, _ = keypoint_pck_accuracy(*arrays, mask, PCK_THRESHOLD, norm)
        return {"acc_pose": torch.tensor(accuracy, device=output.device)}
