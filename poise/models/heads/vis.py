"""Any pose head, with a branch beside it that says which keypoints can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise.errors import ConfigError
from poise.models.flip import flip_test, flip_visibility
from poise.models.heads.base import BaseHead, last_map
from poise.models.heads.defaults import LINEAR_INIT, VISIBILITY_LOSS
from poise.models.heads.targets import labels
from poise.registry import MODELS

__all__ = ["VisPredictHead"]

#: a visibility above this counts as visible
VISIBLE = 0.5
#: keeps the accuracy of samples without any weight defined
WEIGHT_EPS = 1e-6


@MODELS.register_module()
class VisPredictHead(BaseHead):
    """A pose head and a linear layer for visibility, on the same features.

    Args:
        pose_cfg: config of the pose head, or the head.
        loss: config or module of the visibility loss; its `use_sigmoid` decides whether the
            branch ends in a sigmoid.

    Raises:
        ConfigError: the pose head does not say how many keypoints it has.
    """

    default_init_cfg = LINEAR_INIT

    def __init__(self, pose_cfg: Any, loss: Any = VISIBILITY_LOSS, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.loss_module = MODELS.build(loss)
        self.pose_head = MODELS.build(pose_cfg)
        self.in_channels = self.pose_head.in_channels
        count = getattr(self.pose_head, "num_joints", None)
        count = getattr(self.pose_head, "out_channels", None) if count is None else count
        if count is None:
            raise ConfigError(
                "VisPredictHead needs a pose head with `num_joints` or `out_channels`, got "
                f"{type(self.pose_head).__name__}"
            )
        self.out_channels = count
        self.use_sigmoid = bool(getattr(self.loss_module, "use_sigmoid", False))
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.in_channels, count)]
        self.vis_head = nn.Sequential(*layers, *([nn.Sigmoid()] if self.use_sigmoid else []))

    @property
    def decoder(self) -> Any:
        """Codec of the pose head."""
        return self.pose_head.decoder

    def require_covariances(self) -> None:
        """Those of the pose head."""
        self.pose_head.require_covariances()

    def vis_forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Visibilities (B, K) of the last features (B, C) or (B, C, H, W)."""
        x = last_map(feats)
        x = x.reshape(*x.shape, *(1,) * (4 - x.ndim))
        return self.vis_head(x).reshape(-1, self.out_channels)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, Tensor]:
        """Outputs of the pose head, and visibilities (B, K)."""
        return self.pose_head.forward(feats), self.vis_forward(feats)

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> Any:
        """Predictions of the pose head whose `keypoints_visible` (1, K) are the branch's."""
        visible = flip_test(
            self.vis_forward,
            lambda out, meta, _: flip_visibility(out, meta["flip_indices"]),
            feats,
            batch_data_samples,
            test_cfg,
        )
        if not self.use_sigmoid:
            visible = visible.sigmoid()
        preds = self.pose_head.predict(feats, batch_data_samples, test_cfg)
        instances, fields = preds if isinstance(preds, tuple) else (preds, None)
        for own, seen in zip(instances, as_numpy(visible), strict=True):
            own.keypoints_visible = seen[None]
        return instances, fields

    @torch.no_grad()
    def vis_accuracy(
        self, vis_pred_outputs: Tensor, vis_labels: Tensor, vis_weights: Tensor | None = None
    ) -> Tensor:
        """Share of visibilities (B, K) that are right."""
        scores = vis_pred_outputs if self.use_sigmoid else vis_pred_outputs.sigmoid()
        correct = ((scores >= VISIBLE).float() == vis_labels).float()
        if vis_weights is None:
            return correct.mean()
        total = vis_weights.sum(dim=1) + WEIGHT_EPS
        return ((correct * vis_weights).sum(dim=1) / total).mean()

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_vis`, `acc_vis`, and what the pose head returns."""
        visible = self.vis_forward(feats)
        targets = labels(batch_data_samples, "keypoint_weights").to(visible.dtype)
        self.check_targets(visible, targets, batch_data_samples)
        weights = None
        if getattr(self.loss_module, "use_target_weight", False):
            weights = torch.cat([self._weights_of(sample) for sample in batch_data_samples])
        return {
            "loss_vis": self.loss_module(visible, targets, weights),
            "acc_vis": self.vis_accuracy(visible, targets, weights),
            **self.pose_head.loss(feats, batch_data_samples, train_cfg=train_cfg),
        }

    @staticmethod
    def _weights_of(sample: Any) -> Tensor:
        own = sample.gt_instance_labels
        if "keypoints_visible_weights" in own:
            return own.keypoints_visible_weights
        return torch.ones_like(own.keypoint_weights, dtype=torch.float32)
