"""What is measured of a person of a video: angles, their rates and ranges, symmetry, steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.angles import angle_rates, body_axes
from poise.inference.lifting.poses import right_handed
from poise.inference.measuring.joints import JointAngles, joint_angles
from poise.inference.measuring.points import place_points
from poise.inference.measuring.steps import Steps, find_steps
from poise.schemas.angles import Angle

__all__ = ["Measuring", "Person", "measure_person"]

#: Degrees; the symmetry of smaller ranges is that of noise.
_LEAST_RANGE = 5.0
_LEGS = ["left_hip", "right_hip", "left_ankle", "right_ankle"]


@dataclasses.dataclass(frozen=True)
class Measuring:
    """What a caller may ask of measures.

    Attributes:
        side: which side of the people pictures show, as of `joint_angles`.
        min_score: keypoints with a lower score are not known.
        angles: of one's own.
        window: frames for angular velocities, odd and at least 3; None: there are none.
        flat: take the 2D keypoints also where there are 3D ones.

    Raises:
        DataError: another window, or a score outside of 0..1.
    """

    side: str = "auto"
    min_score: float = 0.3
    angles: Sequence[Angle] = ()
    window: int | None = None
    flat: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise DataError(
                f"min_score (--min-score) is a score, 0 to 1, below which keypoints do not count; "
                f"got {self.min_score:g}"
            )
        if self.window is not None and (self.window < 3 or self.window % 2 == 0):
            raise DataError(
                "the window for angular velocities is an odd number of frames, 3 or more, got "
                f"{self.window}"
            )


@dataclasses.dataclass(frozen=True)
class Person:
    """Measures of a person from the first frame with them to the last.

    Attributes:
        identity: track id.
        first: number of the first frame.
        times: (T,) seconds.
        present: (T,) bool, whether the person is in the frame.
        angles: values (T, A) degrees.
        rates: (T, A) degrees a second; None where nobody asked.
        steps: None where there are none, or no picture shows them.
    """

    identity: int
    first: int
    times: Array
    present: Array
    angles: JointAngles
    rates: Array | None
    steps: Steps | None

    @property
    def looks(self) -> str:
        """How the pictures show the person, in words."""
        if self.angles.view == "3D":
            return "in space"
        front = self.angles.front
        parts = [part for part in (~front, front) if part.any()]
        ways = [float((self.angles.ahead[part] > 0).mean()) for part in parts]
        behind = "from the back" if ways[-1] > 0.5 else "from the front"
        if front.all():
            return behind
        way = "right" if ways[0] > 0.5 else "left"
        looks = f"looks to the {way} in {max(ways[0], 1 - ways[0]):.0%} of"
        if not front.any():
            return f"from the side, {looks} frames"
        return f"from the side in {1 - front.mean():.0%} of frames, {looks} these; else {behind}"

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON; None where something is not known."""
        count = int(self.present.sum())
        able = self.angles.shown[:, 0][self.present].sum(0).tolist()
        ranges = {
            name: _range(values, frames)
            for name, values, frames in zip(
                self.angles.names, self.angles.values.T, able, strict=True
            )
        }
        out: dict[str, Any] = {
            "id": self.identity,
            "frames": count,
            "first_frame": self.first,
            "seconds": _plain(self.times[-1] - self.times[0]),
            "view": self.looks,
            "angles": ranges,
            "symmetry": _symmetry(ranges),
        }
        if self.rates is not None:
            fastest = np.ma.max(np.ma.masked_invalid(np.abs(self.rates)), axis=0).filled(np.nan)
            for name, value in zip(self.angles.names, fastest, strict=True):
                ranges[name]["fastest"] = _plain(value)
        if self.steps is not None:
            left, right = self.steps.times
            out["steps"] = {
                "left": [_plain(t) for t in self.steps.left],
                "right": [_plain(t) for t in self.steps.right],
                "cadence": _plain(self.steps.cadence),
                "left_step_time": _plain(left, 3),
                "right_step_time": _plain(right, 3),
                "left_step_length": _plain(self.steps.lengths[0], 3),
                "right_step_length": _plain(self.steps.lengths[1], 3),
            }
        return out


def measure_person(
    points: Array,
    scores: Array,
    names: Sequence[str],
    times: Array,
    *,
    settings: Measuring,
    identity: int = 0,
    first: int = 0,
    present: Array | None = None,
    space: str | None = None,
) -> Person:
    """Measure one track.

    Args:
        points: (T, K, D) pixels or in `space`; NaN in frames without the person.
        scores: (T, K).
        names: of the K keypoints.
        times: (T,) seconds, rising.
        settings: what is asked for.
        identity: track id.
        first: number of the first frame.
        present: (T,) bool, frames with the person; None: all.
        space: of 3D keypoints, in words.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    angles = joint_angles(
        points,
        names,
        scores=scores,
        min_score=settings.min_score,
        side=settings.side,
        space=space,
        angles=settings.angles,
        fps=1 / step if step > 0 else 25.0,
    )
    rates = None
    if settings.window is not None:
        rates = angle_rates(angles.values, times, window=settings.window)
    sure = np.where((scores >= settings.min_score)[..., None], points, np.nan)
    steps = _steps(sure.astype(np.float64), names, times, angles, space)
    present = np.full(len(times), True) if present is None else present
    return Person(identity, first, times, present, angles, rates, steps)


def _steps(
    points: Array, names: Sequence[str], times: Array, angles: JointAngles, space: str | None
) -> Steps | None:
    """Steps by the ankles, where people are not seen from the front, as who walks towards us."""
    points = np.where(angles.front[..., None], np.nan, points)
    placed = right_handed(place_points(points[:, None], names, _LEGS)[:, 0], space)
    hips, ankles = placed[:, :2], placed[:, 2:]
    lengths = np.linalg.norm(hips - ankles, axis=-1)
    if not np.isfinite(lengths).any():
        return None
    leg = float(np.nanmedian(lengths))
    ways = ankles - hips.mean(1, keepdims=True)
    if points.shape[-1] == 2:
        return find_steps(ways[..., 0] * angles.ahead / leg, times)
    up = np.broadcast_to([0.0, 0, 1], hips[:, 0].shape)
    forward = body_axes(hips[:, 1] - hips[:, 0], up, keep="up")[:, 0]
    return find_steps(np.einsum("tfd,td->tf", ways, forward) / leg, times, leg=leg)


def _range(values: Array, count: int) -> dict[str, Any]:
    """Least, greatest, their difference and mean of what is known; frames in which nothing is."""
    known = values[np.isfinite(values)]
    unsure = {"unsure_frames": count - len(known)}
    if not len(known):
        return {"min": None, "max": None, "range": None, "mean": None, **unsure}
    low, high = known.min(), known.max()
    figures = {"min": low, "max": high, "range": high - low, "mean": known.mean()}
    return {**{key: _plain(value) for key, value in figures.items()}, **unsure}


def _symmetry(ranges: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """How much more the left side of a pair moves, per cent of the mean (Robinson et al. 1987)."""
    found = {}
    for name in ranges:
        other = f"right_{name.removeprefix('left_')}"
        if name.startswith("left_") and other in ranges:
            left, right = ranges[name]["range"], ranges[other]["range"]
            if left is not None and right is not None and min(left, right) >= _LEAST_RANGE:
                found[name.removeprefix("left_")] = _plain(200 * (left - right) / (left + right), 1)
    return found


def _plain(value: Any, decimals: int = 2) -> float | None:
    return round(float(value), decimals) if np.isfinite(value) else None
