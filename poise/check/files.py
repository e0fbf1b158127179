"""COCO-style annotation files as this folder reads them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from poise._files import unzipped, write_whole, writing
from poise.datasets.coco_file import check_rows
from poise.errors import DataError

__all__ = ["check_annotations", "read_annotations", "write_annotations", "write_text"]


def read_annotations(path: Path) -> dict[str, Any]:
    """Content of a COCO-style file, checked as far as this folder relies on it.

    The latest files are remembered until they change.

    Raises:
        DataError: no JSON, without images, annotations or categories, or with an entry of these
            that is none.
    """
    try:
        state = path.stat()
        return _read(path, path.absolute(), state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise DataError(f"{path} is no annotation file: {error}") from error


@functools.lru_cache(maxsize=4)
def _read(path: Path, place: Path, changed: int, size: int) -> dict[str, Any]:
    """Content of a file; the other arguments say when it is another one."""
    try:
        content = json.loads(unzipped(path.read_bytes()).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path} is no annotation file: {error}") from error
    return check_annotations(content, path)


def check_annotations(content: Any, path: Path) -> dict[str, Any]:
    """The same content, once it is known to be of COCO's form; errors as of `read_annotations`."""
    lacking = [
        key
        for key in ("images", "annotations", "categories")
        if not isinstance(content, dict) or not content.get(key)
    ]
    if lacking:
        raise DataError(
            f"{path} is no COCO-style annotation file: it has no {' and no '.join(lacking)}"
        )
    for kind, needed in (("images", "id"), ("annotations", "image_id"), ("categories", "id")):
        check_rows(content, kind, needed, where=str(path))
    found: dict[str, Any] = content
    return found


def write_annotations(content: Any, path: Path) -> None:
    """Write a file, and the folders above it; errors as of `write_text`."""
    write_text(path, json.dumps(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file, which appears whole or not at all, and the folders above it.

    Raises:
        DataError: it cannot be written.
    """
    with writing(path):
        write_whole(path, text.encode())
