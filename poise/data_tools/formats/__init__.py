"""Annotation files of several forms, read into one and written from it."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "annotations": "Annotations",
        "table": "FORMATS convert_annotations read_annotations write_annotations",
    },
)
