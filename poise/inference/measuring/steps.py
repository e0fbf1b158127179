"""Steps of somebody who walks or runs, by the ways of the ankles."""

from __future__ import annotations

import dataclasses

import numpy as np

from poise._arrays import Array

__all__ = ["Steps", "find_steps"]

#: Leg lengths by which an ankle must come forward and go back; seconds between contacts of a foot.
_LEAST_SWING, _LEAST_STRIDE = 0.25, 0.4
#: Seconds between two contacts beyond which somebody stood still.
_STANDING = 1.5


@dataclasses.dataclass(frozen=True)
class Steps:
    """When feet came down.

    Attributes:
        left, right: seconds of the contacts of each foot.
        lengths: metres from foot to foot at the contacts of left and right, as their means; NaN in
            pictures.
    """

    left: Array
    right: Array
    lengths: tuple[float, float] = (np.nan, np.nan)

    @property
    def cadence(self) -> float:
        """Steps a minute; NaN where there are fewer than three contacts in a row."""
        gaps = np.diff(np.sort(np.concatenate((self.left, self.right))))
        gaps = gaps[gaps < _STANDING]
        return float(60 / gaps.mean()) if len(gaps) > 1 else float("nan")

    @property
    def times(self) -> tuple[float, float]:
        """Mean seconds of a step of left and right: from the other foot's contact to its own."""
        return _step_time(self.right, self.left), _step_time(self.left, self.right)


def _step_time(before: Array, after: Array) -> float:
    if not len(before) or not len(after):
        return float("nan")
    place = np.searchsorted(before, after) - 1
    gaps = (after - before[place])[place >= 0]
    gaps = gaps[gaps < _STANDING]
    return float(gaps.mean()) if len(gaps) else float("nan")


def find_steps(ahead: Array, times: Array, *, leg: float = np.nan) -> Steps | None:
    """Contacts of feet, where each ankle is farthest ahead of the hips (Zeni et al. 2008).

    Args:
        ahead: (T, 2) of the left and right ankle ahead of the hips, in leg lengths; NaN where not
            known.
        times: (T,) seconds, rising.
        leg: metres, where they are known.

    Returns:
        None where there are fewer than three contacts.
    """
    from scipy.signal import find_peaks

    known = np.isfinite(ahead)
    if known.sum(0).min() < 3:
        return None
    rate = 1 / max(float(np.median(np.diff(times))), 1e-6)
    feet = []
    for way, there in zip(ahead.T, known.T, strict=True):
        whole = np.interp(times, times[there], way[there])
        peaks, _ = find_peaks(
            whole, prominence=_LEAST_SWING, distance=max(1, round(_LEAST_STRIDE * rate))
        )
        feet.append(peaks[there[peaks]])
    if sum(map(len, feet)) < 3:
        return None
    apart = (ahead[:, 0] - ahead[:, 1]) * leg
    lengths = tuple(
        float(np.nanmean(sign * apart[peaks])) if np.isfinite(apart[peaks]).any() else np.nan
        for sign, peaks in zip((1, -1), feet, strict=True)
    )
    return Steps(times[feet[0]], times[feet[1]], (lengths[0], lengths[1]))
