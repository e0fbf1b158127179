"""People of several frames side by side, for stages that look at more than one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.inference.results.pose_result import PoseResult

__all__ = ["gather", "video_of"]


def video_of(result: PoseResult) -> str:
    """What results of one video have in common; still pictures in a row count as one."""
    return result.name if result.moves else ""


def gather(frames: Sequence[tuple[Array, Array]], ids: Array) -> Array:
    """Values of some people in several frames.

    Args:
        frames: of each frame ids (n,) and values (n, ...).
        ids: (N,) of the people wanted.

    Returns:
        (T, N, ...) float64; NaN where somebody is not in the frame.
    """
    out = np.full((len(frames), len(ids), *frames[0][1].shape[1:]), np.nan)
    for t, (known, values) in enumerate(frames):
        if len(known):
            order = np.argsort(known)
            place = np.clip(np.searchsorted(known, ids, sorter=order), 0, len(known) - 1)
            row = order[place]
            there = known[row] == ids
            out[t, there] = values[row[there]]
    return out
