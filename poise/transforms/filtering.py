"""Drop people that are too small or hardly annotated."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.errors import ArgumentError
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.mixing import count_of, pick_rows

__all__ = ["FilterAnnotations"]


@TRANSFORMS.register_module()
class FilterAnnotations(BaseTransform):
    """Keep the people that pass all chosen tests.

    Args:
        min_gt_bbox_wh: boxes must be wider and taller than this, pixels.
        min_gt_area: smallest area, pixels.
        min_kpt_vis: smallest number of visible keypoints.
        by_box, by_area, by_kpt: which tests are made.
        keep_empty: True drops the whole sample (returns None) where nobody is left; False keeps
            it without people. The name says the opposite, which is MMPose's.

    Raises:
        ArgumentError: no test is chosen.
    """

    def __init__(
        self,
        min_gt_bbox_wh: tuple[float, float] = (1, 1),
        min_gt_area: float = 1,
        min_kpt_vis: int = 1,
        by_box: bool = False,
        by_area: bool = False,
        by_kpt: bool = True,
        keep_empty: bool = True,
    ) -> None:
        if not (by_box or by_area or by_kpt):
            raise ArgumentError(
                "FilterAnnotations needs at least one of by_box, by_area, by_kpt set to True"
            )
        self.by_box, self.min_gt_bbox_wh = by_box, min_gt_bbox_wh
        self.by_area, self.min_gt_area = by_area, min_gt_area
        self.by_kpt, self.min_kpt_vis = by_kpt, min_kpt_vis
        self.keep_empty = keep_empty

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Shorten `bbox`, `bbox_score`, `category_id`, `keypoints`, `keypoints_visible`, `area`."""
        count = count_of(results)
        if count == 0:
            return results
        keep = np.ones(count, bool)
        if self.by_box and "bbox" in results:
            box = results["bbox"]
            keep &= (box[..., 2:] - box[..., :2] > np.asarray(self.min_gt_bbox_wh)).all(-1)
        if self.by_area and "area" in results:
            keep &= results["area"] >= self.min_gt_area
        if self.by_kpt:
            visible = results["keypoints_visible"]
            visible = visible[..., 0] if visible.ndim == 3 else visible
            keep &= visible.sum(axis=1) >= self.min_kpt_vis
        if self.keep_empty and not keep.any():
            return None
        pick_rows(results, keep)
        return results
