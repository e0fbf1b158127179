"""Which library's names a bare `type=` means."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

__all__ = [
    "PROJECT_PACKAGES",
    "SCOPES",
    "canonical",
    "current_scope",
    "init_default_scope",
    "search_order",
    "use_scope",
]

#: Libraries whose names configs use. "poise" holds what MMPose never had.
SCOPES = ("mmpose", "poise", "mmengine", "mmcv", "mmdet", "mmyolo", "mmpretrain", "torch")

#: Scopes under another name: MMClassification became MMPretrain.
_ALIASES = {"mmcls": "mmpretrain"}

#: Packages that stand beside the configs of MMPose's projects/yolox_pose -> scope of their classes,
#: which its configs call `models.YOLODetector` or `datasets.CocoDataset`.
PROJECT_PACKAGES = {"models": "mmyolo", "datasets": "mmyolo"}

#: Where a bare name is looked for after the current scope.
_FALLBACK = ("mmpose", "poise", "mmengine", "mmcv", "torch")

_current: contextvars.ContextVar[str] = contextvars.ContextVar("poise_scope", default="mmpose")


def canonical(scope: str) -> str:
    """Scope under its current name: `mmcls` -> `mmpretrain`."""
    return _ALIASES.get(scope, scope)


def current_scope() -> str:
    """Scope that bare names mean now (`default_scope` or `_scope_` of a config)."""
    return _current.get()


@contextlib.contextmanager
def use_scope(scope: str | None) -> Iterator[str]:
    """Let bare names mean those of `scope` inside a `with` block; None changes nothing.

    Example:
        >>> with use_scope("mmdet"):
        ...     current_scope()
        'mmdet'
    """
    if scope is None:
        yield current_scope()
        return
    token = _current.set(canonical(scope))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def init_default_scope(scope: str) -> None:
    """Let bare names mean those of `scope` from here on in this thread, as MMEngine's does."""
    _current.set(canonical(scope))


def search_order(scope: str | None = None) -> tuple[str, ...]:
    """Scopes in which a bare name is looked for, first to last."""
    first = canonical(scope) if scope else current_scope()
    return (first, *(s for s in _FALLBACK if s != first))
