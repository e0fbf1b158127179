"""A JSON file for each picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise._arguments import check_choice
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import SinkOptions
from poise.inference.sinks.image import PictureFiles

__all__ = ["LAYOUTS", "JsonSink", "layout_of"]

#: layout -> what the file holds: docs/reference/result-json.md, or what MMPose's inferencer writes
LAYOUTS: dict[str, Callable[[PoseResult], Any]] = {
    "poise": PoseResult.to_dict,
    "mmpose": PoseResult.to_mmpose,
}


def layout_of(name: str) -> Callable[[PoseResult], Any]:
    """Content of a layout's name.

    Raises:
        DataError: another name.
    """
    check_choice("layout", name, LAYOUTS)
    return LAYOUTS[name]


class JsonSink(PictureFiles):
    """`NAME.json` of each picture, of videos `NAME/0000012.json`.

    Raises:
        DataError: `options.layout` is none of `LAYOUTS`.
    """

    suffix = ".json"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        self._values = layout_of(self.options.layout)

    def content(self, result: PoseResult) -> bytes:
        """Text of the file; pictures that could not be used have one, too, with the error."""
        return json.dumps(self._values(result), indent=1).encode()
