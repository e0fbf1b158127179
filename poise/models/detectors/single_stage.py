"""Detectors of one network pass: a backbone, a neck, and a head with a box at every point.

They train by MMDetection's configs, with its losses, and predict with its released weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise._options import options_of
from poise.errors import ArgumentError, one_of
from poise.layers import BaseModule
from poise.models.layout import PictureNetwork, dense
from poise.models.renames import rename_old_keys
from poise.registry import MODELS

__all__ = ["RTMDet", "SingleStageDetector", "SyncedDetector", "YOLOX"]

Config = Mapping[str, Any]

MODES = ("tensor", "predict", "loss")


class SingleStageDetector(PictureNetwork, BaseModule):
    """Pictures -> boxes, scores and classes.

    Args:
        backbone: pictures -> features; a config or a module, as all parts.
        neck: features -> features, or None.
        bbox_head: features -> boxes; a config gets `train_cfg` and `test_cfg`.
        train_cfg: `assigner` and what else the head's loss needs.
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.
        data_preprocessor: batch -> model input; None only moves data to the device.
    """

    _version = 1

    backbone: Any
    neck: Any
    bbox_head: Any

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        bbox_head: Any = None,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = {"type": "mmengine.BaseDataPreprocessor"}
        self.data_preprocessor: Any = MODELS.build(data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if isinstance(bbox_head, Mapping):
            bbox_head = {**bbox_head, "train_cfg": train_cfg, "test_cfg": test_cfg}
        self.bbox_head = MODELS.build(bbox_head)
        # files of some versions carry what the config says
        rename_old_keys(self, [], always=[(r"data_preprocessor\.(mean|std)$", None)])

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    def forward(
        self, inputs: Any, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Run the model.

        Args:
            inputs: (B, 3, H, W), as the preprocessor gives it.
            data_samples: B samples; needed but for "tensor".
            mode: "tensor" gives the head's raw maps, "predict" the samples with
                `pred_instances`: `bboxes` (N, 4) xyxy in image space, `scores` (N,), `labels`
                (N,), best first; "loss" a dict of losses.

        Raises:
            ConfigError: another mode.
        """
        if mode == "tensor":
            return dense(self.bbox_head(self.extract_feat(inputs)))
        one_of(mode, MODES, "mode")
        if data_samples is None:
            raise ArgumentError(
                f"{type(self).__name__}: mode={mode!r} needs `data_samples`; for raw outputs use "
                "mode='tensor'"
            )
        return (self.predict if mode == "predict" else self.loss)(inputs, data_samples)

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of pictures (B, 3, H, W), by the head."""
        losses: dict[str, Tensor] = self.bbox_head.loss(
            self.extract_feat(batch_inputs), batch_data_samples
        )
        return losses

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """Feature maps of pictures (B, 3, H, W), finest first."""
        feats = self.backbone(self.laid_out(batch_inputs))
        return self.neck(feats) if self.with_neck else feats

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[Any], rescale: bool = True
    ) -> Sequence[Any]:
        """Samples with `pred_instances`.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: B samples with `img_shape` and `scale_factor`.
            rescale: give boxes in image space, not in input space.
        """
        feats = self.extract_feat(batch_inputs)
        found = self.bbox_head.predict(feats, batch_data_samples, rescale=rescale)
        for sample, instances in zip(batch_data_samples, found, strict=True):
            sample.pred_instances = instances
        return batch_data_samples

    def test_step(self, data: Any) -> Sequence[Any]:
        """Predictions of a batch from the data loader."""
        return self(**self.data_preprocessor(data, False), mode="predict")

    val_step = test_step


class SyncedDetector(SingleStageDetector):
    """A detector whose training may share batch statistics between devices.

    Args:
        **options: those of `SingleStageDetector`, which come first.
        use_syncbn: batch norms see the batch of all processes, where training runs in several.
    """

    @options_of(SingleStageDetector, positional=True)
    def __init__(self, *, use_syncbn: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.use_syncbn = use_syncbn


@MODELS.register_module(scope="mmdet")
class RTMDet(SyncedDetector):
    """RTMDet (Lyu 2022, arXiv 2212.07784); arguments as `SyncedDetector`."""


@MODELS.register_module(scope="mmdet")
class YOLOX(SingleStageDetector):
    """YOLOX (Ge 2021, arXiv 2107.08430); arguments as `SingleStageDetector`."""
