"""COCO-style annotation files as this folder reads them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from poise._files import write_whole, writing
from poise.datasets.coco_file import check_rows, read_json
from poise.errors import DataError

__all__ = [
    "check_annotations",
    "check_forms",
    "folders_in",
    "read_annotations",
    "write_annotations",
    "write_text",
]


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, float, str))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _are_links(value: Any) -> bool:
    return _is_list(value) and all(
        _is_list(pair) and len(pair) == 2 and all(isinstance(i, int) for i in pair)
        for pair in value
    )


#: list of a COCO file -> field of its entries -> what that is, where it is there
_FORMS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "images": {"id": (_is_id, "a number")},
    "annotations": {
        **dict.fromkeys(("id", "image_id", "category_id"), (_is_id, "a number")),
        "keypoints": (_is_list, "a list"),
    },
    "categories": {
        "id": (_is_id, "a number"),
        "keypoints": (_is_list, "a list of names"),
        "skeleton": (_are_links, "a list of pairs of numbers"),
    },
}


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
    return check_annotations(read_json(str(path), owner="The annotation file"), path)


def folders_in(home: Path) -> list[Path]:
    """Folders right below one, sorted; none where it may not be looked into."""
    try:
        return sorted(entry for entry in home.iterdir() if entry.is_dir())
    except OSError:
        return []


def check_annotations(content: Any, path: Path) -> dict[str, Any]:
    """The same content, once it is known to be of COCO's form; errors as of `read_annotations`."""
    if isinstance(content, list):
        raise DataError(
            f"{path} is no COCO-style annotation file: it is a list, as results of models are "
            "(poise predict --save coco); labels are made of the .jsonl that --save jsonl writes"
        )
    lacking = [
        key
        for key in ("images", "annotations", "categories")
        if not isinstance(content, dict) or not content.get(key)
    ]
    if lacking:
        raise DataError(
            f"{path} is no COCO-style annotation file: it has no {' and no '.join(lacking)}"
        )
    check_forms(content, path)
    for kind, needed in (("images", "id"), ("annotations", "image_id"), ("categories", "id")):
        check_rows(content, kind, needed, where=str(path))
    found: dict[str, Any] = content
    return found


def check_forms(content: Mapping[str, Any], path: object) -> None:
    """See that lists are lists and ids are numbers or texts, as far as they are there.

    Raises:
        DataError: one is not; names the entry and the field.
    """
    for kind, fields in _FORMS.items():
        rows = content.get(kind) or []
        if not isinstance(rows, list):
            raise DataError(f"{path}: `{kind}` should be a list, got {rows!r:.60}")
        for place, row in enumerate(rows):
            for key, (fits, words) in fields.items() if isinstance(row, dict) else ():
                value = row.get(key)
                if value is not None and not fits(value):
                    raise DataError(
                        f"{path}: `{key}` of {kind}[{place}] (id {row.get('id')!r:.20}) should be "
                        f"{words}, got {value!r:.60}"
                    )


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
