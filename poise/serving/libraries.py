"""The libraries of the extra `serve`."""

from __future__ import annotations

from poise._lazy import needed

__all__ = ["check_libraries"]

_NAMES = ("fastapi", "uvicorn", "python_multipart", "PIL")


def check_libraries() -> None:
    """See that all are there, before a model is loaded for nothing.

    Raises:
        MissingDependencyError: one is not installed.
    """
    for name in _NAMES:
        needed(name, f'serving over HTTP needs the package {name}: pip install "poise[serve]"')
