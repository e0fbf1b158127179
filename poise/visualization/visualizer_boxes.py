"""`DetLocalVisualizer`: what a detector found, or was to find, in the picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.registry import VISUALIZERS
from poise.visualization.drawing import draw_boxes, field_of
from poise.visualization.tracks import id_color
from poise.visualization.visualizer import PoseLocalVisualizer, part_of

__all__ = ["DetLocalVisualizer"]


@VISUALIZERS.register_module(scope="mmdet")
class DetLocalVisualizer(PoseLocalVisualizer):
    """Draws boxes of data samples with the name and the score of each, a colour a class.

    Pictures are RGB, as in MMDetection.

    Args:
        name, image, vis_backends, save_dir: as in `PoseLocalVisualizer`.
        bbox_color: one colour for all classes; None: a colour for each.
        text_color: of the labels.
        mask_color: kept for configs; detectors here have no masks.
        line_width: pixels; None: by the size of the picture.
        alpha: 1 covers the picture, 0 leaves it.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: Array | None = None,
        vis_backends: Sequence[Any] | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        bbox_color: Any = None,
        text_color: Any = (200, 200, 200),
        mask_color: Any = None,
        line_width: float | None = 3,
        alpha: float = 0.8,
    ) -> None:
        super().__init__(
            name,
            image,
            vis_backends,
            save_dir,
            bbox_color,
            text_color=text_color,
            line_width=line_width,
            alpha=alpha,
        )

    def add_datasample(  # type: ignore[override]
        self,
        name: str,
        image: Array,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | os.PathLike[str] | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> Array:
        """Draw a data sample: ground truth on the left, prediction on the right.

        Args:
            name, show, wait_time, out_file, step: as in `PoseLocalVisualizer`.
            image: (H, W, 3) uint8 RGB, not changed.
            data_sample: with `gt_instances` and `pred_instances`, those it has: `bboxes` (N, 4)
                xyxy in image space, `labels` (N,) or none, all 0, of predictions `scores` (N,).
            draw_gt: draw the ground truth.
            draw_pred: draw the prediction.
            pred_score_thr: boxes with a lower score are not drawn.

        Returns:
            the drawn picture, RGB.
        """
        columns = []
        for wanted, kind in ((draw_gt, "gt"), (draw_pred, "pred")):
            instances = part_of(data_sample, f"{kind}_instances") if wanted else None
            if instances is not None:
                column = np.array(image, dtype=np.uint8, order="C")
                columns.append(self._with_boxes(column, instances, pred_score_thr))
        drawn = np.concatenate(columns or [np.array(image, np.uint8)], axis=1)
        return self._hand_out(drawn, name, show, wait_time, out_file, step)

    def _with_boxes(self, image: Array, instances: Any, threshold: float) -> Array:
        """The picture with boxes (N, 4) and their labels drawn into it."""
        boxes, labels = field_of(instances, "bboxes"), field_of(instances, "labels")
        scores = field_of(instances, "scores")
        if boxes is None:
            return image
        if labels is None:
            labels = np.zeros(len(boxes), int)
        if scores is not None:
            sure = scores >= threshold
            boxes, labels, scores = boxes[sure], labels[sure], scores[sure]
        for label in np.unique(labels).tolist():
            own = labels == label
            text = self.class_name(label)
            draw_boxes(
                image,
                boxes[own],
                color=self.bbox_color or id_color(label, order="rgb"),
                labels=[f"{text}: {score:.1%}" for score in scores[own].tolist()]
                if scores is not None
                else [text] * int(own.sum()),
                text_color=self.text_color,
                line_width=self.line_width,
                alpha=self.alpha,
                order="rgb",
            )
        return image
