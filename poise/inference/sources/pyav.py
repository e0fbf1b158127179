"""PyAV, imported when the first video comes."""

from __future__ import annotations

from typing import Any

from poise._lazy import needed

__all__ = ["import_av"]


def import_av() -> Any:
    """PyAV, which reads and writes videos.

    Raises:
        MissingDependencyError: it is not installed.
    """
    text = "reading and writing videos needs the package av: pip install av"
    av, logging = (needed(name, text) for name in ("av", "av.logging"))
    # what goes wrong comes as exceptions; the rest would be noise on the terminal
    logging.set_level(logging.PANIC)
    return av
