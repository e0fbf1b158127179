"""Where annotation files and images lie: joining of roots, prefixes and names."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from poise.errors import FileMissingError

__all__ = ["is_absolute", "join_path", "require_file"]

URL_SCHEMES = ("http://", "https://", "s3://")


def is_absolute(path: str) -> bool:
    """Whether `path` stands by itself: an absolute path or an address."""
    return path.startswith(URL_SCHEMES) or PurePath(path).is_absolute()


def join_path(root: str | None, name: str) -> str:
    """`root/name` as a string; `name` alone where it is absolute or there is no root.

    Backslashes of Windows are folders elsewhere, too.

    Example:
        >>> join_path("data/coco", "val2017/1.jpg"), join_path("data/coco", "/x/1.jpg")
        ('data/coco/val2017/1.jpg', '/x/1.jpg')
    """
    if "\\" in name and os.sep == "/":
        # written on Windows
        name = name.replace("\\", "/")
    if not root or is_absolute(name):
        return name
    return f"{root}{name}" if root.endswith("/") else f"{root}/{name}"


def require_file(path: str | None, what: str, *, owner: str) -> str:
    """Return `path` if it is a file.

    Args:
        path: the file, relative to the working folder or absolute.
        what: constructor argument that gave it, such as `ann_file`.
        owner: class that needs it, for the text of the error.

    Raises:
        FileMissingError: the path is empty, or there is no such file; names the longest part
            of the path that exists.
    """
    if path and Path(path).is_file():
        return path
    if not path:
        raise FileMissingError(f"{owner} needs the file `{what}`, but none is given")
    absolute = Path(path).absolute()
    if absolute.is_dir():
        raise FileMissingError(f"{owner}: `{what}` is a folder, not a file: {path}")
    there = next((p for p in absolute.parents if p.exists()), absolute.root)
    raise FileMissingError(
        f"{owner}: `{what}` does not exist: {path} (of this path, {there} exists); "
        f"check `data_root` and `{what}`"
    )
