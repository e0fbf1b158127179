"""Faults that show without a model: people that look like nobody else in the data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poise.data_tools.audit.evidence import OUTSIDE, far_outside, surest
from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.people import People, outside_boxes
from poise.data_tools.audit.shapes import LEAST_PEOPLE, LEAST_WON, Shapes, odds, usual
from poise.datasets.people import extent

__all__ = ["LEAST_PAIRS", "geometry_findings"]

#: labels of two people this alike (OKS) begin to be the same person
TWIN = 0.5
#: keypoints that both must have
_TWIN_KEYPOINTS = 3
#: no boxes are drawn more alike than that; log of the ratio
_LEAST_BOX_SPREAD = 0.15
#: a body is exchanged in at least so many pairs
LEAST_PAIRS = 2
_TINY = 1e-9


def geometry_findings(
    people: People, shapes: Shapes, *, prior: float, least: float
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
    yield from _limb_findings(people, shapes, prior, least)


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
            yield people.finding(person, "flag", 1.0, np.flatnonzero(wrong[person]), about)


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
        about = f"OKS with annotation {people.ids[second[n]]} is {oks[n]:.2f}"
        yield people.finding(first[n], "duplicate", sure[n], (), about)


def _outside(people: People, prior: float, least: float) -> Iterator[Finding]:
    """Labelled keypoints outside of their own box, farther than others of the data set."""
    far = np.where(people.seen, outside_boxes(people.points, people.boxes), 0)
    sure, worst, share = far_outside(far, prior)
    for person in np.flatnonzero(sure >= least).tolist():
        chosen = np.flatnonzero(far[person] > OUTSIDE)
        chosen = chosen[np.argsort(-far[person, chosen])]
        about = (
            f"the label of {people.names[chosen[0]]} lies {worst[person]:.0%} of the box's longer "
            f"side outside of it; {share[person]:.1%} of all people have one as far"
        )
        yield people.finding(person, "box cuts", sure[person], chosen, about)


def _box_sizes(people: People, prior: float, least: float) -> Iterator[Finding]:
    """Boxes that do not fit what their keypoints span."""
    low, high = extent(people.points, people.seen)
    enough = people.seen.mean(axis=1) > 1 / 2
    span = np.where(enough[:, None], high - low, 1).max(axis=1)
    side = (people.boxes[:, 2:] - people.boxes[:, :2]).max(axis=1)
    ratio = np.log(np.maximum(side, 1) / np.maximum(span, 1))[:, None]
    known = enough[:, None]
    for sign, word in ((1, "larger"), (-1, "smaller")):
        middle, spread = usual(sign * ratio, known)
        # boxes that follow the keypoints exactly scatter by nothing
        away = (sign * ratio - middle) / np.maximum(spread, _LEAST_BOX_SPREAD)
        sure = np.where(known, odds(away, prior), 0)[:, 0]
        for person in np.flatnonzero(sure >= least):
            times = np.exp(sign * (ratio[person, 0] - sign * middle[0]))
            about = f"the box is {times:.1f} times {word} against its keypoints than usual"
            yield people.finding(person, "box size", sure[person], (), about)


def _limb_findings(people: People, shapes: Shapes, prior: float, least: float) -> Iterator[Finding]:
    """Long limbs, and bodies and pairs that lie the wrong way round."""
    crossed = np.where(shapes.compared, shapes.exchanged, 0)
    whole = prior * shapes.turned / (prior * shapes.turned + 1 - prior)
    whole[shapes.compared.sum(axis=1) < LEAST_PAIRS] = 0
    crossed[whole > crossed.max(axis=1, initial=0)] = 0
    for person in np.flatnonzero((whole >= least) & ~crossed.any(axis=1)).tolist():
        sides = people.pairs[shapes.compared[person]].ravel()
        about = "left and right lie the other way round than in most others"
        yield people.finding(person, "swapped", whole[person], sides, about)
    for person in np.flatnonzero((crossed >= least).any(axis=1)).tolist():
        best = int(crossed[person].argmax())
        chosen = people.pairs[surest(crossed[person], least)]
        a, b = (people.names[k] for k in people.pairs[best])
        won = shapes.won[person, best]
        about = (
            f"exchanged, the limbs at {a} and {b} are shorter by {won:.0%} of the person's size"
            if won > LEAST_WON
            else f"{a} and {b} lie the other way round than in most others"
        )
        yield people.finding(person, "pair swapped", crossed[person, best], chosen.ravel(), about)
    for person in np.flatnonzero((shapes.long >= least).any(axis=1)).tolist():
        chosen = surest(shapes.long[person], least)
        worst = chosen[np.argmax(shapes.long[person, chosen])]
        ends = list(dict.fromkeys(shapes.links[chosen].ravel().tolist()))
        a, b = (people.names[k] for k in shapes.links[worst])
        about = f"{a} to {b} is {shapes.stretch[person, worst]:.1f} times as long as usual"
        yield people.finding(person, "long limb", shapes.long[person, worst], ends, about)
