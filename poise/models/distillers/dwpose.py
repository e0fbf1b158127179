"""DWPose: an RTMPose student learns features and distributions of an RTMPose teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.models.base_model import BaseModel
from poise.models.build import build_model
from poise.models.estimators.base import BasePoseEstimator
from poise.models.heads.targets import labels
from poise.models.progress import Progress
from poise.registry import MODELS

__all__ = ["DWPoseDistiller"]


def _model_of(config: Any) -> Any:
    """Model of a config path or name, a whole config, a model config, or a model."""
    if isinstance(config, nn.Module):
        return config
    if isinstance(config, str):
        from poise.zoo import load_config

        # the model alone: a dataset is not asked about
        return build_model(load_config(config).model)
    return build_model(config)


@MODELS.register_module()
class DWPoseDistiller(BasePoseEstimator):
    """A teacher that stands still and a student that learns from it.

    Yang 2023, "Effective Whole-body Pose Estimation with Two-stages Distillation",
    arXiv 2307.15880. In the second stage (`two_dis`) the student is its own teacher and only
    its head learns.

    Args:
        teacher_cfg: config (path, name, dict) or model.
        student_cfg: config (path, name, dict) or model.
        two_dis: second stage.
        distill_cfg: list of dicts whose `methods` are loss configs with `name`
            ("loss_fea" or "loss_logit") and `use_this`.
        teacher_pretrained: weights of the teacher, loaded by `init_weights`; of a file of the
            first stage the student's.
        train_cfg: settings of training; the student's if None.
        data_preprocessor: batch -> model input.
        mmpose_faults: let the teacher's batch norms see the batch and learn their running
            statistics in training, as in MMPose; False keeps the teacher as it is.
    """

    teacher: Any
    student: Any
    train_cfg: Any

    def __init__(
        self,
        teacher_cfg: Any,
        student_cfg: Any,
        two_dis: bool = False,
        distill_cfg: Sequence[Mapping[str, Any]] | None = None,
        teacher_pretrained: str | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
        *,
        mmpose_faults: bool = True,
    ) -> None:
        # an estimator without parts of its own; teacher and student have them
        BaseModel.__init__(self, data_preprocessor, init_cfg)
        self.teacher = _model_of(teacher_cfg).eval().requires_grad_(False)
        self.teacher_pretrained = teacher_pretrained
        self.student = _model_of(student_cfg)
        self.distill_losses = nn.ModuleDict(
            {
                method["name"]: MODELS.build(method)
                for place in distill_cfg or ()
                for method in place["methods"]
                if method["use_this"]
            }
        )
        self.two_dis = two_dis
        self.mmpose_faults = mmpose_faults
        self.train_cfg = train_cfg if train_cfg else self.student.train_cfg
        self.test_cfg = self.student.test_cfg
        self.metainfo = self.student.metainfo
        self.progress = Progress()
        if two_dis and "loss_fea" in self.distill_losses:
            raise ConfigError(
                "DWPoseDistiller: the second stage (two_dis=True) has no student features for "
                "'loss_fea'; set its use_this=False"
            )

    def init_weights(self) -> None:
        """Load the teacher, start the student."""
        if self.teacher_pretrained is not None:
            from poise.models.weights import load_checkpoint

            load_checkpoint(self.teacher, self.teacher_pretrained)
        self.student.init_weights()
        self._is_init = True

    def train(self, mode: bool = True) -> DWPoseDistiller:
        """Switch between training and evaluation."""
        super().train(mode)
        if not self.mmpose_faults:
            self.teacher.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of the teacher."""
        return self.teacher.extract_feat(inputs)

    def _forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> Any:
        return self.student._forward(inputs)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """The student's own loss and accuracy, and the distillation losses.

        In the first stage the latter fade out over the epochs; in the second only they and
        nothing else are there.
        """
        with torch.no_grad():
            teacher_feats = self.teacher.extract_feat(inputs)
            wanted = self.teacher.head(teacher_feats)
        feats = teacher_feats if self.two_dis else self.student.extract_feat(inputs)
        own, outputs, weights = self.head_loss(feats, data_samples)
        losses = {} if self.two_dis else own
        fade = 1.0 if self.two_dis else 1 - self.progress.epoch / self.progress.max_epochs
        if "loss_fea" in self.distill_losses:
            loss = self.distill_losses["loss_fea"](feats[-1], teacher_feats[-1])
            losses["loss_fea"] = fade * loss
        if "loss_logit" in self.distill_losses:
            beta = self.student.head.loss_module.beta
            loss = self.distill_losses["loss_logit"](outputs, wanted, beta, weights)
            losses["loss_logit"] = fade * loss
        return losses

    def head_loss(
        self, feats: Any, batch_data_samples: Sequence[Any]
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor], Tensor]:
        """Loss and accuracy of the student's head, its outputs, and the keypoint weights."""
        outputs = self.student.head.forward(feats)
        losses = self.student.head.loss_of_outputs(outputs, batch_data_samples)
        return losses, outputs, labels(batch_data_samples, "keypoint_weights")

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """The student's predictions; in the second stage on the teacher's features."""
        if not self.two_dis:
            return self.student.predict(inputs, data_samples)
        feats = self.test_feats(inputs)
        instances, fields = self.student.head_predictions(feats, data_samples)
        return self.student.add_pred_to_datasample(instances, fields, data_samples)
