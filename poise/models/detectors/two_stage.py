"""The R-CNNs: proposals of places first, then what is there; for prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poise.models.detectors.base import Detector
from poise.registry import MODELS

__all__ = ["CascadeRCNN", "FasterRCNN", "MaskRCNN", "TwoStageDetector"]

Config = Mapping[str, Any]


class TwoStageDetector(Detector):
    """Pictures -> proposals -> boxes, scores and classes.

    Args:
        backbone: pictures -> features; a config or a module, as all parts.
        neck: features -> features, or None.
        rpn_head: features -> proposals; a config gets `test_cfg.rpn`.
        roi_head: features and proposals -> boxes; a config gets `test_cfg.rcnn`.
        train_cfg: kept for configs; it is about training.
        test_cfg: `rpn` and `rcnn`.
        data_preprocessor: batch -> model input; None only moves data to the device.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        rpn_head: Any = None,
        roi_head: Any = None,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(backbone, neck, train_cfg, test_cfg, data_preprocessor, init_cfg)
        rules = test_cfg or {}
        if isinstance(rpn_head, Mapping):
            rpn_head = {**rpn_head, "test_cfg": rules.get("rpn"), "num_classes": 1}
        if isinstance(roi_head, Mapping):
            roi_head = {**roi_head, "test_cfg": rules.get("rcnn")}
        self.rpn_head: Any = MODELS.build(rpn_head)
        self.roi_head: Any = MODELS.build(roi_head)

    @property
    def last_head(self) -> Any:
        """The head of the second stage."""
        return self.roi_head

    def raw_maps(self, feats: Any) -> Any:
        """The maps of the first stage; the second looks at what is chosen from them."""
        return self.rpn_head(feats)

    def find(self, feats: Any, batch_data_samples: Sequence[Any], *, rescale: bool) -> list[Any]:
        """Proposals, and what the second stage makes of them."""
        proposals = self.rpn_head.predict(feats, batch_data_samples, rescale=False)
        found: list[Any] = self.roi_head.predict(
            feats, proposals, batch_data_samples, rescale=rescale
        )
        return found


@MODELS.register_module(scope="mmdet")
class FasterRCNN(TwoStageDetector):
    """Faster R-CNN (Ren 2015, arXiv 1506.01497); arguments as `TwoStageDetector`."""


@MODELS.register_module(scope="mmdet")
class CascadeRCNN(TwoStageDetector):
    """Cascade R-CNN (Cai 2018, arXiv 1712.00726); arguments as `TwoStageDetector`."""


@MODELS.register_module(scope="mmdet")
class MaskRCNN(TwoStageDetector):
    """Mask R-CNN (He 2017, arXiv 1703.06870), its boxes; arguments as `TwoStageDetector`."""
