"""Estimator of one person in a crop: the keypoints go back to the whole picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise.errors import ConfigError
from poise.models.estimators.base import BasePoseEstimator
from poise.models.estimators.outputs import (
    covariances_to_image_space,
    select_keypoints,
    to_image_space,
)
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["TopdownPoseEstimator"]


@MODELS.register_module()
class TopdownPoseEstimator(BasePoseEstimator):
    """Keypoints of the person in each crop.

    Args:
        test_cfg: `flip_test` and its settings, `output_heatmaps`,
            `output_keypoint_indices`.
        backbone, neck, head, train_cfg, data_preprocessor, metainfo: as of `BasePoseEstimator`.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        head: Any = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        parts = (backbone, neck, head, train_cfg, test_cfg, data_preprocessor)
        super().__init__(*parts, init_cfg=init_cfg, metainfo=metainfo)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of crops (B, C, H, W)."""
        self.check_input_size(inputs)
        return super().loss(inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """Samples with `pred_instances` in image space.

        Args:
            inputs: crops (B, C, H, W).
            data_samples: B samples with `input_center`, `input_scale` and `input_size`.

        Raises:
            ConfigError: no head, or head and codec do not fit the input.
        """
        self.require_head()
        self.check_input_size(inputs)
        instances, fields = self.head_predictions(self.test_feats(inputs), data_samples)
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def check_input_size(self, inputs: Tensor) -> None:
        """Codec and crops should have the same size, padding apart, or all coordinates are off."""
        size = getattr(getattr(self.head, "decoder", None), "input_size", None)
        if self.with_head and size is not None and isinstance(inputs, Tensor):
            height, width = inputs.shape[-2:]
            sizes = {(size[1], size[0])}
            if hasattr(self.data_preprocessor, "padded_size"):
                sizes.add(self.data_preprocessor.padded_size(size[1], size[0]))
            if inputs.ndim == 4 and (height, width) not in sizes:
                raise ConfigError(
                    f"the codec {type(self.head.decoder).__name__} has "
                    f"input_size={tuple(size)}, but the pictures are {width} x {height} (width "
                    "x height); TopdownAffine and the codec should have the same input_size"
                )

    def add_pred_to_datasample(
        self,
        batch_pred_instances: Sequence[InstanceData],
        batch_pred_fields: Sequence[PixelData | None] | None,
        batch_data_samples: Sequence[Any],
    ) -> Sequence[Any]:
        """Bring predictions from input space to image space and into the samples.

        Args:
            batch_pred_instances: B instances, `keypoints` (N, K, D) in input space.
            batch_pred_fields: B heatmaps, or None.
            batch_data_samples: B samples; they get `pred_instances` and `pred_fields`.
        """
        fields = batch_pred_fields or [None] * len(batch_data_samples)
        indices = self.test_cfg.get("output_keypoint_indices")
        for instances, maps, sample in zip(
            batch_pred_instances, fields, batch_data_samples, strict=True
        ):
            self.leave_input_space(instances, sample)
            covariances_to_image_space(instances, sample.metainfo)
            if "keypoints_visible" not in instances:
                instances.keypoints_visible = instances.keypoint_scores
            select_keypoints(instances, maps, indices)
            instances.bboxes = sample.gt_instances.bboxes
            instances.bbox_scores = sample.gt_instances.bbox_scores
            sample.pred_instances = instances
            if maps is not None:
                sample.pred_fields = maps
        return batch_data_samples

    def leave_input_space(self, instances: InstanceData, sample: Any) -> None:
        """Bring the keypoints of a person from input space to where they are wanted.

        Args:
            instances: `keypoints` (N, K, D), changed in place.
            sample: tells where the crop was taken.
        """
        instances.keypoints[..., :2] = to_image_space(instances.keypoints[..., :2], sample.metainfo)
