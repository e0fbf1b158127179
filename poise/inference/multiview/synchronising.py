"""By how many frames cameras began earlier or later, from how well their rays meet.

Pose2Sim (Pagnon et al. 2021) correlates the vertical speeds of keypoints, which repeats with every
step of somebody who walks, and means little for cameras that look down. The cameras are calibrated
here, so the rays themselves tell: at the right offset those of one keypoint meet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import Camera, triangulate_points
from poise.inference.multiview.views import View, leading

__all__ = ["Offset", "estimate_offsets"]

#: Frames that must overlap, and the part of the shorter clip.
_LEAST_OVERLAP, _LEAST_PART = 20, 0.25
#: Frames by which an offset is judged.
_JUDGED_FRAMES = 120
#: Offsets so near to the best one count as the same answer.
_NEAR = 4
#: The best offset's error must be below this part of what any other, farther offset has.
_CLEAR = 0.8
#: Keypoints with a lower score are not looked at.
_LEAST_SCORE = 0.3


@dataclasses.dataclass(frozen=True)
class Offset:
    """How a view's frames are numbered.

    Attributes:
        frames: its frame t + `frames` shows what frame t of the first view shows.
        error: median pixels by which the rays of both views miss each other at that offset.
        other: the same of the best offset farther away.
    """

    frames: int
    error: float
    other: float


def estimate_offsets(views: Sequence[View], *, reach: int = 150) -> list[Offset]:
    """Offsets of all views against the first, by the most confident person in each.

    Args:
        views: the cameras' frames.
        reach: largest offset, frames.

    Raises:
        DataError: too few frames, or too little movement to tell.
    """
    tracks = [_track(view) for view in views]
    out = [Offset(0, 0.0, 0.0)]
    for view, track in zip(views[1:], tracks[1:], strict=True):
        lags = np.arange(-reach, reach + 1)
        errors = np.array([_error(tracks[0], track, lag) for lag in lags.tolist()])
        known = np.isfinite(errors)
        if not known.any():
            raise DataError(
                f"{view.name} and {views[0].name} have too few frames with somebody in them for "
                f"finding an offset (at least {_LEAST_OVERLAP} must overlap); say it with "
                "offsets={...} (--offset CAMERA=FRAMES)"
            )
        best = int(np.where(known, errors, np.inf).argmin())
        far = known & (np.abs(lags - lags[best]) > _NEAR)
        other = float(errors[far].min()) if far.any() else np.nan
        if errors[best] > _CLEAR * other:
            raise DataError(
                f"the offset of {view.name} against {views[0].name} is not clear: the rays miss "
                f"each other by {errors[best]:.1f} px at {lags[best]:+d} frames and by {other:.1f} "
                "px at another offset; is there enough movement, and is it the same person? Say "
                "it with offsets={...} (--offset CAMERA=FRAMES)"
            )
        out.append(Offset(int(lags[best]), float(errors[best]), other))
    return out


@dataclasses.dataclass(frozen=True)
class _Track:
    """One person in one view.

    Attributes:
        camera: without its lens.
        first: number of the first frame.
        points: (T, K, 2) as that camera sees them; NaN where unsure.
    """

    camera: Camera
    first: int
    points: Array


def _track(view: View) -> _Track:
    """The most confident person."""
    chosen = leading(view, "confident")
    if not chosen:
        raise DataError(f"nobody is seen in {view.name}, so its offset cannot be found")
    first, last = min(chosen), max(chosen)
    points = np.full((last - first + 1, view.num_keypoints, 2), np.nan)
    for t, row in chosen.items():
        seen = view.frames[t]
        sure = (seen.scores[row] >= _LEAST_SCORE)[:, None]
        points[t - first] = np.where(sure, seen.keypoints[row], np.nan)
    camera = dataclasses.replace(view.camera, distortion=np.zeros(0), fisheye=False)
    matrix = camera.matrix
    flat = view.camera.undistort(points)
    return _Track(camera, first, flat @ matrix[:2, :2].T + matrix[:2, 2])


def _error(a: _Track, b: _Track, lag: int) -> float:
    """Median pixels between the rays of frames t and t + lag; NaN where few of them overlap."""
    low = max(a.first, b.first - lag)
    high = min(a.first + len(a.points), b.first + len(b.points) - lag)
    least = max(_LEAST_OVERLAP, _LEAST_PART * min(len(a.points), len(b.points)))
    if high - low < least:
        return np.nan
    frames = np.arange(low, high, max(1, (high - low) // _JUDGED_FRAMES))
    pixels = np.stack((a.points[frames - a.first], b.points[frames + lag - b.first]))
    found = triangulate_points(pixels, [a.camera, b.camera], steps=0)
    errors = found.errors[found.used]
    return float(np.median(errors)) if len(errors) else np.nan
