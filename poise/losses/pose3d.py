"""Losses of 3D poses: joint positions, velocities, bone lengths, reprojection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from poise.losses.weighting import WeightedLoss, require
from poise.registry import MODELS

__all__ = ["BoneLoss", "MPJPELoss", "MPJPEVelocityJointLoss", "SemiSupervisionLoss"]


@MODELS.register_module()
class MPJPELoss(WeightedLoss):
    """Mean per-joint position error: the Euclidean distance that lifters are judged by."""

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean distance of joints (..., K, D)."""
        return vector_norm(output - target, dim=-1).mean()


@MODELS.register_module()
class MPJPEVelocityJointLoss(nn.Module):
    """MotionBERT's loss: positions, positions up to scale, and velocities.

    Zhu 2023, "MotionBERT", section 3.3 and the official training code.

    Args:
        use_target_weight: weigh the differences by the weights given to `forward`.
        loss_weight: factor of the result.
        lambda_scale: factor of the error after the best scaling of the output.
        lambda_3d_velocity: factor of the velocity error.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
        lambda_scale: float = 0.5,
        lambda_3d_velocity: float = 20.0,
    ) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight
        self.lambda_scale = lambda_scale
        self.lambda_3d_velocity = lambda_3d_velocity

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (B, T, K, D), camera space; a single frame has no velocity to err in.
            target: (B, T, K, D).
            target_weight: broadcastable to the differences; needed with `use_target_weight`.
        """
        weights = require(self, "target_weight", target_weight) if self.use_target_weight else None

        def error(difference: Tensor) -> Tensor:
            weighted = difference if weights is None else difference * weights
            return vector_norm(weighted, dim=-1).mean()

        # least-squares scale of each frame
        overlap = (target * output).sum(dim=-1, keepdim=True).mean(dim=-2, keepdim=True)
        size = output.square().sum(dim=-1, keepdim=True).mean(dim=-2, keepdim=True)
        # a pose in one point has no scale
        scale = overlap / size.clamp(min=torch.finfo(size.dtype).tiny)
        loss = error(output - target) + error(scale * output - target) * self.lambda_scale
        if output.shape[-3] > 1:
            velocity = output.diff(dim=-3) - target.diff(dim=-3)
            loss = loss + error(velocity) * self.lambda_3d_velocity
        return loss * self.loss_weight


@MODELS.register_module()
class BoneLoss(nn.Module):
    """Difference of the mean bone lengths of two batches.

    Only means are compared, so the batches may show different people in different poses: it
    keeps lifted skeletons of unlabelled videos in proportion (Pavllo 2019, section 4).

    Args:
        joint_parents: index of each joint's parent; a root is its own parent.
        use_target_weight: weigh the bones.
        loss_weight: factor of the result.
        loss_name: name of the loss item.
    """

    def __init__(
        self,
        joint_parents: Sequence[int],
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = "loss_bone",
    ) -> None:
        super().__init__()
        self.joint_parents = list(joint_parents)
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight
        self.non_root_indices = [i for i, p in enumerate(self.joint_parents) if i != p]
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name of this loss item."""
        return self._loss_name

    def _lengths(self, joints: Tensor) -> Tensor:
        """(B, K, D) joints -> (B, bones) lengths."""
        bones = joints - joints[:, self.joint_parents]
        return vector_norm(bones[:, self.non_root_indices], dim=-1)

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (B, K, D).
            target: (B', K, D).
            target_weight: (B, K) weight of the bone above each joint.
        """
        have, want = self._lengths(output), self._lengths(target)
        if self.use_target_weight:
            weights = require(self, "target_weight", target_weight)[:, self.non_root_indices]
            have, want = have * weights, want * weights
        return (have.mean(dim=0) - want.mean(dim=0)).abs().mean() * self.loss_weight


@MODELS.register_module()
class SemiSupervisionLoss(nn.Module):
    """Losses of unlabelled videos: reprojection of the lifted pose, and its bone lengths.

    Pavllo 2019, "3D human pose estimation in video with temporal convolutions and
    semi-supervised training", section 4.

    Args:
        joint_parents: index of each joint's parent.
        projection_loss_weight: factor of the reprojection error.
        bone_loss_weight: factor of the bone length error.
        warmup_iterations: calls before the losses start to count.
    """

    def __init__(
        self,
        joint_parents: Sequence[int],
        projection_loss_weight: float = 1.0,
        bone_loss_weight: float = 1.0,
        warmup_iterations: int = 0,
    ) -> None:
        super().__init__()
        self.criterion_projection = MPJPELoss(loss_weight=projection_loss_weight)
        self.criterion_bone = BoneLoss(joint_parents, loss_weight=bone_loss_weight)
        self.warmup_iterations = warmup_iterations
        self.num_iterations = 0

    @staticmethod
    def project_joints(x: Tensor, intrinsics: Tensor) -> Tensor:
        """Project joints of camera space into the image.

        Args:
            x: (B, K, 3), camera space.
            intrinsics: (B, 4) focal lengths and centre, or (B, 9) with three radial and two
                tangential distortion coefficients after them.

        Returns:
            (B, K, 2), image space.
        """
        camera = intrinsics.reshape(len(intrinsics), *(1,) * (x.ndim - 2), intrinsics.shape[-1])
        focal, centre = camera[..., :2], camera[..., 2:4]
        points = (x[..., :2] / x[..., 2:]).clamp(-1, 1)
        if camera.shape[-1] == 9:
            radial, tangential = camera[..., 4:7], camera[..., 7:9]
            r2 = points.square().sum(dim=-1, keepdim=True)
            powers = torch.cat((r2, r2**2, r2**3), dim=-1)
            gain = 1 + (radial * powers).sum(dim=-1, keepdim=True)
            gain = gain + (tangential * points).sum(dim=-1, keepdim=True)
            points = points * gain + tangential * r2
        return focal * points + centre

    def forward(
        self, output: Mapping[str, Tensor], target: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return `proj_loss` and `bone_loss`, or nothing while warming up.

        Args:
            output: `labeled_pose`, `unlabeled_pose` (B, K, 3), `unlabeled_traj` (B, 1, 3).
            target: `unlabeled_target_2d` (B, K, 2), `intrinsics` (B, 4) or (B, 9).
        """
        self.num_iterations += 1
        if self.num_iterations <= self.warmup_iterations:
            return {}
        in_camera = output["unlabeled_pose"] + output["unlabeled_traj"]
        in_image = self.project_joints(in_camera, target["intrinsics"])
        return {
            "proj_loss": self.criterion_projection(in_image, target["unlabeled_target_2d"]),
            "bone_loss": self.criterion_bone(output["unlabeled_pose"], output["labeled_pose"]),
        }
