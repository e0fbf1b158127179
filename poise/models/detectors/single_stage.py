"""Detectors of one network pass: a backbone, a neck, and a head with a box at every point.

RTMDet and YOLOX train by MMDetection's configs, with its losses; all predict with its released
weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise._options import options_of
from poise.models.detectors.base import Detector
from poise.registry import MODELS

__all__ = ["RTMDet", "SingleStageDetector", "SyncedDetector", "YOLOV3", "YOLOX"]

Config = Mapping[str, Any]


@MODELS.register_module(scope="mmdet")
class SingleStageDetector(Detector):
    """Pictures -> boxes, scores and classes, by one head.

    Args:
        backbone: pictures -> features; a config or a module, as all parts.
        neck: features -> features, or None.
        bbox_head: features -> boxes; a config gets `train_cfg` and `test_cfg`.
        train_cfg: `assigner` and what else the head's loss needs.
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.
        data_preprocessor: batch -> model input; None only moves data to the device.
    """

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
        super().__init__(backbone, neck, train_cfg, test_cfg, data_preprocessor, init_cfg)
        if isinstance(bbox_head, Mapping):
            bbox_head = {**bbox_head, "train_cfg": train_cfg, "test_cfg": test_cfg}
        self.bbox_head = MODELS.build(bbox_head)

    @property
    def last_head(self) -> Any:
        """The one head."""
        return self.bbox_head

    def raw_maps(self, feats: Any) -> Any:
        """The head's raw maps."""
        return self.bbox_head(feats)

    def find(self, feats: Any, batch_data_samples: Sequence[Any], *, rescale: bool) -> list[Any]:
        """Boxes by the head."""
        found: list[Any] = self.bbox_head.predict(feats, batch_data_samples, rescale=rescale)
        return found

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of pictures (B, 3, H, W), by the head."""
        losses: dict[str, Tensor] = self.bbox_head.loss(
            self.extract_feat(batch_inputs), batch_data_samples
        )
        return losses


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


@MODELS.register_module(scope="mmdet")
class YOLOV3(SingleStageDetector):
    """YOLOv3 (Redmon 2018, arXiv 1804.02767), for prediction; as `SingleStageDetector`."""
