"""Which frames of several cameras belong together, from how well two of them see one person.

Pose2Sim (Pagnon et al. 2021) correlates the vertical speeds of keypoints, which repeats with every
step of somebody who walks, and means little for cameras that look down. Rays tell more: at the
right offset those of one keypoint meet. Where not even focal lengths are known, what counts is how
well any fundamental matrix explains both views.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.inference.multiview.epipolar import any_misfit, essential_of, sampson
from poise.inference.multiview.tracks import Track, common, extent_of, plain_view, tracks_of
from poise.inference.multiview.views import View

__all__ = ["find_offsets", "offsets_by_rays", "offsets_of", "timing_note"]

#: Pixels by which points (N, 2), (N, 2) of two tracks contradict one another.
Misfit: TypeAlias = Callable[[Array, Array], float]

#: Frames of the largest offset, when it is looked for and when it is only checked.
_REACH, _CHECKED_REACH = 150, 30
#: How much better another offset must be to be mentioned.
_BETTER = 0.8
#: Frames between the lags that are looked at first.
_STRIDE = 3
#: Tracks of a view that are compared: the longest.
_TRACKS = 3
#: Frames that must overlap, and the part of the shorter track; frames that are judged at most.
_LEAST_OVERLAP, _LEAST_PART, _JUDGED_FRAMES = 20, 0.3, 40
#: Keypoints that must be seen by both, over all judged frames.
_LEAST_POINTS = 80
#: Part of their size by which people who count move from their middle place, or their hands do:
#: the per cent of keypoints that may stay nearer.
_STILL, _MOVING = 0.05, 90
#: Lags so near to the best count as the same; the best must be below this part of all others.
_NEAR, _CLEAR = 5, 0.67


@dataclasses.dataclass(frozen=True)
class _Lag:
    """How two views go together.

    Attributes:
        frames: frame t of the first shows what frame t + `frames` of the second shows.
        error: pixels by which both contradict one another there.
        other: the same at the best lag farther away.
        now: the same at no lag at all.
    """

    frames: int
    error: float
    other: float
    now: float

    @property
    def clear(self) -> bool:
        """Whether no other lag comes near."""
        return self.error < _CLEAR * self.other


def find_offsets(
    names: Sequence[str], tracks: Sequence[Sequence[Track]]
) -> tuple[list[int], list[str]]:
    """Offsets of views of which nobody knows how they stand; as `offsets_of`."""
    every = itertools.combinations(range(len(tracks)), 2)
    return offsets_of(names, tracks, dict.fromkeys(every, any_misfit))


def offsets_by_rays(views: Sequence[View], person: str) -> tuple[list[int], list[str]]:
    """Offsets of calibrated views; as `offsets_of`."""
    plain = [plain_view(view, np.arange(view.num_keypoints)) for view in views]
    focals = [view.camera.matrix[0, 0] for view in plain]
    misfits: dict[tuple[int, int], Misfit] = {}
    for a, b in itertools.combinations(range(len(views)), 2):
        essential = essential_of(views[a].camera, views[b].camera)
        misfits[a, b] = functools.partial(_ray_misfit, essential, focals[a], focals[b])
    return offsets_of(
        [view.camera.name for view in views], [tracks_of(v, person) for v in plain], misfits
    )


def offsets_of(
    names: Sequence[str],
    tracks: Sequence[Sequence[Track]],
    misfits: Mapping[tuple[int, int], Misfit],
) -> tuple[list[int], list[str]]:
    """Offsets of all views against the first, and what to say of them.

    The clearest lags first, as a tree, so that a view need not have anything in common with the
    first.

    Args:
        names: of the cameras.
        tracks: of each.
        misfits: of each two of them.

    Raises:
        DataError: a view whose offset is not clear.
    """
    lags = _lags_of(tracks, misfits)
    offsets, notes = {0: 0}, []
    while len(offsets) < len(tracks):
        edges = {
            pair: lag for pair, lag in lags.items() if (pair[0] in offsets) != (pair[1] in offsets)
        }
        if not edges:
            lost = ", ".join(n for v, n in enumerate(names) if v not in offsets)
            raise DataError(
                f"the offset of {lost} cannot be found: nobody who moves is seen there and in "
                f"another camera for {_LEAST_OVERLAP} frames; say it with --offset CAMERA=FRAMES "
                "(offsets={...})"
            )
        (a, b), lag = min(edges.items(), key=lambda item: item[1].error / item[1].other)
        if not lag.clear:
            raise DataError(
                f"the offset of {names[b]} against {names[a]} is not clear: they contradict one "
                f"another by {lag.error:.1f} px at {lag.frames:+d} frames and by {lag.other:.1f} "
                "px at another offset; is it the same person, who moves enough? Say it with "
                "--offset CAMERA=FRAMES (offsets={...})"
            )
        here, there, sign = (a, b, 1) if a in offsets else (b, a, -1)
        offsets[there] = offsets[here] + sign * lag.frames
        notes.append(
            f"{names[there]}: {sign * lag.frames:+d} frames against {names[here]}, where they "
            f"contradict one another by {lag.error:.1f} px (elsewhere by {lag.other:.1f} at least)"
        )
    for (a, b), lag in lags.items():
        if lag.clear and abs(offsets[b] - offsets[a] - lag.frames) > _NEAR:
            raise DataError(
                f"offsets contradict one another: {names[b]} is {offsets[b] - offsets[a]:+d} "
                f"frames against {names[a]} by other cameras, {lag.frames:+d} by these two; film "
                "longer, with more movement, or say them with --offset CAMERA=FRAMES"
            )
    return [offsets[v] for v in range(len(tracks))], notes


def _ray_misfit(essential: Array, first: float, second: float, p: Array, q: Array) -> float:
    """`Misfit` of cameras of an essential matrix and two focal lengths."""
    away = np.median(sampson(essential, p / first, q / second))
    return float(away * np.sqrt(first * second))


def timing_note(names: tuple[str, str], a: Track, b: Track) -> list[str]:
    """Where another offset of two tracks of one person would fit better."""
    lag = _lag_of(a, b, _CHECKED_REACH, any_misfit)
    if lag is None or not lag.clear or not lag.frames or lag.error >= _BETTER * lag.now:
        return []
    text = (
        f"{names[1]} and {names[0]} would fit better {lag.frames:+d} frames apart "
        f"({lag.error:.1f} px instead of {lag.now:.1f}); if they did not begin together, run again "
        "with --sync"
    )
    return [text]


def _lags_of(
    tracks: Sequence[Sequence[Track]], misfits: Mapping[tuple[int, int], Misfit]
) -> dict[tuple[int, int], _Lag]:
    """The lag of each two views, by the two tracks that agree best."""
    found = {}
    for (a, b), misfit in misfits.items():
        lags = [
            lag
            for i, j in itertools.product(tracks[a][:_TRACKS], tracks[b][:_TRACKS])
            if (lag := _lag_of(i, j, _REACH, misfit)) is not None
        ]
        clear = [lag for lag in lags if lag.clear] or lags
        if clear:
            found[a, b] = min(clear, key=lambda lag: lag.error)
    return found


def _lag_of(a: Track, b: Track, reach: int, misfit: Misfit) -> _Lag | None:
    """Where two tracks agree best, within so many frames; None with too few in common."""
    if not (_moves(a) and _moves(b)):
        return None
    lags = np.arange(-reach, reach + 1)
    errors = np.full(len(lags), np.nan)

    def look(index: Array) -> None:
        errors[index] = [_error(a, b, lag, misfit) for lag in lags[index].tolist()]

    look(np.arange(0, len(lags), _STRIDE))
    if not np.isfinite(errors).any():
        return None
    best = int(np.nanargmin(errors))
    look(np.arange(max(best - _STRIDE, 0), min(best + _STRIDE + 1, len(lags))))
    best = int(np.nanargmin(errors))
    far = np.abs(lags - lags[best]) > _NEAR
    if not np.isfinite(errors[far]).any():
        return None
    now = _error(a, b, 0, misfit)
    return _Lag(int(lags[best]), float(errors[best]), float(np.nanmin(errors[far])), now)


def _error(a: Track, b: Track, lag: int, misfit: Misfit) -> float:
    """Pixels by which two tracks contradict one another; NaN with too little in common."""
    frames, p, q = common(a, b, lag)
    if len(frames) < max(_LEAST_OVERLAP, _LEAST_PART * min(len(a.frames), len(b.frames))):
        return np.nan
    pick = np.linspace(0, len(frames) - 1, min(len(frames), _JUDGED_FRAMES)).round().astype(int)
    p, q = p[pick].reshape(-1, 2), q[pick].reshape(-1, 2)
    there = np.isfinite(p).all(1) & np.isfinite(q).all(1)
    return misfit(p[there], q[there]) if there.sum() >= _LEAST_POINTS else np.nan


def _moves(track: Track) -> bool:
    """Whether somebody moves: who stands still looks the same at all lags."""
    points = track.points[:, np.isfinite(track.points).all(-1).any(0)]
    if not points.size:
        return False
    away = np.linalg.norm(points - np.nanmedian(points, axis=0), axis=-1)
    return bool(np.nanpercentile(away, _MOVING) > _STILL * extent_of([track]))
