"""Tables of an evaluation: errors by kind, keypoints, groups of people, and the worst of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poise._arrays import Array
from poise.errors import ArgumentError, one_of
from poise.metrics.analysis.bootstrap import Interval
from poise.metrics.analysis.diagnosis import (
    GOOD_FROM,
    JITTER_FROM,
    KINDS,
    Diagnosis,
    diagnose,
    gains,
)
from poise.metrics.analysis.person_sums import share_of
from poise.metrics.analysis.slices import SLICES, People, largest_overlap, slice_people
from poise.metrics.analysis.statistics import Leaf
from poise.metrics.coco import CocoMetric

__all__ = ["BY", "Table", "breakdown_tables", "by_table", "people_of"]

#: What people and keypoints can be sorted by.
BY = ("keypoint", *SLICES)
#: Titles of the tables of groups.
_TITLES = {
    "size": "people by size, the square root of the area in pixels",
    "visible": "people by number of labelled keypoints",
    "crowding": "people by largest IoU with somebody else's box",
    "occlusion": "people by share of labelled keypoints that are hidden",
    "category": "people, animals or things by category",
}
#: Figures whose gain is shown.
_GAINED = ("AP", "AP .5", "AR")


@dataclass(frozen=True)
class Table:
    """Rows of figures with a name each.

    Attributes:
        title: what the rows are.
        columns: names of the figures.
        rows: name and figures; int for counts, NaN where nothing counts.
        about: a sentence on how to read it.
        bar: the column that is drawn as a bar where there is room for it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]
    about: str = ""
    bar: str = ""


def breakdown_tables(leaf: Leaf) -> list[Table]:
    """What is wrong, what mending it would gain, and with which keypoints.

    Args:
        leaf: of a metric that goes by OKS.

    Raises:
        DataError: another metric.
    """
    own, metric = leaf.comparison, leaf.metric
    assert isinstance(metric, CocoMetric)
    found = diagnose(own.truth, own.detections, leaf.assignment, own.sigmas, leaf.sides)
    parts = (own.truth, own.detections, leaf.assignment, found, own.sigmas)
    gained = gains(*parts, metric.summary)
    return [_errors(leaf, found, gained), _errors_of_keypoints(leaf, found)]


def _errors(leaf: Leaf, found: Diagnosis, gained: dict[str, dict[str, float]]) -> Table:
    counts = found.counts().sum(axis=0)
    people = int((~leaf.comparison.truth.ignore).sum())
    poses = int(leaf.assignment.counted.sum())
    amounts = {kind: (int(n), counts.sum()) for kind, n in zip(KINDS, counts, strict=True)}
    amounts["all keypoints"] = int(counts[1:].sum()), counts.sum()
    amounts["missed people"] = int(found.missed.sum()), people
    amounts["duplicate"] = int(found.duplicate.sum()), poses
    amounts["background"] = int(found.background.sum()), poses
    amounts["scores"] = poses, 0
    names = [name for name in _GAINED if name in next(iter(gained.values()))]
    nothing = dict.fromkeys(names, float("nan"))
    rows = [
        (
            kind,
            (number, _ratio(number, total), *(gained.get(kind, nothing)[n] for n in names)),
        )
        for kind, (number, total) in amounts.items()
    ]
    about = (
        "Shares are of the labelled keypoints of people that were found, of people, and of poses. "
        "Gains are of each kind mended by itself: keypoints as far as their kind says, people "
        "left out, poses left out, poses ranked by their OKS; they do not add up."
    )
    columns = ("number", "share", *(f"{name} gained" for name in names))
    return Table(f"{leaf.before}errors", columns, rows, about, bar=columns[2])


def _errors_of_keypoints(leaf: Leaf, found: Diagnosis) -> Table:
    counts = found.counts()
    rows = [
        (name, (int(own.sum()), *(_ratio(n, own.sum()) for n in own)))
        for name, own in zip(leaf.names(len(counts)), counts, strict=True)
    ]
    about = (
        f"good: similarity from {GOOD_FROM} on; jitter: from {JITTER_FROM} on; inversion: on the "
        "other side's place; swap: on somebody else's; miss: on nobody's."
    )
    return Table(f"{leaf.before}errors by keypoint", ("labelled", *KINDS), rows, about)


def by_table(leaf: Leaf, kind: str, keypoint_intervals: dict[str, Interval] | None = None) -> Table:
    """The figures of single keypoints, or of groups of people.

    Args:
        leaf: of a metric by OKS, or of a mean over people.
        kind: one of `BY`.
        keypoint_intervals: of the keypoints' figures, to be shown beside them.

    Raises:
        ArgumentError: another kind.
        DataError: the metric, or what the samples hold, does not allow it.
    """
    if one_of(kind, BY, "what figures can be sorted by", ArgumentError) == "keypoint":
        return _keypoints(leaf, keypoint_intervals or {})
    table = _groups_by_oks if leaf.is_oks else _groups_by_sums
    return table(leaf, kind)


def _keypoints(leaf: Leaf, intervals: dict[str, Interval]) -> Table:
    labelled = _labelled_by_keypoint(leaf)
    statistic = leaf.keypoint_statistic()
    assert statistic is not None
    columns = ["labelled", leaf.keypoint_figure]
    values: list[Array] = [labelled, statistic.whole()]
    if leaf.is_oks:
        more = _of_similarity(leaf)
        columns += more
        values += more.values()
    if intervals:
        columns += ["low", "high"]
        bounds = [intervals[name] for name in statistic.names]
        values += [np.array([b.low for b in bounds]), np.array([b.high for b in bounds])]
    rows = list(zip(statistic.names, zip(*(v.tolist() for v in values), strict=True), strict=True))
    about = "Similarity is the OKS of one keypoint; people without a pose count 0." * leaf.is_oks
    return Table(f"{leaf.before}keypoints", columns, rows, about, bar=columns[1])


def _of_similarity(leaf: Leaf) -> dict[str, Array]:
    """(K,) shares of similar keypoints, and mean similarity of those that are seen and hidden."""
    own = leaf.assignment.similarity
    flags = leaf.comparison.truth.keypoints[..., 2]
    unknown = np.isnan(own)
    found = {
        f"from {limit} on": _mean_of_known(np.where(unknown, np.nan, own >= limit))
        for limit in (JITTER_FROM, GOOD_FROM)
    }
    hidden = ~unknown & (flags < 2)
    if hidden.any():
        found["seen"] = _mean_of_known(np.where(hidden, np.nan, own))
        found["hidden"] = _mean_of_known(np.where(hidden, own, np.nan))
    return found


def _labelled_by_keypoint(leaf: Leaf) -> Array:
    if leaf.is_oks:
        return np.asarray((~np.isnan(leaf.assignment.similarity)).sum(axis=0))
    if leaf.is_posetrack:
        return np.asarray(leaf.labelled_joints.annotated.sum(axis=0))
    return np.asarray(np.concatenate(leaf.masks).sum(axis=0))


def _groups_by_oks(leaf: Leaf, kind: str) -> Table:
    truth, assignment = leaf.comparison.truth, leaf.assignment
    groups = slice_people(kind, People.of_truth(truth, leaf.category_names))
    rows = []
    for place, name in enumerate(groups.names):
        chosen = (groups.row == place) & ~truth.ignore
        oks, pose = assignment.oks[chosen], assignment.pose[chosen]
        number = int(chosen.sum())
        if number:
            shares = ((pose < 0).mean(), oks.mean(), (oks >= 0.5).mean(), (oks >= 0.75).mean())
            rows.append((name, (number, *map(float, shares))))
    columns = ("people", "missed", "OKS", "from 0.5 on", "from 0.75 on")
    about = "Missed people have an OKS of 0."
    return Table(leaf.before + _TITLES[kind], columns, rows, about, bar="OKS")


def _groups_by_sums(leaf: Leaf, kind: str) -> Table:
    groups = slice_people(kind, people_of(leaf))
    sums = leaf.sums
    rows = []
    names: list[str] = []
    for place, name in enumerate(groups.names):
        chosen = groups.row == place
        if chosen.any():
            totals = {
                key: value[chosen].sum(axis=0, dtype=np.float64)[None]
                for key, value in sums.people.items()
            }
            figures = sums.figures(totals)
            names = list(figures)
            rows.append((name, (int(chosen.sum()), *(float(v[0]) for v in figures.values()))))
    return Table(leaf.before + _TITLES[kind], ("people", *names), rows, bar=names[0])


def people_of(leaf: Leaf) -> People:
    """What the samples of a mean over people say of them."""
    mask = np.concatenate(leaf.masks)
    boxes = [
        None if own is None or len(own) != len(some) else np.asarray(own)[:, :4]
        for own, some in zip(leaf.boxes, leaf.masks, strict=True)
    ]
    counts = [len(some) for some in leaf.masks]
    told = [str(leaf.category_names.get(key, key)) for key in leaf.categories]
    unknown = not told or None in leaf.categories
    category = None if unknown else np.repeat(np.array(told), counts)
    known = [box for box in boxes if box is not None]
    if len(known) < len(boxes):
        return People(mask.shape[1], mask.sum(axis=1), category=category)
    joined = np.concatenate(known).astype(np.float64)
    sides = joined[:, 2:] - joined[:, :2]
    return People(
        keypoints=mask.shape[1],
        labelled=mask.sum(axis=1),
        size=np.sqrt(sides.prod(axis=1)),
        overlap=largest_overlap(joined, leaf.people[1]),
        category=category,
    )


def _mean_of_known(values: Array) -> Array:
    """(K,) means over people (G, K) of what is not NaN."""
    there = ~np.isnan(values)
    return share_of(np.where(there, values, 0).sum(axis=0), there.sum(axis=0))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
