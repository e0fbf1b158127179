"""People of several frames side by side, and short gaps in the ways of their joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise._arrays import Array

__all__ = ["fill_gaps", "gather"]


def fill_gaps(
    times: Array, values: Array, known: Array, at: int, *, max_gap: int, hold: bool
) -> tuple[Array, Array]:
    """Values of one frame, with those that are missing taken from the frames around.

    Args:
        times: (T,) seconds.
        values: (T, ..., D).
        known: (T, ...) bool.
        at: index of the frame.
        max_gap: frames; longer gaps stay.
        hold: keep the last value where nothing follows.

    Returns:
        values (..., D) of the frame, NaN where nothing could be filled; and (...) bool, where
        something was.
    """
    T = len(times)
    places = np.arange(T).reshape(T, *[1] * (known.ndim - 1))
    last = np.where(known & (places <= at), places, -1).max(0)
    following = np.where(known & (places >= at), places, T).min(0)
    missing = ~known[at]
    short = following - last - 1 <= max_gap
    between = missing & (last >= 0) & (following < T) & short
    held = missing & (last >= 0) & (following == T) & (at - last <= max_gap) & hold
    before = _taken(values, np.maximum(last, 0))
    after = _taken(values, np.minimum(following, T - 1))
    span = times[np.minimum(following, T - 1)] - times[np.maximum(last, 0)]
    part = np.where(between, (times[at] - times[np.maximum(last, 0)]) / np.maximum(span, 1e-9), 0)
    line = before + part[..., None] * (after - before)
    filled = between | held
    out = np.where(between[..., None], line, np.where(held[..., None], before, values[at]))
    return np.where((missing & ~filled)[..., None], np.nan, out), filled


def _taken(values: Array, places: Array) -> Array:
    """values[places[i], i] for every i."""
    return np.take_along_axis(values, places[None, ..., None], 0)[0]


def gather(frames: Sequence[tuple[Array, Array]], ids: Array) -> Array:
    """Values of some people in several frames.

    Args:
        frames: of each frame ids (n,) and values (n, ...).
        ids: (N,) of the people wanted.

    Returns:
        (T, N, ...) float64; NaN where somebody is not in the frame.
    """
    known, values = (np.concatenate(column) for column in zip(*frames, strict=True))
    out = np.full((len(frames), len(ids), *values.shape[1:]), np.nan)
    person, row = np.nonzero(ids[:, None] == known)
    frame = np.repeat(np.arange(len(frames)), [len(own) for own, _ in frames])
    out[frame[row], person] = values[row]
    return out
