"""Which frames to take: those that differ, those that are doubtful, or both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise.data_tools.picking.doubts import LOOK_SIDE, Candidate

__all__ = ["WAYS", "choose", "features"]

#: ways to choose
WAYS = ("doubt", "spread", "both")
#: numbers that a frame is told apart by, at most
_PARTS = 32
#: frames that these are measured on
_LOOKED_AT = 2000
#: rounds of the grouping; it has settled long before
_ROUNDS = 30
#: a cell of the small pictures that differs by more grey levels shows that something moved
_LEVELS = 6
#: frames of a video are apart by so much of what even steps would be, if there are others
_APART = 0.25
#: keypoints that are farther apart, in parts of the size, show it, too
_MOVED = 0.02


def features(candidates: Sequence[Candidate]) -> np.ndarray:
    """(F, P) what tells frames apart: the picture made small, and the pose of the surest person.

    Both are scaled to scatter alike, and reduced to their main parts.
    """
    looks = np.stack([c.look for c in candidates]).reshape(len(candidates), -1)
    parts = [looks.astype(np.float32)]
    if any(c.poses is not None for c in candidates):
        parts.append(_shapes(candidates).astype(np.float32))
    for values in parts:
        # in place: there may be many
        values -= values.mean(axis=0)
        values /= max(float(np.sqrt((values**2).sum(axis=1).mean())), 1e-9)
    some = np.concatenate([v[:: max(1, len(v) // _LOOKED_AT)] for v in parts], axis=1)
    # on the few numbers that differ most, groups are found faster and noise counts less
    _, _, axes = np.linalg.svd(some.astype(np.float64), full_matrices=False)
    ends = np.cumsum([values.shape[1] for values in parts])[:-1]
    mains = np.split(axes[:_PARTS].astype(np.float32), ends, axis=1)
    projected = [v @ main.T for v, main in zip(parts, mains, strict=True)]
    return np.asarray(np.sum(projected, axis=0, dtype=np.float64))


def _shapes(candidates: Sequence[Candidate]) -> np.ndarray:
    """(F, 2 K) keypoints in the picture's square; the usual ones where nobody is found."""
    found = [_surest(c) for c in candidates]
    known = [shape for shape in found if shape is not None]
    usual = np.median(known, axis=0) if known else np.zeros(1)
    return np.stack([usual if shape is None else shape for shape in found])


def _surest(candidate: Candidate) -> np.ndarray | None:
    """(2 K,) the surest person's keypoints around the middle, in parts of the size."""
    poses = candidate.poses
    if poses is None or not len(poses.keypoints):
        return None
    person = int(poses.sure.mean(axis=1).argmax())
    points = poses.keypoints[person]
    return ((points - points.mean(axis=0)) / poses.sizes[person]).ravel()


class _Taken:
    """Frames that need no second one that looks like them.

    Two frames show the same where the small pictures and all poses do: one label does for both.
    """

    def __init__(self, frames: Sequence[Candidate]) -> None:
        self._frames = list(frames)
        # with room for more, so that not all is copied for each
        self._looks = np.zeros((2 * len(frames) + 1, LOOK_SIDE, LOOK_SIDE, 3), np.int16)
        for n, frame in enumerate(frames):
            self._looks[n] = frame.look

    def has(self, candidate: Candidate) -> bool:
        """Whether one of them shows nearly the same."""
        looks = self._looks[: len(self._frames)]
        away = np.abs(looks - candidate.look).max(axis=(1, 2, 3), initial=0)
        alike = np.flatnonzero(away <= _LEVELS).tolist()
        return any(_same_poses(candidate, self._frames[n]) for n in alike)

    def add(self, candidate: Candidate) -> None:
        """Take in one more."""
        if len(self._frames) == len(self._looks):
            self._looks = np.concatenate([self._looks, np.zeros_like(self._looks)])
        self._looks[len(self._frames)] = candidate.look
        self._frames.append(candidate)


def _same_poses(one: Candidate, other: Candidate) -> bool:
    """Whether poses are nearly the same, as far as both are known."""
    if one.poses is None or other.poses is None:
        return True
    if len(one.poses.keypoints) != len(other.poses.keypoints):
        return False
    gaps = np.linalg.norm(one.poses.keypoints - other.poses.keypoints, axis=-1)
    return bool((gaps.mean(axis=-1) < _MOVED * one.poses.sizes).all())


def choose(
    candidates: Sequence[Candidate],
    doubt: np.ndarray,
    num: int,
    way: str,
    *,
    covered: Sequence[Candidate] = (),
    seed: int = 0,
) -> list[int]:
    """Places of the chosen frames.

    Frames are put into as many groups of like ones as are wanted. "spread" takes the one in the
    middle of each group, "both" the most doubtful one, "doubt" the most doubtful of all, whatever
    their group. None is taken that looks like another one that is taken or covered, and none that
    is next to one in its video while there are others.

    Args:
        candidates: frames. doubt: (F,) of each.
        num: how many are wanted.
        way: one of `WAYS`.
        covered: frames that have labels already; their groups need no more.
        seed: of the first middles of groups.

    Returns:
        at most `num` places; fewer where no more are different.
    """
    if way == "doubt":
        order = np.argsort(-doubt, kind="stable")
    else:
        points = features([*candidates, *covered])
        mine, fixed = points[: len(candidates)], points[len(candidates) :]
        group, distance = _grouped(mine, fixed, num, seed)
        worth = doubt if way == "both" else -distance
        order = _by_group(group, worth, distance)
    chosen: list[int] = []
    taken = _Taken(covered)
    apart = len(candidates) / num * _APART
    places = [candidate.place for candidate in candidates]
    # frames that are near in time too, only where no others are left
    for least in (apart, 0.0):
        for n in order.tolist():
            if len(chosen) == num:
                return chosen
            near = any(abs(n - m) < least and places[m] is places[n] for m in chosen)
            if n not in chosen and not near and not taken.has(candidates[n]):
                chosen.append(n)
                taken.add(candidates[n])
    return chosen


def _by_group(group: np.ndarray, worth: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Places in turns: the worthiest of each group, then the second of each ...

    Groups of frames that have labels (-1) come last.
    """
    order = np.lexsort((distance, -worth, group))
    sorted_groups = group[order]
    first = np.searchsorted(sorted_groups, sorted_groups)
    turn = np.arange(len(order)) - first
    late = sorted_groups < 0
    return order[np.lexsort((-worth[order], turn, late))]


def _grouped(
    points: np.ndarray, fixed: np.ndarray, num: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Groups of points by k-means, some of whose middles are given.

    Args:
        points: (F, P). fixed: (M, P) middles that do not move.

    Returns:
        (F,) group of each, -1 for those of a fixed middle, and (F,) distance from the middle.
    """
    random = np.random.default_rng(seed)
    nearest = _nearest(points, fixed)[1] if len(fixed) else np.full(len(points), np.inf)
    middles: list[np.ndarray] = []
    for _ in range(min(num, len(points))):
        # the farther from all middles, the likelier the next one (Arthur and Vassilvitskii 2007)
        weights = np.where(np.isfinite(nearest), nearest**2, 1.0)
        total = weights.sum()
        if total <= 0:
            break
        middles.append(points[random.choice(len(points), p=weights / total)])
        nearest = np.minimum(nearest, np.linalg.norm(points - middles[-1], axis=1))
    moving = np.array(middles).reshape(-1, points.shape[1])
    group = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        before = group
        group, distance = _nearest(points, np.concatenate([moving, fixed]))
        if np.array_equal(group, before):
            break
        for k in range(len(moving)):
            if (group == k).any():
                moving[k] = points[group == k].mean(axis=0)
    return np.where(group < len(moving), group, -1), distance


def _nearest(points: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,) number of the nearest middle, and (F,) the distance."""
    square = (
        (points**2).sum(axis=1)[:, None] - 2 * points @ middles.T + (middles**2).sum(axis=1)[None]
    )
    group = square.argmin(axis=1)
    found = np.maximum(np.take_along_axis(square, group[:, None], axis=1)[:, 0], 0)
    return group, np.sqrt(found)
