"""PyAV, imported when the first video comes."""

from __future__ import annotations

from typing import Any

from poise.errors import MissingDependencyError

__all__ = ["import_av"]


def import_av() -> Any:
    """PyAV, which reads and writes videos.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise MissingDependencyError(
            "reading and writing videos needs the package av: pip install av"
        ) from error
    # what goes wrong comes as exceptions; the rest would be noise on the terminal
    av.logging.set_level(av.logging.PANIC)
    return av
