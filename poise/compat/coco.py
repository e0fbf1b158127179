"""COCO's files and evaluation with the arguments of xtcocotools, over pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval as _COCOeval

from poise.errors import ArgumentError

__all__ = ["COCO", "COCOeval"]

#: share of its box that a person covers, where the labels have no area
AREA_OF_BOX = 0.53


class COCOeval(_COCOeval):
    """Average precision of boxes, masks or keypoints.

    `poise.metrics.CocoMetric` gives the same figures faster, and those of CrowdPose and whole
    bodies.

    Args:
        cocoGt, cocoDt: labels, and what `cocoGt.loadRes` makes of predictions.
        iouType: "keypoints", "bbox" or "segm".
        sigmas: (K,) of the keypoints; None for those of COCO.
        use_area: take people's area from the labels; False: a share of their boxes.

    Raises:
        ArgumentError: another `iouType`.
    """

    def __init__(
        self,
        cocoGt: COCO | None = None,
        cocoDt: COCO | None = None,
        iouType: str = "keypoints",
        sigmas: Sequence[float] | np.ndarray | None = None,
        use_area: bool = True,
    ) -> None:
        if iouType not in ("keypoints", "bbox", "segm"):
            raise ArgumentError(
                f"iouType is 'keypoints', 'bbox' or 'segm', got {iouType!r}; use "
                "poise.metrics.CocoMetric and CocoWholeBodyMetric for crowds and parts of bodies"
            )
        super().__init__(cocoGt, cocoDt, iouType)
        self.use_area = use_area
        if sigmas is not None:
            self.params.kpt_oks_sigmas = np.asarray(sigmas)

    def _prepare(self) -> None:
        super()._prepare()
        if self.use_area:
            return
        for people in self._gts.values():
            # copies: the labels are the caller's
            people[:] = [{**p, "area": _box_area(p) * AREA_OF_BOX} for p in people]


def _box_area(annotation: Any) -> float:
    return annotation["bbox"][2] * annotation["bbox"][3]
