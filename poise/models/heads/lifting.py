"""Heads that lift features of 2D keypoints to 3D: poses, trajectories, motions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise._options import options_of
from poise.metrics.functional import keypoint_mpjpe
from poise.models.flip import flip_sequences
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.defaults import LIFTING_LOSS, LINEAR_INIT, TRAJECTORY_LOSS
from poise.models.heads.targets import labels
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["MotionRegressionHead", "TemporalRegressionHead", "TrajectoryRegressionHead"]


def _meta_values(
    batch_data_samples: Sequence[Any], read: Callable[[Mapping[str, Any]], Any]
) -> Tensor:
    """What `read` finds in the metainfo of each sample, (B, ...); (B, 0) where it is None."""
    values = [read(sample.metainfo) for sample in batch_data_samples]
    if values[0] is None:
        return torch.empty(len(values), 0)
    return torch.as_tensor(np.stack([np.asarray(value) for value in values]))


def _mpjpe(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean per-joint position error of poses (..., K, 3); frames count as samples."""
    error = keypoint_mpjpe(
        pred=as_numpy(outputs.reshape(-1, *outputs.shape[-2:])),
        gt=as_numpy(targets.reshape(-1, *targets.shape[-2:])),
        mask=as_numpy(weights.reshape(-1, weights.shape[-1])) > 0,
    )
    return torch.tensor(error, device=targets.device)


class _LiftingHead(BaseHead):
    """A 1x1 convolution over time from features to 3D points."""

    _version = 2
    default_init_cfg = LINEAR_INIT

    #: name of the loss, of the error, and of the weights among the labels
    _names: ClassVar[tuple[str, str, str]]

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_joints: int,
        loss: Any,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels = self.single_width(in_channels)
        self.num_joints = num_joints
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        self.conv = nn.Conv1d(in_channels, num_joints * 3, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Points (B, K, 3) of the last features (B, C, T)."""
        return self.conv(last_map(feats)).reshape(-1, self.num_joints, 3)

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> list[InstanceData]:
        """Predict B instances with `keypoints` (N, K, 3) and `keypoint_scores` (N, K).

        Where the samples know the root (`target_root`), it is added.
        """
        coords = self.test_outputs(feats, batch_data_samples, test_cfg)
        roots = _meta_values(batch_data_samples, lambda meta: meta.get("target_root"))
        return self.decode((coords, roots))

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """Loss and mean per-joint position error.

        Raises:
            DataError: the targets are of another number of keypoints.
        """
        loss_name, error_name, weight_name = self._names
        targets = labels(batch_data_samples, "lifting_target_label")
        weights = labels(batch_data_samples, weight_name)
        outputs = self._for_targets(self.forward(feats), targets)
        self.check_targets(outputs, targets, batch_data_samples)
        return {
            loss_name: self.loss_module(outputs, targets, weights.unsqueeze(-1)),
            error_name: _mpjpe(outputs, targets, weights),
        }

    def _for_targets(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Points (B, K, 3) to compare with the targets; the outputs as they are."""
        return outputs


@MODELS.register_module()
class TemporalRegressionHead(_LiftingHead):
    """Pose of the middle frame, relative to the root.

    Pavllo 2019, "3D human pose estimation in video", arXiv 1811.11742.

    Args:
        **options: `in_channels` of the features, `num_joints`, `loss`, `decoder` (codec or its
            config), `init_cfg`.
    """

    _names = ("loss_pose3d", "mpjpe", "lifting_target_weight")

    @options_of(_LiftingHead, positional=True, loss=LIFTING_LOSS)
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


@MODELS.register_module()
class TrajectoryRegressionHead(_LiftingHead):
    """Position of the root in camera space.

    Pavllo 2019, "3D human pose estimation in video", arXiv 1811.11742, section 4. Its loss
    compares one root with every keypoint of the targets, as in MMPose.

    Args:
        **options: as of `TemporalRegressionHead`; `num_joints` is usually 1.
    """

    _names = ("loss_traj", "mpjpe_traj", "trajectory_weights")

    @options_of(_LiftingHead, positional=True, loss=TRAJECTORY_LOSS)
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def _for_targets(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.expand_as(targets) if self.num_joints == 1 else outputs


@MODELS.register_module()
class MotionRegressionHead(BaseHead):
    """Poses of all frames of a sequence, by an embedding and a linear layer.

    Zhu 2023, "MotionBERT", arXiv 2210.06551.

    Args:
        in_channels: channels of the features.
        out_channels: numbers a keypoint.
        embedding_size: channels of the embedding; 0 for no layer after it.
        loss: config or module.
        decoder: codec or its config.
    """

    _version = 2
    default_init_cfg = [{"type": "TruncNormal", "layer": ["Linear"], "std": 0.02}]
    unflip = staticmethod(flip_sequences)

    #: features are (B, T, K, C)
    feature_channel_axis = -1

    def __init__(
        self,
        in_channels: int = 256,
        out_channels: int = 3,
        embedding_size: int = 512,
        loss: Any = LIFTING_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.loss_module = MODELS.build(loss)
        self.decoder = self.build_decoder(decoder)
        self.pre_logits = nn.Sequential(
            OrderedDict(fc=nn.Linear(in_channels, embedding_size), act=nn.Tanh())
        )
        self.fc = nn.Linear(embedding_size, out_channels) if embedding_size > 0 else nn.Identity()

    def forward(self, feats: Tensor) -> Tensor:
        """Points (B, T, K, 3) of features (B, T, K, C)."""
        return self.fc(self.pre_logits(feats))

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> list[InstanceData]:
        """Predict B instances with `keypoints` (T, K, 3) and `keypoint_scores` (T, K).

        Where the samples know camera (`camera_param`) and `factor`, the codec uses them.
        """
        coords = self.test_outputs(feats, batch_data_samples, test_cfg)
        has_camera = batch_data_samples[0].metainfo.get("camera_param") is not None

        def side(key: str) -> Tensor:
            return _meta_values(
                batch_data_samples,
                lambda meta: [meta["camera_param"][key]] if has_camera else None,
            )

        width, height = side("w"), side("h")
        factor = _meta_values(batch_data_samples, lambda meta: meta.get("factor"))
        return self.decode((coords, width, height, factor))

    def loss(
        self,
        feats: Tensor,
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_pose3d` and `mpjpe` of all frames."""
        outputs = self.forward(feats)
        targets, weights = (
            torch.stack([getattr(s.gt_instance_labels, name) for s in batch_data_samples])
            for name in ("lifting_target_label", "lifting_target_weight")
        )
        return {
            "loss_pose3d": self.loss_module(outputs, targets, weights.unsqueeze(-1)),
            "mpjpe": _mpjpe(outputs, targets, weights),
        }
