"""Loss of associative embedding: tags of one person agree, tags of two people differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poise.errors import DataError
from poise.registry import MODELS

__all__ = ["AssociativeEmbeddingLoss"]

# keeps the divisions by the number of people and of pairs defined
COUNT_EPS = 1e-6


@MODELS.register_module()
class AssociativeEmbeddingLoss(nn.Module):
    """Pull the tags of a person together, push the mean tags of people apart.

    Newell 2017, "Associative Embedding", section 3.2, arXiv 1611.05424.

    Args:
        loss_weight: factor of both results.
        push_loss_factor: factor of the push loss.
    """

    def __init__(self, loss_weight: float = 1.0, push_loss_factor: float = 0.5) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.push_loss_factor = push_loss_factor

    def _one_image(self, tags: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Pull and push loss of tags (K * L, H, W) and indices (N, K, 2)."""
        num_keypoints = indices.shape[1]
        # channel c is tag dimension c // K of keypoint c % K
        maps = tags.reshape(-1, num_keypoints, tags.shape[-2] * tags.shape[-1])
        visible = indices[..., 1] > 0
        people = visible.any(dim=1)
        position, visible = indices[people, :, 0].long(), visible[people]
        count = int(people.sum())
        if count == 0:
            return tags.sum() * 0, tags.sum() * 0

        keypoint = torch.arange(num_keypoints, device=tags.device).expand_as(position)
        # a keypoint out of sight may carry any position
        position = torch.where(visible, position, torch.zeros_like(position))
        found = maps[:, keypoint, position].permute(1, 2, 0)  # N, K, L
        weight = visible.unsqueeze(-1).to(found.dtype)
        seen = weight.sum(dim=1)
        mean = (found * weight).sum(dim=1) / seen
        spread = ((found - mean[:, None]).square() * weight).sum(dim=1) / seen
        pull = spread.mean(dim=-1).sum() / (count + COUNT_EPS)
        if count == 1:
            return pull, tags.sum() * 0
        push = torch.exp(-(mean[None] - mean[:, None]).square()).sum()
        return pull, push / ((count - 1) * count + COUNT_EPS)

    def forward(
        self, tags: Tensor, keypoint_indices: Tensor | Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return pull loss and push loss, summed over the batch.

        Args:
            tags: (B, L * K, H, W) tag maps, output space.
            keypoint_indices: (B, N, K, 2) or B tensors (N_i, K, 2): position `y * W + x` and
                visibility of each keypoint.

        Raises:
            DataError: the two are of different batch sizes.
        """
        if len(tags) != len(keypoint_indices):
            raise DataError(
                f"AssociativeEmbeddingLoss: {len(tags)} tag maps but keypoint indices of "
                f"{len(keypoint_indices)} images"
            )
        losses = [self._one_image(t, i) for t, i in zip(tags, keypoint_indices, strict=True)]
        pull = torch.stack([pull for pull, _ in losses]).sum() * self.loss_weight
        push = torch.stack([push for _, push in losses]).sum() * self.loss_weight
        return pull, push * self.push_loss_factor
