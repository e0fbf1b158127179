"""What happens to results on their way: tracking, smoothing, lifting, in this order.

A stage takes an iterator of results and gives one. So it may keep a few results back (a smoother
that looks ahead), or all of them, and the results that follow are not touched before it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from poise.inference.results.pose_result import PoseResult

__all__ = ["Stage", "build_stages", "chain_stages"]

Stage: TypeAlias = Callable[[Iterator[PoseResult]], Iterator[PoseResult]]


def build_stages(
    *, track: Any = False, smooth: Any = None, lift: Any = None, device: Any = "cpu"
) -> list[Stage]:
    """Stages of the options of `Inferencer.predict`; those that are None or False are left out.

    Args:
        track: True, or what `build_tracker` takes.
        smooth: what `build_smoother` takes, such as "one-euro".
        lift: what `build_lifter` takes, such as the name of a lifter.
        device: where a lifter's network runs.
    """
    # only what is asked for takes the time to be imported
    stages: list[Stage] = []
    if _wanted(track):
        from poise.inference.tracking import build_tracker

        stages.append(build_tracker(track))
    if _wanted(smooth):
        from poise.inference.smoothing import build_smoother

        stages.append(build_smoother(smooth))
    if _wanted(lift):
        from poise.inference.lifting import build_lifter

        stages.append(build_lifter(lift, device=device))
    return stages


def _wanted(spec: Any) -> bool:
    return spec is not None and spec is not False


def chain_stages(results: Iterator[PoseResult], stages: list[Stage]) -> Iterator[PoseResult]:
    """Results after all stages."""
    for stage in stages:
        results = stage(results)
    return results
