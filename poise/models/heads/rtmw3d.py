"""RTMW3D's head: RTMW's with a third axis, depth relative to the root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise._options import options_of
from poise.codecs.utils.post_processing import simcc_peaks
from poise.errors import ConfigError
from poise.layers import Linear
from poise.metrics.functional import keypoint_mpjpe
from poise.models.heads.base import per_sample
from poise.models.heads.defaults import SIMCC_LOSS
from poise.models.heads.rtmcc import RTMWHead
from poise.models.heads.targets import labels
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["RTMW3DHead"]

#: losses that take coordinates, not distributions
COORDINATE_LOSSES = ("loss_bone", "loss_mpjpe")


@MODELS.register_module()
class RTMW3DHead(RTMWHead):
    """Distributions over x, y and z bins.

    Jiang 2024, "RTMW", arXiv 2407.08634, section 3.4.

    Args:
        **options: as of `RTMWHead`. `input_size` is (width, height, depth) of the model's input,
            pixels; `loss` a config or module, or a list, of which each one's `loss_name` names its
            item; `decoder` a codec whose `decode` returns keypoints, keypoints in bins, and scores.
    """

    #: left and right cannot be swapped along z, and MMPose has no flip test here either
    unflip = None  # type: ignore[assignment]  # takes away what the base class has

    @options_of(RTMWHead, positional=True, loss=SIMCC_LOSS)
    def __init__(self, **options: Any) -> None:
        loss = options["loss"]
        losses = loss if isinstance(loss, (list, tuple)) else [loss]
        parts = nn.ModuleList([MODELS.build(part) for part in losses])
        super().__init__(**{**options, "loss": parts})
        depth = int(self.input_size[2] * self.simcc_split_ratio)
        self.cls_z = Linear(self.cls_x.in_features, depth, bias=False)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Distributions over x, y and z, (B, K, bins) each."""
        tokens = self.gau(self.tokens(feats))
        return self.cls_x(tokens), self.cls_y(tokens), self.cls_z(tokens)

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> list[InstanceData]:
        """Predict B instances with `keypoints` (N, K, 3), `keypoints_simcc`, `keypoint_scores`.

        Raises:
            ConfigError: `output_heatmaps`, which would be volumes; `output_covariances` of a
                codec that has none.
        """
        if test_cfg.get("output_heatmaps", False):
            raise ConfigError("RTMW3DHead gives no heatmaps; set output_heatmaps=False")
        outputs = self.test_outputs(feats, batch_data_samples, test_cfg)
        preds = self.decode(outputs)
        if test_cfg.get("output_covariances", False):
            self.add_covariances(preds, outputs)
        return preds

    def covariance_options(self) -> dict[str, Any]:
        """`beta` of the first loss that has one."""
        betas = (getattr(loss, "beta", None) for loss in self.loss_module)
        return next(({"beta": float(beta)} for beta in betas if beta is not None), {})

    def decode(self, batch_outputs: tuple[Tensor, ...]) -> list[InstanceData]:
        """Keypoints of distributions.

        Raises:
            ConfigError: the head was built without a codec.
        """
        self.require_decoder()
        if self.decoder.support_batch_decoding:
            together = self.decoder.batch_decode(*(axis.detach() for axis in batch_outputs))
            decoded = list(zip(*together, strict=True))
        else:
            decoded = [self.decoder.decode(*parts) for parts in per_sample(batch_outputs)]
        return [
            InstanceData(keypoints=points, keypoints_simcc=bins, keypoint_scores=scores)
            for points, bins, scores in decoded
        ]

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """One item a loss, and `mpjpe` in pixels.

        Raises:
            DataError: the targets are of another number of keypoints.
        """
        outputs = self.forward(feats)
        targets = tuple(
            labels(batch_data_samples, f"keypoint_{axis}_labels") for axis in ("x", "y", "z")
        )
        weights = labels(batch_data_samples, "keypoint_weights")
        axis_weights = torch.stack([weights, weights, labels(batch_data_samples, "weight_z")])
        self.check_targets(outputs[0], targets[0], batch_data_samples)
        has_depth = torch.tensor(
            [bool(s.gt_instance_labels.with_z_label[0]) for s in batch_data_samples],
            device=weights.device,
        )
        losses: dict[str, Tensor] = {}
        for loss in self.loss_module:
            name = getattr(loss, "loss_name", "loss_kpt")
            if name in COORDINATE_LOSSES:
                points = (self._bins(axes, has_depth) for axes in (outputs, targets))
                losses[name] = loss(*points, weights)
            else:
                losses[name] = loss(outputs, targets, axis_weights)
        masked = any(name in COORDINATE_LOSSES for name in losses)
        losses["mpjpe"] = self._error(outputs, targets, weights, has_depth if masked else None)
        return losses

    def _error(
        self,
        outputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        weights: Tensor,
        has_depth: Tensor | None,
    ) -> Tensor:
        """Mean distance in pixels, a number to watch; depth counts where `has_depth` says so.

        MMPose's coordinate losses blank the depth of samples without, in place, before this;
        without such a loss the placeholder's depth counts.
        """
        places = []
        for axes in (outputs, targets):
            bins = as_numpy(simcc_peaks([axis.detach() for axis in axes])[0])
            if has_depth is not None:
                seen = bins[..., 0] >= 0
                bins[..., 2] = np.where(seen & ~as_numpy(has_depth)[:, None], 0, bins[..., 2])
            places.append(bins / self.simcc_split_ratio)
        error = keypoint_mpjpe(*places, as_numpy(weights) > 0)
        return torch.tensor(error, device=weights.device)

    @staticmethod
    def _bins(axes: Sequence[Tensor], has_depth: Tensor) -> Tensor:
        """Bins (B, K, 3) of the maxima; depth is 0 in samples without."""
        places = torch.stack([axis.argmax(dim=-1) for axis in axes], dim=-1).to(axes[0])
        places[..., 2] *= has_depth[:, None]
        return places
