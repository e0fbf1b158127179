"""Intervals and comparisons of metrics: how often, from which seed, and what is drawn together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.data_tools.evaluating import Collected
from poise.data_tools.splitting import check_rule, group_of
from poise.datasets.coco_file import read_json
from poise.errors import DataError
from poise.metrics.analysis.bootstrap import (
    Difference,
    Interval,
    Statistic,
    differences,
    intervals,
)
from poise.metrics.analysis.posetrack_bootstrap import VIDEOS
from poise.metrics.analysis.statistics import Leaf

__all__ = ["Drawing", "annotation_file"]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How pictures are drawn.

    Attributes:
        level: share of the draws within an interval. resamples: how many draws. seed: of them.
        groups: pictures that are drawn together, as `poise data split --group-by` takes it: a
            field of the images, or a regular expression on their names; None for single ones.
        tick: called with numbers of resamples that are done.
    """

    level: float
    resamples: int
    seed: int
    groups: str | None = None
    tick: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        check_rule(self.groups)

    def intervals(self, collected: Collected, leaf: Leaf) -> dict[str, Interval]:
        """Of the figures of a metric; raises as `poise.metrics.analysis.intervals`."""
        return intervals(self._drawn(collected, leaf.statistic()), **self._numbers())

    def keypoint_intervals(self, collected: Collected, leaf: Leaf) -> dict[str, Interval] | None:
        """Of the figures of its keypoints; None for a metric that has none."""
        statistic = leaf.keypoint_statistic()
        if statistic is None:
            return None
        return intervals(self._drawn(collected, statistic), **self._numbers())

    def differences(
        self, collected: Collected, ours: Leaf, theirs: Leaf
    ) -> tuple[dict[str, Difference], dict[str, Difference]]:
        """Of the figures of one metric in two runs, and of its keypoints'.

        Raises:
            DataError: runs of different pictures or annotations, and as `intervals`.
        """
        ours.compare_truth(theirs)
        pairs = [
            (ours.statistic(), theirs.statistic()),
            (ours.keypoint_statistic(), theirs.keypoint_statistic()),
        ]
        found: list[dict[str, Difference]] = []
        for one, other in pairs:
            if one is None or other is None:
                found.append({})
                continue
            sides = (self._drawn(collected, side) for side in (one, other))
            found.append(differences(*sides, **self._numbers()))
        return found[0], {f"{ours.before}{name}": row for name, row in found[1].items()}

    def _numbers(self) -> dict[str, Any]:
        numbers = {"level": self.level, "resamples": self.resamples, "seed": self.seed}
        return {**numbers, "tick": self.tick}

    def _drawn(self, collected: Collected, statistic: Statistic) -> Statistic:
        if self.groups is None or statistic.unit == VIDEOS:  # which are groups already
            return statistic
        images = _images(collected, statistic.pictures)
        return statistic.grouped({key: group_of(row, self.groups) for key, row in images.items()})


def annotation_file(collected: Collected) -> Path | None:
    """Annotation file of the metrics or of the data set, if there is one."""
    names = [config.get("ann_file") for config in collected.configs]
    names.append(collected.meta.get("ann_file"))
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


def _images(collected: Collected, pictures: Sequence[Any]) -> Mapping[Any, Mapping[str, Any]]:
    """Entries of the images of some pictures, as an annotation file or the samples name them."""
    found = {key: {"id": key, "file_name": path} for key, path in collected.pictures.items()}
    file = annotation_file(collected)
    if file is not None:
        found |= {row["id"]: row for row in read_json(str(file)).get("images", ())}
    lacking = [key for key in pictures if key not in found]
    if lacking:
        raise DataError(
            f"--group-by needs the names of the pictures, and neither the samples nor an "
            f"annotation file name {len(lacking)} of them, such as {lacking[0]}"
        )
    return {key: found[key] for key in pictures}
