"""JSON: a file for each picture, a line for each, or one list of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from poise._files import write_all
from poise.errors import DataError, one_of
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions
from poise.inference.sinks.image import PictureFiles

__all__ = ["LAYOUTS", "JsonLinesSink", "JsonList", "JsonSink", "layout_of"]

#: layout -> what the file holds: docs/reference/result-json.md, or what MMPose's inferencer writes
LAYOUTS: dict[str, Callable[[PoseResult], Any]] = {
    "poise": PoseResult.to_dict,
    "mmpose": PoseResult.to_mmpose,
}

#: of a list
_LIST_END = b"\n]"


def layout_of(name: str) -> Callable[[PoseResult], Any]:
    """Content of a layout's name.

    Raises:
        DataError: another name.
    """
    return LAYOUTS[one_of(name, LAYOUTS, "layout of JSON files (--format)", DataError)]


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
        return _lines(self._values(result)).encode()


def _lines(value: Any, indent: str = "") -> str:
    """JSON with a line a key: half the size and the time of `json.dumps` with an indent."""
    people = isinstance(value, list) and value and isinstance(value[0], dict)
    if not people and not (isinstance(value, dict) and value):
        return json.dumps(value)
    inner = f"{indent} "
    if people:
        rows, (begin, end) = [_lines(entry, inner) for entry in value], "[]"
    else:
        rows = [f"{json.dumps(key)}: {_lines(entry, inner)}" for key, entry in value.items()]
        begin, end = "{}"
    return f"{begin}\n{inner}" + f",\n{inner}".join(rows) + f"\n{indent}{end}"


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


class JsonList:
    """Appends entries before the closing bracket, so that a crash leaves a whole file.

    Args:
        path: written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._empty = True
        # unbuffered: an entry is one system call
        self._file = path.open("wb", buffering=0)
        self._file.write(b"[" + _LIST_END)

    def extend(self, entries: Sequence[Any]) -> None:
        """Add entries, a line each.

        Raises:
            OSError: they could not be written; the file is as it was before.
        """
        if not entries:
            return
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        end = self._file.seek(-len(_LIST_END), 2)
        try:
            write_all(self._file, (("\n" if self._empty else ",\n") + lines).encode() + _LIST_END)
        except OSError:
            self._file.seek(end)
            self._file.truncate()
            write_all(self._file, _LIST_END)
            raise
        self._empty = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
