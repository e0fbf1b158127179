"""Estimator that lifts 2D keypoints, of one frame or a sequence, to 3D."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise.errors import ConfigError
from poise.models.estimators.base import BasePoseEstimator
from poise.models.estimators.outdated import modernise
from poise.models.estimators.outputs import select_keypoints
from poise.models.flip import flip_sequences
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["PoseLifter"]


@MODELS.register_module()
class PoseLifter(BasePoseEstimator):
    """3D keypoints of 2D keypoints, and perhaps the way of the root through space.

    Args:
        backbone: keypoint sequences -> features.
        neck: features -> features, or None.
        head: features -> poses.
        traj_backbone: backbone of the trajectory; None shares the pose's.
        traj_neck: neck of the trajectory, or None.
        traj_head: features -> trajectory, or None for no trajectory.
        semi_loss: loss of unlabelled sequences; kept for configs, see `loss`.
        test_cfg: `flip_test`, `output_keypoint_indices`.
        train_cfg, data_preprocessor, metainfo: as of `BasePoseEstimator`.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        head: Any = None,
        traj_backbone: Any = None,
        traj_neck: Any = None,
        traj_head: Any = None,
        semi_loss: Any = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        parts = (backbone, neck, head, train_cfg, test_cfg, data_preprocessor)
        super().__init__(*parts, init_cfg=init_cfg, metainfo=metainfo)
        self.share_backbone = traj_head is not None and traj_backbone is None
        if traj_head is not None:
            if traj_backbone is not None:
                self.traj_backbone = MODELS.build(traj_backbone)
            traj_neck, traj_head = modernise(traj_neck, traj_head)
            if traj_neck is not None:
                self.traj_neck = MODELS.build(traj_neck)
            self.traj_head = MODELS.build(traj_head)
        self.semi_supervised = semi_loss is not None
        if semi_loss is not None:
            if head is None and traj_head is None:
                raise ConfigError("PoseLifter: `semi_loss` needs `head` or `traj_head`")
            self.semi_loss = MODELS.build(semi_loss)

    @property
    def with_traj_backbone(self) -> bool:
        """Whether the trajectory has a backbone of its own."""
        return getattr(self, "traj_backbone", None) is not None

    @property
    def with_traj_neck(self) -> bool:
        """Whether the trajectory has a neck."""
        return getattr(self, "traj_neck", None) is not None

    @property
    def with_traj(self) -> bool:
        """Whether there is a trajectory."""
        return getattr(self, "traj_head", None) is not None

    @property
    def causal(self) -> bool:
        """Whether the backbone looks at past frames only."""
        if not hasattr(self.backbone, "causal"):
            raise AttributeError(
                f"{type(self.backbone).__name__} does not say whether it is causal; a backbone "
                "of PoseLifter needs the attribute `causal`"
            )
        return self.backbone.causal

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of sequences (B, K * C, T) or (B, T, K, C).

        Returns:
            Features of the pose; with a trajectory a pair: pose, trajectory.
        """
        feats = self.backbone(inputs)
        if self.with_neck:
            feats = self.neck(feats)
        if not self.with_traj:
            return feats
        traj = feats if self.share_backbone else self.traj_backbone(inputs)
        return feats, self.traj_neck(traj) if self.with_traj_neck else traj

    def _forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> Any:
        feats = self.extract_feat(inputs)
        pose, traj = feats if self.with_traj else (feats, None)
        if self.with_head:
            with self.explained(pose):
                pose = self.head.forward(pose)
        return (pose, self.traj_head.forward(traj)) if self.with_traj else pose

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Any]:
        """Losses of the trajectory, if any, and of the poses.

        The loss of unlabelled sequences needs data that no dataset gives (MMPose cannot
        compute it either); a warning says that it is left out.
        """
        feats = self.extract_feat(inputs)
        pose, traj = feats if self.with_traj else (feats, None)
        losses: dict[str, Any] = {}
        if self.with_traj:
            losses |= self.traj_head.loss(traj, data_samples, train_cfg=self.train_cfg)
        if self.with_head:
            with self.explained(pose):
                losses |= self.head.loss(pose, data_samples, train_cfg=self.train_cfg)
        if self.semi_supervised:
            warnings.warn(
                "PoseLifter: semi_loss is left out, since the batch has no unlabelled sequences; "
                "training is supervised",
                stacklevel=2,
            )
        return losses

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """Samples with `pred_instances`, camera space or relative to the root.

        Args:
            inputs: sequences (B, K * C, T) or (B, T, K, C).
            data_samples: B samples.

        Raises:
            ConfigError: no head.
        """
        self.require_head()
        feats = self._pose_feats(inputs)
        if self.test_cfg.get("flip_test", False):
            mirrored = flip_sequences(inputs, data_samples[0].metainfo, self.test_cfg)
            feats = [feats, self._pose_feats(mirrored)]
        instances, fields = self.head_predictions(feats, data_samples)
        return self.add_pred_to_datasample(instances, fields, None, None, data_samples)

    def _pose_feats(self, inputs: Tensor) -> Any:
        feats = self.extract_feat(inputs)
        return feats[0] if self.with_traj else feats

    def add_pred_to_datasample(
        self,
        batch_pred_instances: Sequence[InstanceData],
        batch_pred_fields: Sequence[PixelData | None] | None,
        batch_traj_instances: Sequence[InstanceData] | None,
        batch_traj_fields: Sequence[PixelData | None] | None,
        batch_data_samples: Sequence[Any],
    ) -> Sequence[Any]:
        """Put predictions into the samples.

        Args:
            batch_pred_instances: B instances.
            batch_pred_fields: B maps, or None.
            batch_traj_instances: not used; trajectories serve training.
            batch_traj_fields: not used.
            batch_data_samples: B samples; they get `pred_instances` and `pred_fields`.
        """
        fields = batch_pred_fields or [None] * len(batch_data_samples)
        indices = self.test_cfg.get("output_keypoint_indices")
        for instances, maps, sample in zip(
            batch_pred_instances, fields, batch_data_samples, strict=True
        ):
            select_keypoints(instances, maps, indices)
            sample.pred_instances = instances
            if maps is not None:
                sample.pred_fields = maps
        return batch_data_samples
