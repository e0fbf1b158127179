"""Where annotation files and images lie: joining of roots, prefixes and names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from poise.errors import FileMissingError

__all__ = ["is_absolute", "join_path", "picture_folder", "require_file"]

URL_SCHEMES = ("http://", "https://", "s3://")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def is_absolute(path: str | os.PathLike[str]) -> bool:
    """Whether `path` stands by itself: an absolute path or an address."""
    path = os.fspath(path)
    return path.startswith(URL_SCHEMES) or PurePath(path).is_absolute()


def join_path(root: str | os.PathLike[str] | None, name: str | os.PathLike[str]) -> str:
    """`root/name` as a string; `name` alone where it is absolute or there is no root.

    Backslashes of Windows are folders elsewhere, too.

    Example:
        >>> join_path("data/coco", "val2017/1.jpg"), join_path("data/coco", "/x/1.jpg")
        ('data/coco/val2017/1.jpg', '/x/1.jpg')
    """
    name, root = os.fspath(name), os.fspath(root or "")
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


def picture_folder(
    names: Iterable[str], around: Iterable[Path], images: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """Where pictures lie, and how their names read from there.

    Args:
        names: of the pictures as the annotations have them: paths or addresses.
        around: folders to look in, the likeliest first.
        images: the folder, where a user says it.

    Returns:
        the folder, and name -> path from there (with "/") of those that are there.

    Raises:
        FileMissingError: `images` is no folder.
    """
    if images is not None and not images.is_dir():
        raise FileMissingError(f"there is no folder of pictures {images}")
    folders = [images] if images is not None else list(dict.fromkeys(around))
    wanted = list(dict.fromkeys(names))
    best: tuple[Path, dict[str, str]] = (folders[0], {})
    for folder in folders:
        found = {}
        for name in wanted:
            place = next((p for p in _ends(name) if (folder / p).is_file()), None)
            if place is not None:
                found[name] = place
        if len(found) > len(best[1]):
            best = (folder, found)
        if len(found) == len(wanted):
            break
    return best


def _ends(name: str) -> list[str]:
    """A path, and what is left of it without its first folders: the longest first.

    One that goes up comes as it is before all others.

    Example:
        >>> _ends("a/b/c.png")
        ['a/b/c.png', 'b/c.png', 'c.png']
        >>> _ends("../c.png")
        ['../c.png', 'c.png']
    """
    whole = name.replace("\\", "/")
    parts = [part for part in whole.split("/") if part not in ("", ".", "..")]
    ends = [whole] if whole.startswith("../") else []
    ends += ["/".join(parts[i:]) for i in range(len(parts))]
    # Label Studio puts eight digits before the names of uploaded files
    bare = _UPLOADED.sub("", parts[-1]) if parts else ""
    return [*ends, bare] if parts and bare != parts[-1] else ends
