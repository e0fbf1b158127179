"""Faults that show without a model: people that look like nobody else in the data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poise.data_tools.audit.evidence import PRIOR, tail
from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.people import People, outside_boxes

__all__ = ["Shapes", "geometry_findings", "measure_shapes"]

#: labels of two people this alike (OKS) begin to be the same person
TWIN = 0.5
#: keypoints that both must have
_TWIN_KEYPOINTS = 3
#: a labelled keypoint is outside of its box from here on; parts of the longer side
OUTSIDE = 0.05
#: share of a normal distribution's middle, to read a spread off quantiles
_ONE_SPREAD = 0.8413
#: so many people are needed to say what is usual
LEAST_PEOPLE = 20
#: and so many limbs, to say how large a person is
LEAST_LIMBS = 3
#: limbs that differ less than that by an exchange say nothing of it; parts of the person's size
LEAST_WON = 0.05
#: no boxes are drawn more alike than that; log of the ratio
_LEAST_BOX_SPREAD = 0.15
#: of what is wrong, so much shows in lengths of limbs, or in sizes of boxes
OF_SHAPE = 0.3
_TINY = 1e-9


@dataclass(frozen=True)
class Shapes:
    """What the shapes of bodies say, before any model looks.

    Attributes:
        exchanged: (N, P) probability that a pair is exchanged. compared: (N, P) bool, it could be
            judged; elsewhere the probability is the prior.
        won: (N, P) by how much limbs shorten if it is exchanged, in the person's size.
        long: (N, L) probability that a limb is too long. stretch: (N, L) how many times as long.
    """

    exchanged: np.ndarray
    compared: np.ndarray
    won: np.ndarray
    long: np.ndarray
    stretch: np.ndarray

    def moved(self, people: People) -> np.ndarray:
        """(N, K) probability that a keypoint ends a limb that is too long."""
        result = np.zeros(people.seen.shape)
        for end in people.links.T:
            np.maximum.at(result.T, end, self.long.T)
        return result


def measure_shapes(people: People, prior: float = PRIOR) -> Shapes:
    """Shapes of all people against one another."""
    count = len(people)
    exchanged = np.full((count, len(people.pairs)), prior)
    won, compared = np.zeros(exchanged.shape), np.zeros(exchanged.shape, bool)
    long = np.zeros((count, len(people.links)))
    stretch = np.ones(long.shape)
    if count >= LEAST_PEOPLE:
        for n, pair in enumerate(people.pairs):
            won[:, n], known = _won_by_exchange(people, pair)
            known &= np.abs(won[:, n]) > LEAST_WON
            if known.sum() >= LEAST_PEOPLE:
                compared[:, n] = known
                exchanged[known, n] = _mirrored_odds(won[known, n], prior)
        if len(people.links):
            long, stretch = _long_limbs(people, prior)
    return Shapes(exchanged, compared, won, long, stretch)


def geometry_findings(
    people: People, shapes: Shapes, *, prior: float = PRIOR, least: float = 0.1
) -> Iterator[Finding]:
    """All that labels themselves tell.

    Args:
        people: the labels.
        shapes: of `measure_shapes`.
        prior: share of labels with a fault, before anything is known.
        least: findings that are less sure are left out.
    """
    yield from _flags(people)
    yield from _duplicates(people, least)
    yield from _outside(people, prior, least)
    if len(people) >= LEAST_PEOPLE:
        yield from _box_sizes(people, prior, least)
    yield from _limb_findings(people, shapes, least)


def _of(
    people: People, person: int, kind: str, sure: float, names: list[str], about: str
) -> Finding:
    return people.finding(person, kind=kind, sure=sure, keypoints=names, about=about)


def _flags(people: People) -> Iterator[Finding]:
    """Visibilities other than 0, 1 and 2, and labels at the corner where no labels lie."""
    known = np.isfinite(people.flags)
    odd = known & ~np.isin(people.flags, (0, 1, 2))
    corner = people.seen & (people.points == 0).all(axis=-1)
    for wrong, about in (
        (odd, "a visibility is 0 (not labelled), 1 (hidden) or 2 (visible)"),
        (corner, "labelled at (0, 0): often a keypoint that is not there"),
    ):
        for person in np.flatnonzero(wrong.any(axis=1)):
            names = [people.names[k] for k in np.flatnonzero(wrong[person])]
            yield _of(people, int(person), "flag", 1.0, names, about)


def _duplicates(people: People, least: float) -> Iterator[Finding]:
    """People whose labels lie on one another."""
    first, second = people.neighbours()
    once = first < second
    first, second = first[once], second[once]
    if not len(first):
        return
    both = people.seen[first] & people.seen[second]
    square = ((people.points[first] - people.points[second]) ** 2).sum(-1)
    area = np.maximum(people.areas[first], people.areas[second])[:, None]
    alike = np.where(both, np.exp(-square / (2 * area * (2 * people.sigmas) ** 2 + _TINY)), 0)
    oks = alike.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    sure = np.where(
        both.sum(axis=1) >= _TWIN_KEYPOINTS, np.clip((oks - TWIN) / (1 - TWIN), 0, 1), 0
    )
    for n in np.flatnonzero(sure >= least):
        other = people.ids[second[n]]
        yield _of(
            people,
            int(first[n]),
            "duplicate",
            float(sure[n]),
            [],
            f"OKS with annotation {other} is {oks[n]:.2f}",
        )


def _outside(people: People, prior: float, least: float) -> Iterator[Finding]:
    """Labelled keypoints outside of their own box, farther than others of the data set."""
    far = np.where(people.seen, outside_boxes(people.points, people.boxes), 0)
    worst = far.max(axis=1)
    share = (len(worst) - np.searchsorted(np.sort(worst), worst)) / len(worst)
    sure = np.where(worst > OUTSIDE, prior / (prior + share), 0)
    for person in np.flatnonzero(sure >= least).tolist():
        chosen = np.flatnonzero(far[person] > OUTSIDE)
        chosen = chosen[np.argsort(-far[person, chosen])]
        about = (
            f"the label of {people.names[chosen[0]]} lies {worst[person]:.0%} of the box's longer "
            f"side outside of it; {share[person]:.1%} of all people have one as far"
        )
        names = [people.names[k] for k in chosen]
        yield _of(people, person, "box cuts", float(sure[person]), names, about)


def _usual(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and upper spread of each column (N, C), over what is known."""
    masked = np.where(known, values, np.nan)
    empty = ~known.any(axis=0)
    masked[:, empty] = 0
    middle = np.nanmedian(masked, axis=0)
    spread = np.nanquantile(masked, _ONE_SPREAD, axis=0) - middle
    return middle, np.maximum(spread, _TINY)


def _odds(spreads: np.ndarray, prior: float) -> np.ndarray:
    """Probability of a fault: a value so far off is a fault, or of the tail of right ones."""
    mine = prior * OF_SHAPE
    result: np.ndarray = mine / (mine + (1 - mine) * tail(spreads))
    return result


def _box_sizes(people: People, prior: float, least: float) -> Iterator[Finding]:
    """Boxes that do not fit what their keypoints span."""
    low = np.where(people.seen[..., None], people.points, np.inf).min(axis=1)
    high = np.where(people.seen[..., None], people.points, -np.inf).max(axis=1)
    enough = people.seen.mean(axis=1) > 1 / 2
    span = np.where(enough[:, None], high - low, 1).max(axis=1)
    side = (people.boxes[:, 2:] - people.boxes[:, :2]).max(axis=1)
    ratio = np.log(np.maximum(side, 1) / np.maximum(span, 1))[:, None]
    known = enough[:, None]
    for sign, word in ((1, "larger"), (-1, "smaller")):
        middle, spread = _usual(sign * ratio, known)
        # boxes that follow the keypoints exactly scatter by nothing
        away = (sign * ratio - middle) / np.maximum(spread, _LEAST_BOX_SPREAD)
        sure = np.where(known, _odds(away, prior), 0)[:, 0]
        for person in np.flatnonzero(sure >= least):
            times = np.exp(sign * (ratio[person, 0] - sign * middle[0]))
            about = f"the box is {times:.1f} times {word} against its keypoints than usual"
            yield _of(people, int(person), "box size", float(sure[person]), [], about)


def _limbs(people: People) -> tuple[np.ndarray, np.ndarray]:
    """(N, L) log of limb lengths against the person's other limbs and the usual body; and known."""
    a, b = people.links.T
    known = people.seen[:, a] & people.seen[:, b]
    length = np.linalg.norm(people.points[:, a] - people.points[:, b], axis=-1)
    logs = np.where(known & (length > 0), np.log(np.maximum(length, _TINY)), np.nan)
    known = np.isfinite(logs)
    # the size of a person is what most limbs say, so that one wrong limb does not change it
    size = np.log(people.sizes)[:, None]
    for _ in range(2):
        typical, _ = _usual(logs - size, known)
        rest = np.where(known, logs - typical, np.nan)
        rest[~known.any(axis=1)] = 0
        size = np.nanmedian(rest, axis=1, keepdims=True)
    return np.where(known, logs - typical - size, 0), known


def _long_limbs(people: People, prior: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, L) how surely limbs are too long, and how many times; short ones point at the camera."""
    ratio, known = _limbs(people)
    middle, spread = _usual(ratio, known)
    several = known.sum(axis=1, keepdims=True) >= LEAST_LIMBS
    sure = np.where(known & several, _odds((ratio - middle) / spread, prior), 0)
    return sure, np.exp(ratio)


def _mirrored_odds(won: np.ndarray, prior: float) -> np.ndarray:
    """(M,) how surely a pair is exchanged, from what its exchange would win.

    Exchanging a pair turns the sign of what is won by exchanging it. So right labels show,
    mirrored, how wrong ones look: as many win that much by not being exchanged, against how many
    win it by being so.
    """
    values = np.sort(won)
    wrong = np.searchsorted(values, -won, side="right")
    right = np.maximum(len(values) - np.searchsorted(values, won, side="left"), 1)
    result: np.ndarray = prior * wrong / (prior * wrong + (1 - prior) * right)
    return result


def _limb_findings(people: People, shapes: Shapes, least: float) -> Iterator[Finding]:
    """Long limbs, and pairs whose limbs cross over."""
    crossed = np.where(shapes.compared & (shapes.won > 0), shapes.exchanged, 0)
    for person in np.flatnonzero((crossed >= least).any(axis=1)).tolist():
        best = int(crossed[person].argmax())
        chosen = people.pairs[crossed[person] >= max(least, crossed[person].max() / 2)]
        a, b = (people.names[k] for k in people.pairs[best])
        about = (
            f"exchanged, the limbs at {a} and {b} are shorter by {shapes.won[person, best]:.0%} of "
            "the person's size"
        )
        names = [people.names[k] for k in chosen.ravel()]
        yield _of(people, person, "pair swapped", float(crossed[person, best]), names, about)
    for person in np.flatnonzero((shapes.long >= least).any(axis=1)).tolist():
        chosen = np.flatnonzero(shapes.long[person] >= max(least, shapes.long[person].max() / 2))
        worst = chosen[np.argmax(shapes.long[person, chosen])]
        names = list(dict.fromkeys(people.names[k] for n in chosen for k in people.links[n]))
        a, b = (people.names[k] for k in people.links[worst])
        about = f"{a} to {b} is {shapes.stretch[person, worst]:.1f} times as long as usual"
        yield _of(people, person, "long limb", float(shapes.long[person, worst]), names, about)


def _won_by_exchange(people: People, pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) by how much limbs shorten if a pair is exchanged, in the person's size; and known."""
    a, b = pair
    total = np.zeros(len(people))
    known = people.seen[:, a] & people.seen[:, b]
    count = np.zeros(len(people))
    for end, other in ((a, b), (b, a)):
        touching = people.links[(people.links == end).any(axis=1)]
        ends = touching.sum(axis=1) - end
        ends = ends[(ends != other)]
        gap = people.points[:, ends]
        straight = np.linalg.norm(people.points[:, None, end] - gap, axis=-1)
        turned = np.linalg.norm(people.points[:, None, other] - gap, axis=-1)
        there = people.seen[:, ends] & known[:, None]
        total += np.where(there, straight - turned, 0).sum(axis=1)
        count += there.sum(axis=1)
    return total / people.sizes, known & (count >= 2)
