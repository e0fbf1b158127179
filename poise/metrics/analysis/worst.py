"""The people and the pictures that are farthest off, with their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.statistics import Leaf
from poise.metrics.analysis.tables import Table, people_of
from poise.metrics.pck import FIGURES

__all__ = ["Worst", "WorstCases", "worst_of"]


@dataclass(frozen=True)
class Worst:
    """An annotated person whose pose is far off.

    Attributes:
        picture: id of the picture. person: id of the annotation, or of the sample.
        figure: OKS, or the metric's own figure of this person alone.
        row: of the person among all.
    """

    picture: Any
    person: Any
    figure: float
    row: int


@dataclass(frozen=True)
class WorstCases:
    """What is farthest off, the worst first.

    Attributes:
        people: those that were found. missed: those that were not, the largest first.
        tables: of both, and of pictures by the mean over their people.
    """

    people: list[Worst]
    missed: list[Worst]
    tables: list[Table]


def worst_of(leaf: Leaf, number: int) -> WorstCases:
    """The people and the pictures that are farthest off.

    Args:
        leaf: of a metric by OKS, or of a mean over people.
        number: how many of each.

    Raises:
        DataError: a metric without figures of single people.
    """
    single = _single_people(leaf)
    figure = single.figure if single.rising else -single.figure
    counted = ~np.isnan(figure)

    def cases(rows: Array) -> list[Worst]:
        return [
            Worst(single.pictures[row], single.people[row], float(single.figure[row]), row)
            for row in rows[:number].tolist()
        ]

    missed = np.flatnonzero(counted & single.missed)
    missed = missed[np.argsort(-single.size[missed], kind="stable")]
    found = np.flatnonzero(counted & ~single.missed)
    # of equally bad ones the largest first
    found = found[np.lexsort((-single.size[found], figure[found]))]
    worst, unseen = cases(found), cases(missed)
    tables = [_of_people(single, worst, f"{leaf.before}worst people")]
    if unseen:
        sizes = [
            (f"{w.person} in picture {w.picture}", (float(single.size[w.row]),)) for w in unseen
        ]
        tables.append(Table(f"{leaf.before}missed people, the largest first", ("size",), sizes))
    tables.append(_of_pictures(single, f"{leaf.before}worst pictures", number))
    return WorstCases(worst, unseen, tables)


def _of_people(single: _Single, people: list[Worst], title: str) -> Table:
    rows = [
        (f"{w.person} in picture {w.picture}", (w.figure, float(single.size[w.row])))
        for w in people
    ]
    return Table(title, (single.name, "size"), rows)


def _of_pictures(single: _Single, title: str, number: int) -> Table:
    """Pictures by the mean over their people who count, the worst first."""
    by_picture: dict[Any, list[float]] = {}
    for row in np.flatnonzero(~np.isnan(single.figure)).tolist():
        by_picture.setdefault(single.pictures[row], []).append(float(single.figure[row]))
    means = {picture: float(np.mean(values)) for picture, values in by_picture.items()}
    chosen = sorted(means, key=lambda p: means[p] if single.rising else -means[p])[:number]
    rows = [(str(p), (len(by_picture[p]), means[p])) for p in chosen]
    return Table(title, ("people", f"mean {single.name}"), rows)


@dataclass(frozen=True, eq=False)
class _Single:
    """Figures of N single people.

    Attributes:
        people: their ids. pictures: ids of their pictures.
        figure: (N,), NaN for those that do not count. name: of the figure.
        rising: more is better.
        size: (N,) square root of the area, pixels; NaN where it is not known.
        missed: (N,) bool.
    """

    people: list[Any]
    pictures: list[Any]
    figure: Array
    name: str
    rising: bool
    size: Array
    missed: Array


def _single_people(leaf: Leaf) -> _Single:
    if leaf.is_oks:
        truth, assignment = leaf.comparison.truth, leaf.assignment
        return _Single(
            people=list(truth.ids),
            pictures=[truth.image_ids[row] for row in truth.image.tolist()],
            figure=np.where(truth.ignore, np.nan, assignment.oks),
            name="OKS",
            rising=True,
            size=np.sqrt(truth.area),
            missed=assignment.pose < 0,
        )
    masks, sums = leaf.masks, leaf.sums
    figures = sums.figures({key: value.astype(np.float64) for key, value in sums.people.items()})
    # of figures by joint the one over all of them
    name = next((n for n in figures if n in FIGURES.values()), next(iter(figures)))
    size = people_of(leaf).size
    owners = np.repeat(np.arange(len(masks)), [len(mask) for mask in masks]).tolist()
    return _Single(
        people=[leaf.samples[row][1] for row in owners],
        pictures=[leaf.samples[row][0] for row in owners],
        figure=np.where(np.concatenate(masks).any(axis=1), figures[name], np.nan),
        name=name,
        rising=sums.rising,
        size=np.full(len(owners), np.nan) if size is None else size,
        missed=np.zeros(len(owners), bool),
    )
