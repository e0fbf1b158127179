"""JSON Lines: a line a frame, written as it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from poise._files import write_all
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions
from poise.inference.sinks.json_files import layout_of

__all__ = ["JsonLinesSink"]


class JsonLinesSink(FileSink):
    """`NAME.jsonl` of a video, `poses.jsonl` of still pictures.

    Every line is on its way to the disk before the next frame is taken, so that a crash costs
    the line that was being written at most.

    Raises:
        DataError: `options.layout` is unknown.
    """

    suffix = ".jsonl"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        self._values = layout_of(self.options.layout)

    def begin(self, path: Path, result: PoseResult) -> BinaryIO:
        """Empty file, unbuffered: a line is one system call."""
        return path.open("wb", buffering=0)

    def add(self, handle: Any, result: PoseResult) -> None:
        """One line."""
        values = self._values(result)
        if isinstance(values, list):
            # MMPose's layout does not say which frame it is
            values = {"frame_id": result.frame_index, "instances": values}
        line = json.dumps(values, separators=(",", ":")).encode() + b"\n"
        write_all(handle, line)
