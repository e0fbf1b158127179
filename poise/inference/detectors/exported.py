"""RTMDet and YOLOX in a file that `poise export` wrote; works without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.geometry import box_nms
from poise.inference.detectors.base import SelectingDetector
from poise.inference.networks.crops import picture_steps
from poise.registry import use_scope
from poise.runtimes import open_session, runtime_of
from poise.structures.config_metainfo import class_names
from poise.transforms import Compose

__all__ = ["ExportedDetector"]


class ExportedDetector(SelectingDetector):
    """Boxes of an exported detector: those that the detector itself finds.

    Args:
        path: the file.
        score_threshold, iou_threshold, categories, max_boxes: as `NetworkDetector`.
    """

    #: as of `NetworkDetector`
    cut_at_borders = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        score_threshold: float = 0.3,
        iou_threshold: float | None = None,
        categories: int | Sequence[int] | None = (0,),
        max_boxes: int | None = None,
    ) -> None:
        super().__init__(score_threshold, iou_threshold, categories, max_boxes)
        self._session = open_session(path, runtime_of(path))
        about = self._session.metadata
        self._select, self._levels = about["select"], about["levels"]
        self.num_classes = int(about["num_classes"])
        self.classes = class_names(about)
        steps = [step for step in about["pipeline"] if not _packs(step)]
        with use_scope(about.get("default_scope")):
            self._pipeline = Compose(picture_steps(steps))
        self.name = Path(path).name

    @property
    def description(self) -> str:
        """How a log line calls it."""
        return self.described(self.name, self.classes)

    def detect(self, images: Sequence[Array]) -> list[Array]:
        """Boxes of each picture, best first; they may reach beyond its borders."""
        if not images:
            return []
        fitted = [self._pipeline({"img": image, "img_path": None}) for image in images]
        outputs = self._session(np.stack([results["img"] for results in fitted]))
        return [
            self.select(*self._found(boxes, scores, results["scale_factor"]), image.shape)
            for boxes, scores, results, image in zip(*outputs, fitted, images, strict=True)
        ]

    def _found(self, boxes: Array, scores: Array, factor: Any) -> tuple[Array, Array, Array]:
        """Boxes (N, 4) in image space, scores (N,) and labels (N,) of one picture's points.

        Args:
            boxes: (P, 4) xyxy, input space.
            scores: (P, C).
            factor: (x, y) by which the picture was scaled.
        """
        rule = self._select
        # worse boxes never suppress better ones: leaving them out early changes nothing
        points, labels = self._candidates(
            scores, max(rule["score_threshold"], self.score_threshold)
        )
        boxes, scores = (
            boxes[points] / np.tile(np.asarray(factor, np.float32), 2),
            scores[points, labels],
        )
        kept = np.arange(len(boxes))
        if rule["smallest_side"] >= 0:
            kept = kept[(boxes[:, 2:] - boxes[:, :2] > rule["smallest_side"]).all(1)]
        if rule["iou_threshold"] is not None and len(kept):
            apart = boxes[kept]
            if not rule["class_agnostic"]:
                # every class gets a place of its own, where boxes of other classes never come
                apart = apart + (labels[kept, None] * (apart.max() + 1)).astype(apart.dtype)
            kept = kept[box_nms(apart, scores[kept], rule["iou_threshold"])]
        kept = kept[: rule["max_boxes"]]
        return boxes[kept], scores[kept], labels[kept]

    def _candidates(self, scores: Array, threshold: float) -> tuple[Array, Array]:
        """Points (N,) and labels (N,) that could be boxes, of scores (P, C)."""
        if not self._select["several_labels"]:
            points = np.flatnonzero(scores.max(1) >= threshold)
            return points, scores[points].argmax(1)
        most, start, found = self._select["best_of_level"], 0, []
        for count in self._levels:
            rows, labels = np.nonzero(scores[start : start + count] > threshold)
            best = np.argsort(-scores[start + rows, labels], kind="stable")[:most]
            found.append((start + rows[best], labels[best]))
            start += count
        points, kinds = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return points, kinds


def _packs(step: Any) -> bool:
    """Whether a step makes tensors."""
    return str(step["type"]).rpartition(".")[2].startswith("Pack")
