"""Data sets as their makers publish them -> the files that configs ask for."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__, {"catalog": "SOURCES prepare", "report": "Prepared"}
)
