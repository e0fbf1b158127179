"""Annotation files of several forms, read into one and written from it."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "annotations": "Annotations",
        "reading": "Reading",
        "table": "FORMS Form convert_annotations find_form read_annotations write_annotations",
    },
)
