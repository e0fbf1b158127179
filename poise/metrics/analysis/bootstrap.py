"""How sure a figure is: the bootstrap over pictures (Efron, 1979).

Pictures are drawn with replacement, as many as there are, and the figures are computed for each
such draw; their spread is that which another test set of the same kind would show. A draw is
given as weights: how often each picture is in it. Whatever is costly, such as matching poses to
people, depends on single pictures and is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import shortened
from poise.errors import ArgumentError, DataError

__all__ = ["Difference", "Interval", "Statistic", "differences", "draws", "intervals"]

#: Fewer pictures tell nothing about their spread.
LEAST_PICTURES = 10
#: Draws made at a time, which bounds memory; part of what a seed means.
_BLOCK = 50


@dataclass(frozen=True, eq=False)
class Statistic:
    """Figures as a function of how often each picture counts.

    Attributes:
        pictures: I ids of what is drawn: pictures, or samples where these name none.
        names: F figures.
        rising: (F,) bool: more is better.
        figures: weights (R, I) int -> figures (R, F) float64, NaN where nothing counts.
        unit: what is drawn, for error texts.
    """

    pictures: Sequence[Any]
    names: Sequence[str]
    rising: Sequence[bool]
    figures: Callable[[Array], Array]
    unit: str = "pictures"

    def grouped(self, groups: Mapping[Any, Any]) -> Statistic:
        """The same figures, where pictures that belong together are drawn together.

        Args:
            groups: picture -> its group, such as the video that it is of.
        """
        own = [groups[picture] for picture in self.pictures]
        names = sorted(set(own), key=str)
        row = {name: place for place, name in enumerate(names)}
        place = np.array([row[name] for name in own], int)

        def figures(weights: Array) -> Array:
            return self.figures(weights[:, place])

        return Statistic(names, self.names, self.rising, figures, "groups of pictures")

    @classmethod
    def one_by_one(
        cls,
        pictures: Sequence[Any],
        figures_of: Callable[[Array], Mapping[str, float]],
        rising: Callable[[str], bool] = lambda _: True,
        missing: float = float("nan"),
    ) -> Statistic:
        """Figures that are computed for each draw by itself.

        Args:
            pictures: I ids.
            figures_of: weights (I,) int -> figures by name.
            rising: whether more is better, by a figure's name.
            missing: stands for NaN where nothing counts, as COCO's -1 does.
        """

        def figures(weights: Array) -> Array:
            found = np.array([list(figures_of(row).values()) for row in weights], np.float64)
            found[found == missing] = np.nan
            return found

        names = list(figures_of(np.ones(len(pictures), np.int64)))
        return cls(pictures, names, list(map(rising, names)), figures)

    def whole(self) -> Array:
        """(F,) figures of the pictures as they are."""
        return self.figures(np.ones((1, len(self.pictures)), np.int64))[0]


@dataclass(frozen=True)
class Interval:
    """Where a figure lies.

    Attributes:
        value: of the pictures as they are; NaN where nothing counts.
        low, high: bounds of the interval.
        draws: resamples in which the figure exists.
    """

    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Difference:
    """A figure of one run against that of another, over the same pictures.

    Attributes:
        value: of the one. against: of the other.
        difference: the one minus the other.
        low, high: interval of the difference.
        better: share of resamples in which the one is better; draws without a difference count
            half.
        draws: resamples in which both figures exist.
    """

    value: float
    against: float
    difference: float
    low: float
    high: float
    better: float
    draws: int


def draws(pictures: int, resamples: int, seed: int) -> Iterator[Array]:
    """Weights (R, I) int64 of the resamples, some at a time; each row sums to I."""
    rng = np.random.default_rng(seed)
    for begin in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - begin)
        drawn = rng.integers(0, pictures, (count, pictures))
        drawn += np.arange(count)[:, None] * pictures
        weights = np.bincount(drawn.ravel(), minlength=count * pictures)
        yield weights.reshape(count, pictures)


def intervals(
    statistic: Statistic,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> dict[str, Interval]:
    """Intervals of figures: percentiles of the draws, corrected for their bias (Efron, 1981).

    An average precision of few pictures is too high on average, since its curve takes the best
    precision from a point on; draws of the pictures are so once more. Percentiles alone would lie
    too high by twice that. How many draws are below the figure tells it.

    Args:
        statistic: the figures.
        level: share of the resamples within the interval, such as 0.95.
        resamples: how many; 1000 give 95 % intervals to about a tenth of their width.
        seed: of the draws.
        tick: called with the number of resamples done since the last call.

    Raises:
        ArgumentError: `level` is not between 0 and 1, or there are no resamples.
        DataError: fewer than 10 pictures.
    """
    _check(statistic, level, resamples)
    (drawn,) = _drawn([statistic], resamples, seed, tick)
    value = statistic.whole()
    low, high = _corrected_bounds(drawn, value, level)
    columns = [column.tolist() for column in (value, low, high, _number(drawn))]
    return {name: Interval(*row) for name, *row in zip(statistic.names, *columns, strict=True)}


def differences(
    statistic: Statistic,
    other: Statistic,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> dict[str, Difference]:
    """Figures of two runs side by side: the paired bootstrap over the same pictures.

    Bounds are percentiles of the differences: what bias there is, both runs have.

    Args:
        statistic: of the one run.
        other: of the other, of the same pictures in the same order.
        level: as in `intervals`.
        resamples: as in `intervals`.
        seed: as in `intervals`.
        tick: as in `intervals`.

    Raises:
        ArgumentError: as in `intervals`.
        DataError: as in `intervals`, other pictures, or no figure in common.
    """
    _check(statistic, level, resamples)
    same_ids(statistic.unit, statistic.pictures, other.pictures)
    shared = [name for name in statistic.names if name in set(other.names)]
    if not shared:
        raise DataError(
            f"the runs have no figure in common: {list(statistic.names)} and {list(other.names)}"
        )
    ours, theirs = ([list(one.names).index(name) for name in shared] for one in (statistic, other))
    a, b = _drawn([statistic, other], resamples, seed, tick)
    a, b = a[:, ours], b[:, theirs]
    sign = np.where(np.asarray(statistic.rising)[ours], 1, -1)
    gain = (a - b) * sign
    number = _number(gain)
    won = ((gain > 0) + 0.5 * (gain == 0)).sum(axis=0) / np.maximum(number, 1)
    low, high = _bounds(a - b, level)
    value, against = statistic.whole()[ours], other.whole()[theirs]
    better = np.where(number, won, np.nan)
    columns = [c.tolist() for c in (value, against, value - against, low, high, better, number)]
    return {name: Difference(*row) for name, *row in zip(shared, *columns, strict=True)}


def same_ids(what: str, ids: Sequence[Any], others: Sequence[Any]) -> None:
    """Raise DataError unless two runs hold the same ids, and say which are in one only."""
    if list(ids) == list(others):
        return
    first, second = dict.fromkeys(ids), dict.fromkeys(others)
    parts = []
    for one, two, where in ((first, second, "first"), (second, first, "second")):
        alone = [key for key in one if key not in two]
        if alone:
            parts.append(f"{len(alone):,} only in the {where} ({shortened(alone)})")
    difference = "; ".join(parts) or "the same ids, but not equally often"
    raise DataError(
        f"the runs do not hold the same {what}: {difference}; test both models on the same "
        "annotations"
    )


def _check(statistic: Statistic, level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ArgumentError(f"an interval holds a share between 0 and 1, such as 0.95, got {level}")
    if resamples < 1:
        raise ArgumentError(f"an interval needs resamples, such as 1000, got {resamples}")
    number = len(statistic.pictures)
    if number < LEAST_PICTURES:
        raise DataError(
            f"{number} {statistic.unit} are too few for an interval; at least {LEAST_PICTURES} are "
            "needed, some hundreds for one that says much"
        )


def _drawn(
    statistics: Sequence[Statistic],
    resamples: int,
    seed: int,
    tick: Callable[[int], None] | None,
) -> list[Array]:
    """Figures (R, F) of all draws, of each statistic."""
    found: list[list[Array]] = [[] for _ in statistics]
    for weights in draws(len(statistics[0].pictures), resamples, seed):
        for part, statistic in zip(found, statistics, strict=True):
            part.append(statistic.figures(weights))
        if tick is not None:
            tick(len(weights))
    return [np.concatenate(part) for part in found]


def _bounds(drawn: Array, level: float) -> tuple[Array, Array]:
    """(F,) and (F,) between which `level` of the draws (R, F) lie; NaN where none exists."""
    low, high = np.full((2, drawn.shape[1]), np.nan)
    there = ~np.isnan(drawn).all(axis=0)
    tail = (1 - level) / 2
    if there.any():
        low[there], high[there] = np.nanquantile(drawn[:, there], (tail, 1 - tail), axis=0)
    return low, high


def _corrected_bounds(drawn: Array, value: Array, level: float) -> tuple[Array, Array]:
    """As `_bounds`, corrected by the share of the draws that are below the figures (F,)."""
    normal = NormalDist()
    tail = normal.inv_cdf((1 - level) / 2)
    low, high = np.full((2, drawn.shape[1]), np.nan)
    for place, (column, own) in enumerate(zip(drawn.T, value.tolist(), strict=True)):
        known = column[~np.isnan(column)]
        if not len(known):
            continue
        least = 0.5 / len(known)
        below = float(((known < own) + 0.5 * (known == own)).mean())
        shift = 2 * normal.inv_cdf(min(max(below, least), 1 - least))
        ends = [normal.cdf(shift + tail), normal.cdf(shift - tail)]
        low[place], high[place] = np.quantile(known, ends)
    return low, high


def _number(drawn: Array) -> Array:
    return np.asarray((~np.isnan(drawn)).sum(axis=0))
