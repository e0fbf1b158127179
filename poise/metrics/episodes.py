"""Figures of episodes: how well keypoints that labelled pictures show are found in others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._options import options_of
from poise.errors import DataError
from poise.metrics.base import BaseMetric
from poise.metrics.keypoint_2d import KeypointMetric
from poise.registry import METRICS

__all__ = ["EpisodeMetric"]

_CURVE = np.arange(20) / 20


@METRICS.register_module(scope="poise")
class EpisodeMetric(KeypointMetric):
    """PCK, NME, AUC and EPE of MP-100: of each episode, then their mean (Xu 2022, section 5).

    Keypoints count that the object and all labelled ones show; an episode without any counts as
    0, as with the authors. Distances are in units of the longer side of the box, but for EPE.

    Samples are those of `KeypointMetric`, with 'bboxes' (1, 4) xyxy and 'support_visible' (1, K)
    in 'gt_instances'.

    Args:
        thresholds: distances that are right for PCK; mPCK is the mean of these.
        **options: those of `BaseMetric`.

    Raises:
        DataError: no threshold.
    """

    sizes = {
        "box": ("bboxes", "EpisodeMetric"),
        "shown": ("support_visible", "EpisodeMetric"),
    }

    @options_of(BaseMetric, positional=True)
    def __init__(
        self, thresholds: Sequence[float] = (0.05, 0.1, 0.15, 0.2, 0.25), **options: Any
    ) -> None:
        super().__init__(**options)
        if not isinstance(thresholds, Sequence) or not thresholds:
            raise DataError(
                f"EpisodeMetric needs thresholds, such as (0.05, 0.1), got {thresholds!r}"
            )
        self.thresholds = list(thresholds)

    def _figures(self, entry: Mapping[str, Array]) -> dict[str, float]:
        """Figures of an episode."""
        if entry["shown"].shape != entry["mask"].shape:
            raise DataError(
                f"EpisodeMetric: support_visible {entry['shown'].shape} does not fit the keypoints"
                f" {entry['gt_coords'].shape}"
            )
        counted = (entry["mask"] & entry["shown"].astype(bool))[0]
        box = entry["box"][0]
        side = max(box[2] - box[0], box[3] - box[1])
        if not side > 0:
            raise DataError(
                f"EpisodeMetric measures by the longer side of the box, got the box {box.tolist()}"
            )
        offsets = (entry["pred_coords"] - entry["gt_coords"])[0, counted]
        pixels = np.linalg.norm(offsets.astype(np.float64), axis=-1)
        if not len(pixels):
            pixels = None
        limits = {f"PCK@{limit}": limit for limit in self.thresholds}
        figures = {key: _below(pixels, limit * side) for key, limit in limits.items()}
        return figures | {
            "NME": 0.0 if pixels is None else float(pixels.mean() / side),
            "AUC": float(np.mean([_below(pixels, limit * side) for limit in _CURVE])),
            "EPE": 0.0 if pixels is None else float(pixels.mean()),
        }

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Means over episodes, and 'mPCK'."""
        if not results:
            raise DataError("there are no results to evaluate: no sample went through process()")
        rows = [self._figures(entry) for entry in results]
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        hits = [value for key, value in means.items() if key.startswith("PCK")]
        return means | {"mPCK": float(np.mean(hits))}


def _below(pixels: np.ndarray | None, limit: float) -> float:
    """Share of distances that are smaller; 0 of none."""
    return 0.0 if pixels is None else float((pixels < limit).mean())
