"""Registries of MMDetection's scope and its sample, for code that adds to both libraries."""

from __future__ import annotations

from typing import Any

from poise import registry
from poise.registry import Registry
from poise.structures import PoseDataSample

__all__ = [
    "DATASETS",
    "HOOKS",
    "METRICS",
    "MODELS",
    "TASK_UTILS",
    "TRANSFORMS",
    "DetDataSample",
    "OptSampleList",
    "SampleList",
]


class _OfMMDetection:
    """A registry of Poise whose bare names are MMDetection's.

    Args:
        whole: the registry of all scopes.
    """

    def __init__(self, whole: Registry) -> None:
        self.whole = whole

    def get(self, name: str) -> Any | None:
        """Object of a name, or None."""
        return self.whole.get(name, scope="mmdet")

    def build(self, cfg: Any, **defaults: Any) -> Any:
        """Object of a config dict; see `Registry.build`."""
        name = cfg.get("type") if isinstance(cfg, dict) else None
        found = self.get(name) if isinstance(name, str) else None
        return self.whole.build({**cfg, "type": found} if found else cfg, **defaults)

    def register_module(self, name: Any = None, force: bool = False, module: Any = None) -> Any:
        """Add a class, as `mmdet.NAME`; see `Registry.register_module`."""
        return self.whole.register_module(name, force, module, scope="mmdet")


DATASETS = _OfMMDetection(registry.DATASETS)
HOOKS = _OfMMDetection(registry.HOOKS)
METRICS = _OfMMDetection(registry.METRICS)
MODELS = _OfMMDetection(registry.MODELS)
TASK_UTILS = _OfMMDetection(registry.TASK_UTILS)
TRANSFORMS = _OfMMDetection(registry.TRANSFORMS)

DetDataSample = PoseDataSample
SampleList = list[PoseDataSample]
OptSampleList = SampleList | None
