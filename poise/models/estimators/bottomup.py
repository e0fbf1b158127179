"""Estimator of all people in a picture at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise.errors import DataError
from poise.models.estimators.base import BasePoseEstimator
from poise.models.estimators.outputs import covariances_to_image_space, to_image_space
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["BottomupPoseEstimator"]


@MODELS.register_module()
class BottomupPoseEstimator(BasePoseEstimator):
    """Keypoints of everybody in each picture.

    Args:
        test_cfg: `flip_test`, `multiscale_test` and what the head reads.
        backbone, neck, head, train_cfg, use_syncbn, data_preprocessor, metainfo: as of
            `BasePoseEstimator`.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        head: Any = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        use_syncbn: bool = False,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        parts = (backbone, neck, head, train_cfg, test_cfg, data_preprocessor)
        super().__init__(*parts, use_syncbn, init_cfg, metainfo)

    def predict(self, inputs: Tensor | list[Tensor], data_samples: Sequence[Any]) -> Sequence[Any]:
        """Samples with `pred_instances` in image space.

        Args:
            inputs: pictures (B, C, H, W); with `multiscale_test` a list, one for each scale.
            data_samples: B samples with `input_center`, `input_scale` and `input_size`.

        Raises:
            ConfigError: no head.
            DataError: another number of scales than the samples' `aug_scales` say.
        """
        self.require_head()
        if self.test_cfg.get("multiscale_test", False):
            feats = [self.test_feats(scale) for scale in self._scales(inputs, data_samples)]
        else:
            feats = self.test_feats(inputs)
        instances, fields = self.head_predictions(feats, data_samples)
        return self.add_pred_to_datasample(instances, fields, data_samples)

    @staticmethod
    def _scales(inputs: Any, data_samples: Sequence[Any]) -> list[Tensor]:
        """Pictures of each scale, checked against what the pipeline wrote down."""
        scales = data_samples[0].metainfo.get("aug_scales")
        wanted = None if scales is None else len(scales) + 1
        have = len(inputs) if isinstance(inputs, (list, tuple)) else None
        if have is None or have != wanted:
            raise DataError(
                "multiscale_test needs a list of pictures, the original and one for each of the "
                f"samples' aug_scales ({scales}); got "
                f"{'one tensor' if have is None else f'{have} scales'}. Set aug_scales in "
                "BottomupResize or test_cfg=dict(multiscale_test=False)"
            )
        return list(inputs)

    def add_pred_to_datasample(
        self,
        batch_pred_instances: Sequence[InstanceData],
        batch_pred_fields: Sequence[PixelData | None] | None,
        batch_data_samples: Sequence[Any],
    ) -> Sequence[Any]:
        """Bring predictions from input space to image space and into the samples.

        Args:
            batch_pred_instances: B instances, `keypoints` (N, K, 2) and perhaps `bboxes`
                (N, 4), input space.
            batch_pred_fields: B maps, or None.
            batch_data_samples: B samples; they get `pred_instances` and `pred_fields`.
        """
        fields = batch_pred_fields or [None] * len(batch_data_samples)
        for instances, maps, sample in zip(
            batch_pred_instances, fields, batch_data_samples, strict=True
        ):
            instances.keypoints = to_image_space(instances.keypoints, sample.metainfo)
            covariances_to_image_space(instances, sample.metainfo)
            if "keypoints_visible" not in instances:
                instances.keypoints_visible = instances.keypoint_scores
            if "bboxes" in instances:
                corners = instances.bboxes.reshape(-1, 2, 2)
                instances.bboxes = to_image_space(corners, sample.metainfo).reshape(-1, 4)
            sample.pred_instances = instances
            if maps is not None:
                sample.pred_fields = maps
        return batch_data_samples
