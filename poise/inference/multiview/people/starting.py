"""A first guess of where cameras stand: two by their essential matrix, others by what those place.

Several people: every track of one camera may be every track of another. Each such pair is a
hypothesis that gives a relation of the cameras; of all others it says who goes with whom, and the
hypothesis that explains most keypoints of all people is kept.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.people.adjusting import Settings
from poise.inference.multiview.people.body import Body
from poise.inference.multiview.people.epipolar import Relation, relation, sampson
from poise.inference.multiview.people.judging import no_pair, not_joined
from poise.inference.multiview.people.tracks import Track, common, extent_of
from poise.inference.multiview.views import View

__all__ = ["Pair", "Placed", "Scene", "all_pairs", "join_all", "relate", "start_pair"]

#: Part of people's extent in pictures that counts as noise.
NOISE = 0.02
#: Correspondences that a pair of cameras needs, and the part of them that must agree.
_LEAST_POINTS, _LEAST_INLIERS = 100, 0.5
#: Part of a track's frames that may go with another track already.
_BUSY = 0.2
#: Keypoints that a camera is placed by at most.
_MOST_POINTS = 1600


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


@dataclasses.dataclass(frozen=True)
class Placed:
    """People in space.

    Attributes:
        frames: (R,) of the clock.
        people: (R,) number of a person.
        points: (R, K, 3); NaN where unknown.
    """

    frames: Array
    people: Array
    points: Array


def relate(scene: Scene, which: tuple[int, int], focals: Array) -> Pair | None:
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
    found = {which: pair for which in every if (pair := relate(scene, which, focals)) is not None}
    pairs = {which: pair for which, pair in found.items() if pair.matches}
    if not pairs:
        part = max((pair.part for pair in found.values()), default=0.0)
        raise no_pair(scene.names, scene.tracks, scene.offsets, part)
    return pairs


def start_pair(
    scene: Scene, which: tuple[int, int], pair: Pair, cameras: Sequence[Camera]
) -> tuple[Array, Placed]:
    """Pixels (2, R, K, 2) of the matched people, and where these are, before two cameras."""
    a, b = which
    lag = scene.offsets[b] - scene.offsets[a]
    both = [common(scene.tracks[a][i], scene.tracks[b][j], lag) for i, j in pair.matches]
    whole = np.stack([np.concatenate([row[n] for row in both]) for n in (1, 2)])
    people = np.repeat(np.arange(len(both)), [len(frames) for frames, _, _ in both])
    frames = np.concatenate([frames for frames, _, _ in both]) - scene.offsets[a]
    found = triangulate_points(whole, cameras, max_error=3 * scene.noise(a, b))
    return whole, Placed(frames, people, found.points)


def join_all(
    scene: Scene, cameras: Sequence[Camera], known: dict[int, Camera], placed: Placed
) -> None:
    """Place all cameras that are not known by the people that the known ones place.

    Raises:
        DataError: one sees nobody of them.
    """
    while len(known) < len(cameras):
        found = {
            v: joined
            for v in range(len(cameras))
            if v not in known and (joined := _joined(scene, v, cameras[v], placed)) is not None
        }
        if not found:
            raise not_joined(scene.names, list(known))
        best = max(found, key=lambda v: found[v][1])
        known[best] = found[best][0]


def _joined(scene: Scene, v: int, camera: Camera, placed: Placed) -> tuple[Camera, int] | None:
    """The camera where it sees placed people, and how many keypoints; None with too few."""
    limit = 2 * scene.noise(v)
    both = {}
    people = np.unique(placed.people).tolist()
    for person, (j, track) in itertools.product(people, enumerate(scene.tracks[v])):
        own = placed.people == person
        clock = track.frames - scene.offsets[v]
        _, i, k = np.intersect1d(placed.frames[own], clock, return_indices=True)
        points, pixels = placed.points[own][i], track.points[k]
        there = np.asarray(np.isfinite(points).all(-1) & np.isfinite(pixels).all(-1))
        if there.sum() >= _LEAST_POINTS:
            both[person, j] = points[there], pixels[there]
    best: tuple[Camera, int] | None = None
    for points, pixels in both.values():
        posed = _posed(camera, points, pixels, limit)
        if posed is None:
            continue
        agree = 0
        for other, seen in both.values():
            away = np.linalg.norm(posed.project(other) - seen, axis=-1)
            count = int((away < 1.5 * limit).sum())
            agree += count if count > _LEAST_INLIERS * len(other) else 0
        if agree and (best is None or agree > best[1]):
            best = posed, agree
    return best


def _posed(camera: Camera, points: Array, pixels: Array, limit: float) -> Camera | None:
    """The camera where it sees points (N, 3) at pixels (N, 2), by RANSAC (SQPnP, Terzakis 2020)."""
    import cv2

    pick = np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).round().astype(int)
    points, pixels = points[pick], pixels[pick]
    done, turn, shift, inliers = cv2.solvePnPRansac(
        points, pixels, camera.matrix, None, iterationsCount=500, reprojectionError=limit,
        confidence=0.9999, flags=cv2.SOLVEPNP_SQPNP,
    )  # fmt: skip
    if not done or inliers is None or len(inliers) < _LEAST_POINTS / 4:
        return None
    return dataclasses.replace(camera, rotation=np.ravel(turn), translation=np.ravel(shift))
