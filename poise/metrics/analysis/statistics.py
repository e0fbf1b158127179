"""Every metric's figures as a function of which pictures are drawn.

A metric that was fed gives *leaves*: itself, or the metrics of its parts. A leaf gives its
figures, and those of single keypoints, over draws of pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.metrics.analysis.assignment import Assignment, assign
from poise.metrics.analysis.bootstrap import Statistic, same_ids
from poise.metrics.analysis.person_sums import (
    SUMMED,
    Sums,
    is_rising,
    person_statistics,
    share_of,
    sums_of,
    totals_of,
)
from poise.metrics.analysis.posetrack_bootstrap import posetrack_statistics
from poise.metrics.base import BaseMetric, id_order
from poise.metrics.box_eval import BoxEvaluation
from poise.metrics.coco import CocoMetric, Comparison
from poise.metrics.coco_box import DetectionCocoMetric
from poise.metrics.coco_eval import OksEvaluation, evaluate_oks
from poise.metrics.partition import KeypointPartitionMetric
from poise.metrics.posetrack18 import LabelledJoints, PoseTrack18Metric

__all__ = ["Leaf", "leaves_of"]


@dataclass(eq=False)
class Leaf:
    """A metric with what it kept of each sample, before it forgets that by `evaluate`.

    Attributes:
        metric: the metric.
        before: goes before the names of its figures, such as 'coco/'.
        samples: what tells the sample of each entry: its picture's id and its own.
        keypoint_names: names of the keypoints, where they are known.
        flip_indices: the other side of each keypoint, where it is known.
        entries: what the metric kept, once it is closed.
        boxes: annotated boxes of each entry, where the samples have some.
        categories: id of the category of each entry, None where the samples have none.
        category_names: of such ids, where they are known.
    """

    metric: BaseMetric
    before: str
    samples: list[tuple[Any, Any]]
    keypoint_names: Sequence[str] = ()
    flip_indices: Sequence[int] = ()
    entries: list[Any] = field(default_factory=list)
    boxes: list[Array | None] = field(default_factory=list)
    categories: list[Any] = field(default_factory=list)
    category_names: Mapping[Any, str] = field(default_factory=dict)

    def take(
        self, picture: Any, sample: Any, boxes: Array | None = None, category: Any = None
    ) -> None:
        """Note whose the entries are that the metric kept since the last call.

        Args:
            picture: id of the picture.
            sample: id of the sample.
            boxes: (N, 4) xyxy of its annotated people, image space.
            category: id of what the sample is.
        """
        new = len(self.metric.results) - len(self.samples)
        self.samples.extend([(picture, sample)] * new)
        self.boxes.extend([boxes] * new)
        self.categories.extend([category] * new)

    @property
    def has_categories(self) -> bool:
        """Whether there are several categories."""
        own = self.comparison.truth.category_ids if self.is_oks else self.categories
        return len(set(own)) > 1

    def close(self) -> None:
        """Keep the entries; `evaluate` makes the metric forget them."""
        self.entries = list(self.metric.entries())

    @property
    def kind(self) -> str:
        """Name of the metric's class."""
        return type(self.metric).__name__

    @property
    def is_oks(self) -> bool:
        """Whether poses are matched by OKS, so that errors can be told apart."""
        return isinstance(self.metric, CocoMetric) and not self.is_posetrack

    @property
    def is_boxes(self) -> bool:
        """Whether boxes of a detector are matched."""
        return isinstance(self.metric, DetectionCocoMetric)

    @property
    def is_posetrack(self) -> bool:
        """Whether joints of whole videos are counted."""
        return isinstance(self.metric, PoseTrack18Metric)

    @property
    def is_summed(self) -> bool:
        """Whether the figures are means over people."""
        return type(self.metric) in SUMMED

    # what matching gives, each worked out once

    @cached_property
    def comparison(self) -> Comparison:
        """Annotations and predictions of an OKS metric.

        Raises:
            DataError: of another metric.
        """
        if not self.is_oks or not isinstance(self.metric, CocoMetric):
            raise DataError(
                f"{self.kind} does not match poses to people by OKS; use CocoMetric or "
                f"CocoWholeBodyMetric, such as --metric {self._substitute}"
            )
        return self.metric.comparison(self.entries)

    @cached_property
    def evaluation(self) -> OksEvaluation:
        """COCO's matching of an OKS metric."""
        own = self.comparison
        return evaluate_oks(own.truth, own.detections, own.sigmas)

    @cached_property
    def assignment(self) -> Assignment:
        """Whose each pose is; see `assign`."""
        own = self.comparison
        return assign(own.truth, own.detections, own.sigmas)

    @cached_property
    def box_evaluations(self) -> Mapping[str, BoxEvaluation]:
        """COCO's matching of a metric of boxes."""
        assert isinstance(self.metric, DetectionCocoMetric)
        return self.metric.evaluations(self.entries)

    @cached_property
    def sides(self) -> Array:
        """(K,) the other side of each keypoint; itself where none is known."""
        number = len(self.comparison.sigmas)
        known = len(self.flip_indices) == number
        return np.asarray(self.flip_indices, int) if known else np.arange(number)

    @cached_property
    def sums(self) -> Sums:
        """Sums of a metric of means over people."""
        return sums_of(self.metric, self.entries)

    @property
    def masks(self) -> list[Array]:
        """Which keypoints (N, K) of the people of each entry count.

        Raises:
            DataError: of a metric that knows no single people.
        """
        if not self.is_summed or any("mask" not in entry for entry in self.entries[:1]):
            raise DataError(
                f"{self.kind} has no figures of single people; use PCKAccuracy, AUC, EPE, NME, "
                f"MPJPE, or --metric {self._substitute}"
            )
        return [entry["mask"] for entry in self.entries]

    @cached_property
    def people(self) -> tuple[list[Any], Array]:
        """Pictures, sorted, and the row (N,) of each person's there."""
        pictures, rows = self._pictures
        # each value of an entry has a row a person
        counts = [len(next(iter(entry.values()))) for entry in self.entries]
        return pictures, np.repeat(rows, counts)

    @property
    def _pictures(self) -> tuple[list[Any], list[int]]:
        """Pictures, sorted, and the row of each entry's there."""
        pictures = sorted({picture for picture, _ in self.samples}, key=id_order)
        place = {picture: row for row, picture in enumerate(pictures)}
        return pictures, [place[picture] for picture, _ in self.samples]

    def statistic(self) -> Statistic:
        """The figures as a function of how often each picture counts.

        Raises:
            DataError: a metric that does not go by pictures.
        """
        if self.is_summed:
            found = self._of_people[0]
        elif self.is_posetrack:
            found = self._of_videos[0]
        elif isinstance(self.metric, CocoMetric):
            found = self._of_poses(self.metric)
        elif isinstance(self.metric, DetectionCocoMetric):
            found = self._of_boxes(self.metric)
        else:
            found = self._of_anything()
        prefix = f"{self.metric.prefix}/" if self.metric.prefix else ""
        return replace(found, names=[f"{self.before}{prefix}{name}" for name in found.names])

    def keypoint_statistic(self) -> Statistic | None:
        """The figure of each keypoint; None for metrics that have none."""
        if self.is_oks:
            return self._of_similarity()
        if self.is_posetrack:
            return self._of_videos[1]
        return self._of_people[1] if self.is_summed else None

    @property
    def keypoint_figure(self) -> str:
        """What `keypoint_statistic` gives, in a few words."""
        if self.is_posetrack:
            return "AP"
        return "mean similarity" if self.is_oks else self.sums.about

    def pictures_with_poses(self) -> set[Any]:
        """Ids of the pictures in which something was predicted."""
        if not self.is_oks:
            return {picture for picture, _ in self.samples}
        return set(self.comparison.poses.image_id.tolist())

    def compare_truth(self, other: Leaf) -> None:
        """Raise DataError unless the other one has the same annotations."""
        if self.is_posetrack and other.is_posetrack:
            ours, theirs = self.labelled_joints, other.labelled_joints
            same_ids("videos", ours.videos, theirs.videos)
            self._same_points(ours.annotated, theirs.annotated, ours.videos)
        elif self.is_oks and other.is_oks:
            one, two = self.comparison.truth, other.comparison.truth
            same_ids("pictures", one.image_ids, two.image_ids)
            same_ids("annotations", list(one.ids), list(two.ids))
            self._same_points(one.keypoints, two.keypoints, list(one.ids))
        elif self.is_boxes and other.is_boxes:
            self._same_boxes(other)
        elif self.is_summed and other.is_summed:
            mine, others = self._persons(), other._persons()
            same_ids("samples", sorted(mine, key=id_order), sorted(others, key=id_order))
            for sample, poses in mine.items():
                if poses is not None:
                    self._same_points(poses, others[sample], [sample])

    def _same_boxes(self, other: Leaf) -> None:
        one, two = (next(iter(leaf.box_evaluations.values())).truth for leaf in (self, other))
        same_ids("pictures", one.image_ids, two.image_ids)
        if not np.array_equal(one.bbox, two.bbox):
            raise DataError(
                "the runs were tested on different boxes; give both the same file, --annotations "
                "FILE"
            )

    def _same_points(self, ours: Array, theirs: Array | None, ids: Sequence[Any]) -> None:
        if theirs is not None and np.array_equal(ours, theirs, equal_nan=True):
            return
        odd = ids[:1]
        if theirs is not None and ours.shape == theirs.shape and len(ids) == len(ours):
            differs = (ours != theirs).any(axis=tuple(range(1, ours.ndim)))
            odd = [ids[row] for row in np.flatnonzero(differs)[:5]]
        raise DataError(
            f"the runs were tested on different labels: annotations {odd} have other keypoints; "
            "give both the same file, --annotations FILE"
        )

    def _persons(self) -> dict[Any, Array | None]:
        """Annotated poses of each sample, where the metric keeps them."""
        pairs = zip(self.samples, self.entries, strict=True)
        return {sample: entry.get("gt_coords") for sample, entry in pairs}

    def _of_poses(self, metric: CocoMetric) -> Statistic:
        matches = self.evaluation
        return Statistic.one_by_one(
            matches.truth.image_ids,
            lambda row: metric.summary(replace(matches, weights=row)),
            missing=-1.0,
        )

    def _of_boxes(self, metric: DetectionCocoMetric) -> Statistic:
        matches = self.box_evaluations
        return Statistic.one_by_one(
            next(iter(matches.values())).truth.image_ids,
            lambda row: metric.summary({k: replace(m, weights=row) for k, m in matches.items()}),
            missing=-1.0,
        )

    @property
    def _substitute(self) -> str:
        """A metric by OKS for the same predictions; PoseTrack's labels have no area."""
        return "CocoMetric,use_area=false" if self.is_posetrack else "CocoMetric"

    @cached_property
    def labelled_joints(self) -> LabelledJoints:
        """Which joints of whole videos are right."""
        assert isinstance(self.metric, PoseTrack18Metric)
        return self.metric.labelled_joints(self.entries)

    @cached_property
    def _of_videos(self) -> tuple[Statistic, Statistic]:
        return posetrack_statistics(self.labelled_joints)

    @cached_property
    def _of_people(self) -> tuple[Statistic, Statistic | None]:
        number = 0 if self.sums.keypoints is None else self.masks[0].shape[1]
        pictures, row = self.people
        return person_statistics(self.sums, row, pictures, self.names(number))

    def names(self, number: int) -> list[str]:
        """Names of K keypoints; their numbers where the data set names others."""
        known = list(self.keypoint_names)
        return known if len(known) == number else [str(place) for place in range(number)]

    def _of_similarity(self) -> Statistic:
        truth, found = self.comparison.truth, self.assignment.similarity
        labelled = ~np.isnan(found)
        people = {"similarity": np.where(labelled, found, 0), "labelled": labelled}
        totals = totals_of(people, truth.image, len(truth.image_ids))

        def figures(weights: Array) -> Array:
            return share_of(*totals(weights).values())

        names = self.names(found.shape[1])
        return Statistic(truth.image_ids, names, [True] * len(names), figures)

    def _of_anything(self) -> Statistic:
        """The metric itself, run on each draw; for metrics with an entry per sample."""
        if len(self.samples) != len(self.entries):
            raise DataError(
                f"{self.kind} keeps {len(self.entries)} entries of {len(self.samples)} samples; "
                "pictures can be drawn anew where a metric puts what it keeps into `self.results`"
            )
        pictures, rows = self._pictures
        entries: list[list[Any]] = [[] for _ in pictures]
        for row, entry in zip(rows, self.entries, strict=True):
            entries[row].append(entry)

        def run(weights: Array) -> dict[str, float]:
            drawn = [
                entry for own, n in zip(entries, weights.tolist(), strict=True) for entry in own * n
            ]
            found = self.metric.compute_metrics(drawn)
            return {name: float(value) for name, value in found.items()}

        return Statistic.one_by_one(pictures, run, is_rising)


def leaves_of(metric: BaseMetric, meta: Mapping[str, Any] | None = None) -> Iterator[Leaf]:
    """The leaves of a metric, before it is fed.

    Args:
        metric: any metric.
        meta: meta information of the data set: 'keypoint_id2name' and 'flip_indices'.
    """
    names = list(((meta or {}).get("keypoint_id2name") or {}).values())
    sides = list((meta or {}).get("flip_indices") or ())
    classes = [c for c in (meta or {}).get("CLASSES") or () if isinstance(c, Mapping)]
    labels = {c.get("id"): str(c.get("name")) for c in classes}
    if not isinstance(metric, KeypointPartitionMetric):
        yield Leaf(metric, "", [], names, sides, category_names=labels)
        return
    for part, own in metric.metrics.items():
        chosen = metric.partitions[part]
        if max(chosen) >= min(len(names), len(sides)):
            yield Leaf(own, f"{part}/", [], category_names=labels)
            continue
        place = {keypoint: row for row, keypoint in enumerate(chosen)}
        flips = [place.get(sides[keypoint], row) for keypoint, row in place.items()]
        points = [names[k] for k in chosen]
        yield Leaf(own, f"{part}/", [], points, flips, category_names=labels)
