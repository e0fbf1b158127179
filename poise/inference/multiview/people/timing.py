"""Which frames of uncalibrated cameras belong together, from how well they see one person."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from poise.errors import DataError
from poise.inference.multiview.people.epipolar import misfits
from poise.inference.multiview.people.tracks import Track, extent_of

__all__ = ["offsets_of", "timing_note"]

#: Frames of the largest offset, when it is looked for and when it is only checked.
_REACH, _CHECKED_REACH = 150, 30
#: How much better another offset must be to be mentioned.
_BETTER = 0.8
#: Frames between the lags that are looked at first.
_STRIDE = 3
#: Tracks of a view that are compared: the longest.
_TRACKS = 3
#: Part of their size by which people who count move from their middle place.
_STILL = 0.05
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


def _lags_of(tracks: Sequence[Sequence[Track]]) -> dict[tuple[int, int], _Lag]:
    """The lag of each two views, by the two tracks that agree best."""
    found = {}
    for a, b in itertools.combinations(range(len(tracks)), 2):
        lags = [
            lag
            for i, j in itertools.product(tracks[a][:_TRACKS], tracks[b][:_TRACKS])
            if (lag := _lag_of(i, j, _REACH)) is not None
        ]
        clear = [lag for lag in lags if lag.clear] or lags
        if clear:
            found[a, b] = min(clear, key=lambda lag: lag.error)
    return found


def _lag_of(a: Track, b: Track, reach: int) -> _Lag | None:
    """Where two tracks agree best, within so many frames; None with too few in common."""
    if not (_moves(a) and _moves(b)):
        return None
    lags = np.arange(-reach, reach + 1)
    errors = np.full(len(lags), np.nan)
    errors[::_STRIDE] = misfits(a, b, lags[::_STRIDE])
    if not np.isfinite(errors).any():
        return None
    best = int(np.nanargmin(errors))
    near = np.arange(max(best - _STRIDE, 0), min(best + _STRIDE + 1, len(lags)))
    errors[near] = misfits(a, b, lags[near])
    best = int(np.nanargmin(errors))
    far = np.abs(lags - lags[best]) > _NEAR
    if not np.isfinite(errors[far]).any():
        return None
    now = float(misfits(a, b, np.zeros(1, int))[0])
    return _Lag(int(lags[best]), float(errors[best]), float(np.nanmin(errors[far])), now)


def _moves(track: Track) -> bool:
    """Whether somebody moves: who stands still looks the same at all lags."""
    points = track.points[:, np.isfinite(track.points).all(-1).any(0)]
    away = np.nanmedian(np.linalg.norm(points - np.nanmedian(points, axis=0), axis=-1))
    return bool(away > _STILL * extent_of([track]))


def offsets_of(
    names: Sequence[str], tracks: Sequence[Sequence[Track]]
) -> tuple[list[int], list[str]]:
    """Offsets of all views against the first, and what to say of them.

    The clearest lags first, as a tree, so that a view need not have anything in common with the
    first.

    Raises:
        DataError: a view whose offset is not clear.
    """
    lags = _lags_of(tracks)
    offsets, notes = {0: 0}, []
    while len(offsets) < len(tracks):
        edges = {
            pair: lag for pair, lag in lags.items() if (pair[0] in offsets) != (pair[1] in offsets)
        }
        if not edges:
            lost = ", ".join(n for v, n in enumerate(names) if v not in offsets)
            raise DataError(
                f"the offset of {lost} cannot be found: nobody is seen there and in another camera "
                "for long enough; say it with --offset CAMERA=FRAMES"
            )
        (a, b), lag = min(edges.items(), key=lambda item: item[1].error / item[1].other)
        if not lag.clear:
            raise DataError(
                f"the offset of {names[b]} against {names[a]} is not clear: they contradict one "
                f"another by {lag.error:.1f} px at {lag.frames:+d} frames and by {lag.other:.1f} "
                "px at another offset; is it the same person, who moves enough? Say it with "
                "--offset CAMERA=FRAMES"
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


def timing_note(names: tuple[str, str], a: Track, b: Track) -> list[str]:
    """Where another offset of two tracks of one person would fit better."""
    lag = _lag_of(a, b, _CHECKED_REACH)
    if lag is None or not lag.clear or not lag.frames or lag.error >= _BETTER * lag.now:
        return []
    text = (
        f"{names[1]} and {names[0]} would fit better {lag.frames:+d} frames apart "
        f"({lag.error:.1f} px instead of {lag.now:.1f}); if they did not begin together, run again "
        "with --sync"
    )
    return [text]
