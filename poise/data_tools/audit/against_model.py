"""Labels that a model's poses speak against: each explanation weighed against the others.

How sure a finding is, is the probability of its explanation by Bayes' rule: right label, or moved,
or exchanged, or another person's, each with the density of where labels then lie, and a prior of
one in a hundred for all that is wrong. The model's own mistakes are in the likelihood of "right"
(`Trust`), its own exchanges of left and right, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poise.data_tools.audit.evidence import Trust, measure_trust, surest
from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.geometry import LEAST_PAIRS
from poise.data_tools.audit.people import People
from poise.data_tools.audit.predictions import Predictions
from poise.data_tools.audit.shapes import Shapes

__all__ = ["Comparison", "compare", "label_findings"]

#: of what is wrong with labels: shares of the explanations
SHARES = {"swapped": 0.35, "pair swapped": 0.25, "shifted": 0.3, "other person's": 0.1}
#: where a label lies that is anywhere in the box: density, per square of the person's size
ANYWHERE = 1.0
#: of a model's mistakes: how many are exchanges of all sides, and of one pair
_MODEL_SWAPS, _MODEL_PAIR_SWAPS = 0.2, 0.3
_TINY = 1e-30
#: no label is wrong for certain before a model looks at it
_LEAST_DOUBT = 1e-3


@dataclass(frozen=True)
class Comparison:
    """Labels beside predictions.

    Attributes:
        known: (N, K) labelled and predicted.
        distance: (N, K) between them, in parts of the person's size.
        turned: (N, K) from each label to the prediction of its other side; NaN without one.
        elsewhere: (N, K) from each label to the nearest such keypoint of another person; infinite
            without one.
        trust: in the model.
        alike: (N, K) each keypoint's part of OKS.
    """

    known: np.ndarray
    distance: np.ndarray
    turned: np.ndarray
    elsewhere: np.ndarray
    trust: Trust
    alike: np.ndarray

    @cached_property
    def oks(self) -> np.ndarray:
        """(N,) OKS over what is labelled and predicted; 0 where nothing is."""
        total = np.where(self.known, self.alike, 0).sum(axis=1)
        return total / np.maximum(self.known.sum(axis=1), 1)


def compare(people: People, predictions: Predictions) -> Comparison:
    """Distances and trust; everything else follows from them."""
    known = people.seen & predictions.known
    size = people.sizes[:, None]

    def apart(points: np.ndarray, others: np.ndarray) -> np.ndarray:
        gap: np.ndarray = np.linalg.norm(points - others, axis=-1)
        return gap / size

    distance = apart(people.points, predictions.points)
    turned = np.full(distance.shape, np.nan)
    a, b = people.pairs.T
    turned[:, a] = apart(people.points[:, a], predictions.points[:, b])
    turned[:, b] = apart(people.points[:, b], predictions.points[:, a])
    elsewhere = np.full(distance.shape, np.inf)
    first, second = people.neighbours()
    if len(first):
        gaps = np.linalg.norm(people.points[first] - predictions.points[second], axis=-1)
        np.minimum.at(elsewhere, first, np.nan_to_num(gaps / size[first], nan=np.inf))
    trust = measure_trust(np.nan_to_num(distance), turned, predictions.scores, known)
    alike = np.exp(-(np.nan_to_num(distance) ** 2) / (2 * (2 * people.sigmas) ** 2))
    return Comparison(known, distance, turned, elsewhere, trust, alike)


def label_findings(
    people: People, found: Comparison, shapes: Shapes, *, prior: float, least: float
) -> Iterator[Finding]:
    """Exchanged, moved and strangers' keypoints.

    Args:
        people: the labels.
        found: beside predictions.
        shapes: of the bodies; what they say goes before what the model says.
        prior: share of labels that are wrong, before anything is known.
        least: findings that are less sure are left out.
    """
    before = np.where(shapes.compared, shapes.exchanged, prior * SHARES["pair swapped"])
    turned = prior * SHARES["swapped"] * shapes.turned
    whole, pairs = _exchanges(people, found, before, turned / (turned + 1 - prior))
    explained = _per_keypoint(people.pairs, pairs, found.distance.shape)
    explained = np.maximum(explained, whole[:, None])
    moved, strange = _single(found, np.maximum(shapes.moved(people), prior))
    for person in np.flatnonzero(whole >= least):
        yield _swap(people, found, int(person), people.pairs, float(whole[person]), "swapped")
    for person in np.flatnonzero((pairs >= least).any(axis=1)):
        chosen = people.pairs[surest(pairs[person], least)]
        sure = float(pairs[person].max())
        yield _swap(people, found, int(person), chosen, sure, "pair swapped")
    for kind, values in (("shifted", moved), ("other person's", strange)):
        rest = np.where(explained > values, 0, values)
        for person in np.flatnonzero((rest >= least).any(axis=1)):
            yield _moved(people, found, int(person), rest[person], least, kind)


def _right(found: Comparison, distance: np.ndarray) -> np.ndarray:
    """(N, K) density of labels at distances, if they are right."""
    right = found.trust.right
    density = right * found.trust.density(distance) + (1 - right) * ANYWHERE
    return np.maximum(density, _TINY)


def _exchanges(
    people: People, found: Comparison, before: np.ndarray, before_all: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) probability that all sides are exchanged, and (N, P) that one pair is.

    `before` (N, P) and `before_all` (N,) are what was known of pairs and of the whole body without
    the model. Of the two only the one that explains more is kept for each person.
    """
    both = found.known[:, people.pairs].all(axis=-1)
    if not both.size:
        return np.zeros(len(people)), np.zeros((len(people), 0))
    straight, turned = (
        np.where(both, np.log(_right(found, values))[:, people.pairs].sum(-1), 0)
        for values in (found.distance, found.turned)
    )
    right = np.where(both, found.trust.right[:, people.pairs].mean(-1), 0)
    by_pair = _posterior(straight, turned, _MODEL_PAIR_SWAPS * (1 - right), before)
    mean_right = right.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    gain = turned - straight
    whole = _posterior(
        straight.sum(axis=1),
        turned.sum(axis=1),
        _MODEL_SWAPS * (1 - mean_right),
        before_all,
    )
    several = (both.sum(axis=1) >= LEAST_PAIRS) & (gain.sum(axis=1) > gain.max(axis=1))
    single = both & (gain > 0) & ~several[:, None]
    return np.where(several, whole, 0), np.where(single, by_pair, 0)


def _posterior(
    straight: np.ndarray, turned: np.ndarray, mistaken: np.ndarray, prior: np.ndarray | float
) -> np.ndarray:
    """Probability of an exchange, from log likelihoods of labels as they are and exchanged.

    The model itself exchanges sides with the probability `mistaken`; then its poses fit the wrong
    way round.
    """
    keep, flip = np.log1p(-mistaken), np.log(np.maximum(mistaken, _TINY))
    as_it_is = np.logaddexp(keep + straight, flip + turned)
    exchanged = np.logaddexp(keep + turned, flip + straight)
    before = np.clip(prior, _TINY, 1 - _LEAST_DOUBT)
    odds = exchanged - as_it_is + np.log(before) - np.log1p(-before)
    return 1 / (1 + np.exp(-np.clip(odds, -60, 60)))


def _single(found: Comparison, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) probabilities that a label lies anywhere, and on another person.

    `before` (N, K) is the probability that it is wrong, as known without the model.
    """
    right = _right(found, found.distance)
    moved = before * SHARES["shifted"] * ANYWHERE
    near = np.where(np.isfinite(found.elsewhere), found.elsewhere, 1e6)
    strange = before * SHARES["other person's"] * found.trust.density(near)
    total = (1 - before) * right + moved + strange
    return (
        np.where(found.known, moved / total, 0),
        np.where(found.known, strange / total, 0),
    )


def _per_keypoint(pairs: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N, K) values of pairs at both of their keypoints, 0 elsewhere."""
    result = np.zeros(shape)
    result[:, pairs[:, 0]] = result[:, pairs[:, 1]] = values
    return result


def _swap(
    people: People, found: Comparison, person: int, pairs: np.ndarray, sure: float, kind: str
) -> Finding:
    known = found.known[person]
    chosen = np.array([k for pair in pairs if known[pair].all() for k in pair], np.int64)
    before = float(found.oks[person])
    turned = np.exp(-(found.turned[person, chosen] ** 2) / (2 * (2 * people.sigmas[chosen]) ** 2))
    change = (turned - found.alike[person, chosen]).sum() / max(known.sum(), 1)
    after = before + float(change)
    about = f"OKS with the model's pose is {before:.2f}, with these sides exchanged {after:.2f}"
    return people.finding(person, kind, sure, chosen, about, oks_before=before, oks_after=after)


def _moved(
    people: People, found: Comparison, person: int, sure: np.ndarray, least: float, kind: str
) -> Finding:
    chosen = surest(sure, least)
    chosen = chosen[np.argsort(-sure[chosen])]
    before = float(found.oks[person])
    change = (1 - found.alike[person, chosen]).sum() / max(found.known[person].sum(), 1)
    worst = chosen[0]
    about = (
        f"{people.names[worst]} lies {found.distance[person, worst]:.2f} of the person's "
        f"size from the model's, right ones {found.trust.spread[worst]:.2f}; of such keypoints of "
        f"the model {found.trust.right[person, worst]:.0%} agree with the label"
    )
    after = before + float(change)
    return people.finding(
        person, kind, sure[worst], chosen, about, oks_before=before, oks_after=after
    )
