"""From what a caller says about smoothing to the stage; and one person's keypoints through it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from poise._arguments import check_options
from poise._arrays import Array
from poise.errors import ConfigError, DataError, nearest
from poise.inference.results.pose_result import PoseResult
from poise.inference.smoothing.filters import Filter, Gaussian, Kalman, OneEuro, SavitzkyGolay
from poise.inference.smoothing.stage import DEFAULT_FPS, SmoothingStage
from poise.structures import InstanceData

__all__ = ["build_smoother", "smooth_sequence"]

FILTERS: dict[str, Callable[..., Filter]] = {
    "one-euro": OneEuro,
    "savgol": SavitzkyGolay,
    "gaussian": Gaussian,
    "kalman": Kalman,
}


class _Alias(NamedTuple):
    """Another name of a filter: ours, settings that are not our defaults, its names for some."""

    name: str
    settings: Mapping[str, Any] = {}
    renamed: Mapping[str, str] = {}


_MMPOSE_SAVGOL = _Alias("savgol", {}, {"window_size": "window", "polyorder": "degree"})
#: The filters of MMPose 0.x had one frame as the unit of time.
ALIASES = {
    "savitzky-golay": _Alias("savgol"),
    "OneEuroFilter": _Alias("one-euro", {"min_cutoff": 0.004, "beta": 0.7, "unit": "frames"}),
    "SavgolFilter": _MMPOSE_SAVGOL,
    "SavizkyGolayFilter": _MMPOSE_SAVGOL,
    "GaussianFilter": _Alias("gaussian", {"sigma": 4.0}, {"window_size": "window"}),
}


def build_smoother(spec: Any) -> Any:
    """The smoothing stage that `spec` asks for.

    Args:
        spec: "one-euro", "savgol", "gaussian" or "kalman"; True: "one-euro";
            a dict with `type` and the options of the filter and of `SmoothingStage`; or a stage
            (a callable), which is returned as it is. MMPose's `OneEuroFilter`,
            `SavizkyGolayFilter` and `GaussianFilter` are known with their options.

    Raises:
        ConfigError: another name.
        ArgumentError: an option that neither the filter nor the stage has.
    """
    if callable(spec):
        return spec
    options = dict(spec) if isinstance(spec, Mapping) else {"type": spec}
    name = options.pop("type", True)
    # what is no text is named by the error below
    name = "one-euro" if name is True else str(name)
    alias = ALIASES.get(name, _Alias(name))
    name = alias.name
    if name == "SmoothNetFilter":
        raise ConfigError(
            "SmoothNetFilter is a network with weights of its own, which Poise does not have; "
            "'savgol' or {'type': 'kalman', 'lag': 5} smooth without a network"
        )
    if name not in FILTERS:
        choices = (*FILTERS, *ALIASES)
        hint = nearest(name, choices)
        raise ConfigError(
            f"smoothing must be one of {', '.join(FILTERS)}, or a dict; got '{name}'{hint}"
        )
    options = {alias.renamed.get(key, key): value for key, value in options.items()}
    own = set(inspect.signature(SmoothingStage).parameters) - {"make"}
    if name == "kalman":
        # the filter's own lag; the stage waits as long
        own.discard("lag")
    of_filter = {**alias.settings, **{k: v for k, v in options.items() if k not in own}}
    check_options(options, [*inspect.signature(FILTERS[name]).parameters, *sorted(own)], name)
    make = functools.partial(FILTERS[name], **of_filter)
    return SmoothingStage(make, **{k: v for k, v in options.items() if k in own})


def smooth_sequence(
    keypoints: Any, scores: Any = None, *, times: Any = None, method: Any = "one-euro"
) -> tuple[Array, Array]:
    """Smooth one person's keypoints, all frames at once.

    Args:
        keypoints: (T, K, D) in any space; NaN where nothing is known.
        scores: (T, K); None: all are sure.
        times: (T,) seconds; None: 25 frames a second.
        method: as for `build_smoother`.

    Returns:
        smoothed (T, K, D) float32, and (T, K) bool, where a gap was filled.

    Raises:
        DataError: shapes that do not fit together.
    """
    points = np.asarray(keypoints, np.float32)
    if points.ndim != 3:
        raise DataError(f"a sequence of keypoints has the shape (T, K, D), got {points.shape}")
    given = np.isfinite(points).all(-1) * 1.0 if scores is None else np.asarray(scores, float)
    when = np.arange(len(points)) / DEFAULT_FPS if times is None else np.asarray(times, float)
    if given.shape != points.shape[:2] or when.shape != points.shape[:1]:
        raise DataError(
            f"keypoints {points.shape} take scores {points.shape[:2]} and times "
            f"{points.shape[:1]}, got {given.shape} and {when.shape}"
        )
    given = np.where(np.isfinite(points).all(-1), given, 0)
    seen = points[np.isfinite(points).all((1, 2))]
    # the median frame says how large the person is
    size = float(np.median(np.ptp(seen, axis=1).max(-1))) if len(seen) else 1.0
    box = np.array([[0, 0, size, size]], np.float32).clip(min=0)

    def frames() -> Iterator[PoseResult]:
        for number, (pose, score, time) in enumerate(zip(points, given, when, strict=True)):
            person = InstanceData(
                keypoints=pose[None],
                keypoint_scores=score[None].astype(np.float32),
                bboxes=box,
                bbox_scores=np.ones(1, np.float32),
                track_ids=np.ones(1, np.int64),
            )
            yield PoseResult(None, person, {}, "", frame_index=number, time=float(time))

    done = [r.instances for r in build_smoother(method)(frames())]
    if not done:
        return points, np.zeros(points.shape[:2], bool)
    return (
        np.stack([d.keypoints[0] for d in done]),
        np.stack([d.keypoints_filled[0] for d in done]),
    )
