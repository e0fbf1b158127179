"""Where each keypoint may be: the places of a picture that look like it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers import BaseModule
from poise.models.heads.edpose.encoder import pixel_centres

__all__ = ["ProposalGenerator"]

#: places on each side of the best one that a proposal is a mean of
NEIGHBOURS = 1
EPS = 1e-10


class ProposalGenerator(BaseModule):
    """Similarity of keypoints to the places of a map, and a point for each (Shi 2023, section 3.2).

    Args:
        hidden_dim: channels C.
        proj_dim: channels in which they are compared; as the products are formed, C.
        dynamic_proj_dim: channels between of what weighs the channels of a keypoint.
    """

    def __init__(self, hidden_dim: int, proj_dim: int, dynamic_proj_dim: int) -> None:
        super().__init__()
        self.support_proj = nn.Linear(hidden_dim, proj_dim)
        self.query_proj = nn.Linear(hidden_dim, proj_dim)
        self.dynamic_proj = nn.Sequential(
            nn.Linear(hidden_dim, dynamic_proj_dim),
            nn.ReLU(),
            nn.Linear(dynamic_proj_dim, hidden_dim),
        )

    def forward(
        self, query_feat: Tensor, support_feat: Tensor, spatial_shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points of keypoints.

        Args:
            query_feat: (B, H * W, C), the picture.
            support_feat: (B, K, C), the keypoints.
            spatial_shape: (H, W).

        Returns:
            means (B, K, 2) over the whole map, shares of the picture, for the loss; similarities
            (B, K, H, W); and means (B, K, 2) around the most similar place.
        """
        height, width = spatial_shape
        support = self.support_proj(support_feat)
        weights = 1 + self.dynamic_proj(support).tanh()
        similarity = (weights * support) @ self.query_proj(query_feat).transpose(1, 2)
        sizes = torch.tensor([width, height], device=similarity.device)
        centres = pixel_centres(height, width, similarity) / sizes
        shares = similarity.softmax(dim=-1)
        near = F.one_hot(similarity.argmax(dim=-1), height * width).to(shares)
        near = F.max_pool2d(
            near.unflatten(-1, (height, width)), 2 * NEIGHBOURS + 1, stride=1, padding=NEIGHBOURS
        )
        local = shares * near.flatten(2)
        local = local / (local.sum(dim=-1, keepdim=True) + EPS)
        return shares @ centres, similarity.unflatten(-1, spatial_shape), local @ centres
