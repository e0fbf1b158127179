"""What happens to results on their way: tracking, smoothing, lifting, in this order.

A stage takes an iterator of results and gives one. So it may keep a few results back (a smoother
that looks ahead), or all of them, and the results that follow are not touched before it asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from poise.errors import ConfigError
from poise.inference.results.pose_result import PoseResult

__all__ = ["Stage", "build_stages", "chain_stages"]

Stage: TypeAlias = Callable[[Iterator[PoseResult]], Iterator[PoseResult]]

#: option of `Inferencer.predict` -> (function that builds the stage, whether it takes a device)
_BUILDERS = {
    "track": ("poise.inference.tracking:build_tracker", False),
    "smooth": ("poise.inference.smoothing:build_smoother", False),
    "lift": ("poise.inference.lifting:build_lifter", True),
}


def build_stages(
    *, track: Any = False, smooth: Any = None, lift: Any = None, device: Any = "cpu"
) -> list[Stage]:
    """Stages of the options of `Inferencer.predict`; those that are None or False are left out.

    Args:
        track: True, or what `build_tracker` takes.
        smooth: what `build_smoother` takes, such as "one-euro".
        lift: what `build_lifter` takes, such as the name of a lifter.
        device: where a lifter's network runs.

    Raises:
        ConfigError: a stage that this installation does not have.
    """
    wanted = {"track": track, "smooth": smooth, "lift": lift}
    stages = []
    for name, spec in wanted.items():
        if spec is None or spec is False:
            continue
        target, takes_device = _BUILDERS[name]
        build = _builder(name, target)
        stages.append(build(spec, device=device) if takes_device else build(spec))
    return stages


def _builder(name: str, target: str) -> Callable[..., Stage]:
    module, _, function = target.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigError(f"{name}=... needs {module}, which this installation lacks") from error


def chain_stages(results: Iterator[PoseResult], stages: list[Stage]) -> Iterator[PoseResult]:
    """Results after all stages."""
    for stage in stages:
        results = stage(results)
    return results
