"""A first guess of where cameras stand: two by their essential matrix, others along a tree of such.

Several people: every track of one camera may be every track of another. Each such pair is a
hypothesis that gives a relation of the cameras; of all others it says who goes with whom, and the
hypothesis that explains most keypoints of all people is kept.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.epipolar import Relation, relation, sampson
from poise.inference.multiview.people.adjusting import Settings
from poise.inference.multiview.people.body import ADULT_HEIGHT, Body
from poise.inference.multiview.people.judging import no_pair, not_joined
from poise.inference.multiview.tracks import Track, common, extent_of
from poise.inference.multiview.views import View

__all__ = ["NOISE", "Pair", "Scene", "all_pairs", "at", "join_all"]

#: Part of people's extent in pictures that counts as noise.
NOISE = 0.02
#: Correspondences that a pair of cameras needs, and the part of them that must agree.
_LEAST_POINTS, _LEAST_INLIERS = 100, 0.5
#: Part of a track's frames that may go with another track already.
_BUSY = 0.2


@dataclasses.dataclass(frozen=True)
class Scene:
    """What goes in.

    Attributes:
        views: V of them (`plain_view`).
        tracks: of each.
        offsets: of each, frames.
        body: their keypoints.
        settings: what is known of focal lengths.
        person: "all" or how one is chosen.
    """

    views: list[View]
    tracks: list[list[Track]]
    offsets: list[int]
    body: Body
    settings: Settings
    person: str

    @property
    def names(self) -> list[str]:
        """Of the cameras."""
        return [view.camera.name for view in self.views]

    def noise(self, *numbers: int) -> float:
        """Pixels of noise in some views."""
        return NOISE * float(np.mean([extent_of(self.tracks[v]) for v in numbers]))


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two cameras that see the same people.

    Attributes:
        relation: from the first to the second.
        matches: track of the first, track of the second.
        count: keypoints that agree.
        part: of those that could; without matches, of the two tracks that come nearest to one.
    """

    relation: Relation
    matches: list[tuple[int, int]]
    count: int
    part: float

    @property
    def worth(self) -> float:
        """Many points, and rays that cross at a large angle."""
        return self.count * float(np.sin(min(self.relation.angle, np.pi / 2)))


def _relate(scene: Scene, which: tuple[int, int], focals: Array) -> Pair | None:
    """How two cameras stand, and who is who; None where they have too little in common.

    Args:
        scene: what they see.
        which: of the cameras.
        focals: (V,) pixels.
    """
    a, b = (scene.tracks[v] for v in which)
    lag = scene.offsets[which[1]] - scene.offsets[which[0]]
    first, second = focals[list(which)]
    near = scene.noise(*which) / np.sqrt(first * second)
    both = {}
    for i, j in itertools.product(range(len(a)), range(len(b))):
        frames, p, q = common(a[i], b[j], lag)
        p, q = p / first, q / second
        there = np.asarray(np.isfinite(p).all(-1) & np.isfinite(q).all(-1))
        if there.sum() >= _LEAST_POINTS:
            both[i, j] = frames, p, q, there
    best: Pair | None = None
    for _, p, q, there in both.values():
        found = relation(p[there], q[there], near)
        if found is None:
            continue
        matches, count, part = _explained(both, found.essential, near)
        pair = Pair(found, matches, count, part if matches else found.part)
        if best is None or (pair.count, pair.part) > (best.count, best.part):
            best = pair
    if best is None or len(best.matches) < 2:
        return best
    joined = [both[match] for match in best.matches]
    p, q = (np.concatenate([row[n][row[3]] for row in joined]) for n in (1, 2))
    found = relation(p, q, near)
    return best if found is None else dataclasses.replace(best, relation=found)


def _explained(
    both: dict[tuple[int, int], tuple[Array, Array, Array, Array]], essential: Array, limit: float
) -> tuple[list[tuple[int, int]], int, float]:
    """Pairs of tracks that go together, keypoints that agree, and their part of all."""
    scored = []
    for match, (frames, p, q, there) in both.items():
        near = (sampson(essential, p, q) < limit) & there
        scored.append((int(near.sum()), int(there.sum()), match, frames))
    taken: tuple[dict[int, Array], dict[int, Array]] = ({}, {})
    matches, count, total = [], 0, 0
    for agree, able, match, frames in sorted(scored, key=lambda row: -row[0]):
        before = [side.get(n, np.zeros(0, int)) for side, n in zip(taken, match, strict=True)]
        busy = np.isin(frames, before[0]) | np.isin(frames, before[1])
        # a track that was cut goes with several, at different times
        if agree < _LEAST_INLIERS * able or busy.mean() > _BUSY:
            continue
        matches.append(match)
        for side, n, own in zip(taken, match, before, strict=True):
            side[n] = np.append(own, frames)
        count, total = count + agree, total + able
    return matches, count, count / max(total, 1)


def all_pairs(scene: Scene) -> dict[tuple[int, int], Pair]:
    """The cameras that see the same people.

    Raises:
        DataError: there are none.
    """
    focals = np.exp(scene.settings.guess)
    every = itertools.combinations(range(len(scene.views)), 2)
    found = {which: pair for which in every if (pair := _relate(scene, which, focals)) is not None}
    pairs = {which: pair for which, pair in found.items() if pair.matches}
    if not pairs:
        part = max((pair.part for pair in found.values()), default=0.0)
        raise no_pair(scene.names, scene.tracks, scene.offsets, part)
    return pairs


def at(camera: Camera, focal: float) -> Camera:
    """The camera with a focal length, pixels."""
    return dataclasses.replace(camera, matrix=np.diag([focal, focal, 1.0]))


def join_all(scene: Scene, pairs: Mapping[tuple[int, int], Pair]) -> list[Camera]:
    """All cameras in the world of the first, along the pairs of most worth (Prim's tree).

    Raises:
        DataError: one sees nobody whom another sees.
    """
    focals = np.exp(scene.settings.guess)
    known = {0: at(scene.views[0].camera, focals[0])}
    while len(known) < len(focals):
        edges = [which for which in pairs if (which[0] in known) != (which[1] in known)]
        if not edges:
            raise not_joined(scene.names, list(known))
        a, b = which = max(edges, key=lambda which: pairs[which].worth)
        other = _second(scene, which, pairs[which], focals)
        turn, shift, here, there = other.rotation, other.translation, a, b
        if b in known:
            turn, shift, here, there = turn.T, -turn.T @ shift, b, a
        known[there] = dataclasses.replace(
            at(scene.views[there].camera, focals[there]),
            rotation=turn @ known[here].rotation,
            translation=turn @ known[here].translation + shift,
        )
    return [known[v] for v in range(len(focals))]


def _second(scene: Scene, which: tuple[int, int], pair: Pair, focals: Array) -> Camera:
    """The second of two cameras before the first, in about metres: people have one height.

    Raises:
        DataError: nobody's height is seen.
    """
    a, b = which
    first, second = (at(scene.views[v].camera, focals[v]) for v in which)
    turn, shift = pair.relation.turn, pair.relation.shift
    second = dataclasses.replace(second, rotation=turn, translation=shift)
    lag = scene.offsets[b] - scene.offsets[a]
    both = [common(scene.tracks[a][i], scene.tracks[b][j], lag) for i, j in pair.matches]
    pixels = np.stack([np.concatenate([row[n] for row in both]) for n in (1, 2)])
    found = triangulate_points(pixels, [first, second], max_error=3 * scene.noise(a, b))
    height = scene.body.height(found.points)
    if not height > 0:
        raise DataError(
            f"no moment has somebody's shanks, thighs or trunk placed by {scene.names[a]} and "
            f"{scene.names[b]}; do they see the same person, from the feet to the shoulders?"
        )
    return dataclasses.replace(second, translation=shift * ADULT_HEIGHT / height)
