"""Losses between a student's and a teacher's features and outputs (DWPose).

Yang 2023, "Effective Whole-body Pose Estimation with Two-stages Distillation", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.registry import MODELS

__all__ = ["FeaLoss", "KDLoss"]


@MODELS.register_module()
class FeaLoss(nn.Module):
    """Squared difference of feature maps; a 1x1 convolution aligns the channel numbers.

    Args:
        name: name of the loss item.
        use_this: whether the distiller uses it.
        student_channels: channels of the student's feature map.
        teacher_channels: channels of the teacher's feature map.
        alpha_fea: factor of the result.
    """

    def __init__(
        self,
        name: str,
        use_this: bool,
        student_channels: int,
        teacher_channels: int,
        alpha_fea: float = 0.00007,
    ) -> None:
        super().__init__()
        self.alpha_fea = alpha_fea
        self.align = (
            nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
            if teacher_channels != student_channels
            else None
        )

    def forward(self, preds_S: Tensor, preds_T: Tensor) -> Tensor:
        """Return the loss of feature maps (B, C, H, W), averaged over the batch only."""
        student = preds_S if self.align is None else self.align(preds_S)
        return self.get_dis_loss(student, preds_T)

    def get_dis_loss(self, preds_S: Tensor, preds_T: Tensor) -> Tensor:
        """Loss of features with equal channel numbers."""
        return F.mse_loss(preds_S, preds_T, reduction="sum") / len(preds_T) * self.alpha_fea


@MODELS.register_module()
class KDLoss(nn.Module):
    """Divergence of a student's 1D distributions from its teacher's.

    Args:
        name: name of the loss item.
        use_this: whether the distiller uses it.
        weight: factor of the result.
    """

    def __init__(self, name: str, use_this: bool, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self,
        pred: Sequence[Tensor],
        pred_t: Sequence[Tensor],
        beta: float,
        target_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, averaged over batch and keypoints.

        Args:
            pred: student's logits of x and y, (B, K, bins).
            pred_t: teacher's logits of x and y, (B, K, bins).
            beta: factor of all logits.
            target_weight: not used; DWPose passes it.
        """
        axes = zip(pred, pred_t, strict=True)
        losses = [self.loss(s, t.detach(), beta, target_weight) for s, t in axes]
        return torch.stack(losses).sum() / pred[0].shape[1]

    def loss(
        self, logit_s: Tensor, logit_t: Tensor, beta: float, weight: Tensor | None = None
    ) -> Tensor:
        """Divergence of one axis, summed over keypoints and averaged over the batch."""
        student = F.log_softmax(logit_s * beta, dim=-1)
        teacher = F.softmax(logit_t * beta, dim=-1)
        divergence = F.kl_div(student, teacher, reduction="none").sum(dim=-1)
        return self.weight * divergence.sum(dim=1).mean()
