"""COCO-style annotation files as this folder reads them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from poise.datasets.coco_file import check_rows
from poise.errors import DataError

__all__ = ["read_annotations"]


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
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path} is no annotation file: {error}") from error
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
    return content
