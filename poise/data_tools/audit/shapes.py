"""Bodies against the other bodies of a data set: lengths of limbs, and which way round pairs lie.

Exchanging a pair turns the sign of what is won by exchanging it. So right labels show, mirrored,
how wrong ones look: the likelihood of an exchange is read off the data set itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poise.data_tools.audit.evidence import PRIOR, tail
from poise.data_tools.audit.people import People

__all__ = [
    "LEAST_PEOPLE",
    "OF_SHAPE",
    "Shapes",
    "measure_shapes",
    "mirrored_ratio",
    "odds",
    "usual",
]

#: so many people are needed to say what is usual
LEAST_PEOPLE = 20
#: and so many limbs, to say how large a person is
LEAST_LIMBS = 3
#: limbs that differ less than that by an exchange say nothing of it; parts of the person's size
LEAST_WON = 0.05
#: a pair that spans less area with the rest says nothing of its side; squares of the person's size
LEAST_TURN = 0.01
#: no limbs are known to keep their length better than that; log of the ratio
_LEAST_STRETCH = 0.08
#: of what is wrong, so much shows in lengths of limbs, or in sizes of boxes
OF_SHAPE = 0.3
#: share of a normal distribution below one spread, to read a spread off quantiles
_ONE_SPREAD = 0.8413
#: without a skeleton, each keypoint is linked with so many others
_LINKS_EACH = 2
#: people whose distances are looked at to find such links
_LOOKED_AT = 2000
_TINY = 1e-9


@dataclass(frozen=True)
class Shapes:
    """What the shapes of bodies say, before any model looks.

    Attributes:
        links: (L, 2) limbs: the skeleton's, or pairs of keypoints that keep their distance.
        exchanged: (N, P) probability that a pair is exchanged. compared: (N, P) bool, it could be
            judged; elsewhere the probability is the prior.
        won: (N, P) by how much limbs shorten if it is exchanged, in the person's size.
        turned: (N,) how many times likelier the sides of all pairs are if all are exchanged.
        long: (N, L) probability that a limb is too long. stretch: (N, L) how many times as long.
    """

    links: np.ndarray
    exchanged: np.ndarray
    compared: np.ndarray
    won: np.ndarray
    turned: np.ndarray
    long: np.ndarray
    stretch: np.ndarray

    def moved(self, people: People) -> np.ndarray:
        """(N, K) probability that a keypoint ends a limb that is too long."""
        result = np.zeros(people.seen.shape)
        for end in self.links.T:
            np.maximum.at(result.T, end, self.long.T)
        return result


def measure_shapes(people: People, prior: float = PRIOR) -> Shapes:
    """Shapes of all people against one another; nothing is said where there are too few.

    Args:
        people: the labels.
        prior: share of labels that are wrong, before anything is known.
    """
    shape = (len(people), len(people.pairs))
    enough = len(people) >= LEAST_PEOPLE
    links = people.links if len(people.links) or not enough else _steady_links(people)
    ratio, side = np.ones(shape), np.ones(shape)
    won, compared = np.zeros(shape), np.zeros(shape, bool)
    long, stretch = np.zeros((shape[0], len(links))), np.ones((shape[0], len(links)))
    if enough:
        # over pairs, not people
        for n, pair in enumerate(people.pairs):
            won[:, n], limbs = _won_by_exchange(people, links, pair)
            turn, turns = _turn(people, pair)
            limbs &= np.abs(won[:, n]) > LEAST_WON
            turns &= np.abs(turn) > LEAST_TURN
            side[turns, n] = mirrored_ratio(turn[turns])
            ratio[:, n] = side[:, n]
            ratio[limbs, n] *= mirrored_ratio(won[limbs, n])
            compared[:, n] = limbs | turns
        if len(links):
            long, stretch = _long_limbs(people, links, prior)
    exchanged = prior * ratio / (prior * ratio + 1 - prior)
    # sides of several pairs say the same thing, not several
    whole = np.median(np.where(compared, side, 1), axis=1) if shape[1] else np.ones(shape[0])
    return Shapes(links, exchanged, compared, won, whole, long, stretch)


def _steady_links(people: People) -> np.ndarray:
    """(L, 2) keypoints that keep their distance, where the schema has no skeleton."""
    chosen = slice(None, None, max(1, len(people) // _LOOKED_AT))
    points, seen = people.points[chosen], people.seen[chosen]
    both = seen[:, :, None] & seen[:, None, :]
    gap = np.linalg.norm(points[:, :, None] - points[:, None, :], axis=-1)
    logs = np.log(np.maximum(gap / people.sizes[chosen, None, None], _TINY))
    logs = np.where(both, logs, np.nan)
    known = both.sum(axis=0) >= LEAST_PEOPLE
    logs[:, ~known] = 0
    low, high = np.nanquantile(logs, (1 - _ONE_SPREAD, _ONE_SPREAD), axis=0)
    scatter = np.where(known, high - low, np.inf)
    np.fill_diagonal(scatter, np.inf)
    near = np.argsort(scatter, axis=1)[:, :_LINKS_EACH]
    found = {
        (min(a, b), max(a, b))
        for a, others in enumerate(near.tolist())
        for b in others
        if np.isfinite(scatter[a, b])
    }
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def usual(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and upper spread of each column (N, C), over what is known."""
    masked = np.where(known, values, np.nan)
    empty = ~known.any(axis=0)
    masked[:, empty] = 0
    middle = np.nanmedian(masked, axis=0)
    spread = np.nanquantile(masked, _ONE_SPREAD, axis=0) - middle
    return middle, np.maximum(spread, _TINY)


def odds(spreads: np.ndarray, prior: float) -> np.ndarray:
    """Probability of a fault: a value so far off is a fault, or of the tail of right ones."""
    mine = prior * OF_SHAPE
    return mine / (mine + (1 - mine) * tail(spreads))


def _limbs(people: People, links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, L) log of limb lengths against the person's other limbs and the usual body; and known."""
    a, b = links.T
    known = people.seen[:, a] & people.seen[:, b]
    length = np.linalg.norm(people.points[:, a] - people.points[:, b], axis=-1)
    logs = np.where(known & (length > 0), np.log(np.maximum(length, _TINY)), np.nan)
    known = np.isfinite(logs)
    # the size of a person is what most limbs say, so that one wrong limb does not change it
    size = np.log(people.sizes)[:, None]
    for _ in range(2):
        typical, _ = usual(logs - size, known)
        rest = np.where(known, logs - typical, np.nan)
        rest[~known.any(axis=1)] = 0
        size = np.nanmedian(rest, axis=1, keepdims=True)
    return np.where(known, logs - typical - size, 0), known


def _long_limbs(people: People, links: np.ndarray, prior: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, L) how surely limbs are too long, and how many times; short ones point at the camera."""
    ratio, known = _limbs(people, links)
    middle, spread = usual(ratio, known)
    several = known.sum(axis=1, keepdims=True) >= LEAST_LIMBS
    sure = np.where(
        known & several, odds((ratio - middle) / np.maximum(spread, _LEAST_STRETCH), prior), 0
    )
    return sure, np.exp(ratio)


def mirrored_ratio(values: np.ndarray) -> np.ndarray:
    """(M,) how many times likelier values are if they should have the other sign.

    Args:
        values: (M,) of right labels, but for a few.

    Example:
        >>> mirrored_ratio(np.array([-2.0] * 60 + [-1.0] * 39 + [1.0])).round(1)[[0, 99]].tolist()
        [0.0, 66.3]
    """
    if not len(values):
        return np.ones(0)
    ordered = np.sort(values)
    count = len(ordered)
    # what lies farther out than half of all is no weaker evidence for being rare
    middle = np.median(np.abs(values))
    values = np.clip(values, -middle, middle)

    def beyond(x: np.ndarray) -> np.ndarray:
        """How many lie as far out, on the same side."""
        above = count - np.searchsorted(ordered, x, side="left")
        below = np.searchsorted(ordered, x, side="right")
        return np.where(x > 0, above, below)

    return (beyond(-values) + 1 / 2) / (beyond(values) + 1 / 2)


def _won_by_exchange(
    people: People, links: np.ndarray, pair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) by how much limbs shorten if a pair is exchanged, in the person's size; and known."""
    a, b = pair
    total = np.zeros(len(people))
    known = people.seen[:, a] & people.seen[:, b]
    count = np.zeros(len(people))
    for end, other in ((a, b), (b, a)):
        touching = links[(links == end).any(axis=1)]
        ends = touching.sum(axis=1) - end
        ends = ends[(ends != other)]
        gap = people.points[:, ends]
        straight = np.linalg.norm(people.points[:, None, end] - gap, axis=-1)
        turned = np.linalg.norm(people.points[:, None, other] - gap, axis=-1)
        there = people.seen[:, ends] & known[:, None]
        total += np.where(there, straight - turned, 0).sum(axis=1)
        count += there.sum(axis=1)
    return total / people.sizes, known & (count >= 2)


def _turn(people: People, pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) which way round a pair lies, seen from the rest of the body; and known.

    The area that the pair spans with the way from its middle to the middle of all other keypoints,
    in squares of the person's size. People turn their faces or their backs to us, so both signs are
    usual; faces, and animals seen from above, have one.
    """
    a, b = pair
    rest = people.seen.copy()
    rest[:, pair] = False
    count = rest.sum(axis=1)
    center = np.where(rest[..., None], people.points, 0).sum(axis=1) / np.maximum(count, 1)[:, None]
    across = people.points[:, b] - people.points[:, a]
    along = center - (people.points[:, a] + people.points[:, b]) / 2
    area = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    known = people.seen[:, a] & people.seen[:, b] & (count >= 1)
    return area / people.sizes**2, known
