"""Exports inside .zip archives: unpacked within limits, into a folder and nowhere else."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from poise._files import BROKEN_ZIP, files_below
from poise._words import counted
from poise.data_tools.formats.reading import PICTURES
from poise.errors import DataError

__all__ = ["is_archive", "unpack"]

#: endings of labels and of what belongs to them; nothing else is unpacked
_LABELS = (".json", ".jsonl", ".xml", ".yaml", ".yml", ".txt", ".csv", ".h5", ".slp")
_WANTED = (*PICTURES, *_LABELS)
#: what archivers of macOS add
_IGNORED = ("__MACOSX", ".DS_Store")
#: an archive of more files is none of labels
_MOST_FILES = 2_000_000
#: more than that is a bomb where it also unpacks to so many times its size
_SUSPECT_BYTES, _MOST_TIMES = 1 << 30, 100
_COPIED = 1 << 20


def is_archive(path: Path) -> bool:
    """Whether a path is a .zip file."""
    return path.suffix.lower() == ".zip" and path.is_file()


def unpack(path: Path, into: Path) -> tuple[Path, str]:
    """Unpack the labels and pictures of an archive.

    Args:
        path: the .zip file.
        into: folder for its files, which is made.

    Returns:
        the folder that holds the export: `into`, or the only folder in it; and a sentence about
        what was done.

    Raises:
        DataError: a broken or encrypted archive, one with names that lead elsewhere, one that is
            too large, or no room for it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            _check_alone(members, path, into)
            _check_size(members, path, into)
            for member, name in members:
                _extract(archive, member, into / name)
            left = sum(not m.is_dir() for m in archive.infolist()) - len(members)
    except BROKEN_ZIP as error:
        raise DataError(f"{path} is a broken archive: {error}; pack it anew") from error
    except RuntimeError as error:  # what zipfile says of encrypted files
        raise DataError(f"{path} cannot be unpacked: {error}") from error
    except OSError as error:
        raise DataError(f"cannot unpack {path} into {into}: {error.strerror or error}") from error
    others = f" ({left:,} of other kinds were left out)" if left else ""
    files = counted(len(members), "file")
    return _home(into), f"unpacked {files} of {path.name} into {into}{others}"


def _members(archive: zipfile.ZipFile, path: Path) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Files to unpack, and their paths below the folder."""
    rows = archive.infolist()
    if len(rows) > _MOST_FILES:
        raise DataError(f"{path} has {len(rows):,} files, expected at most {_MOST_FILES:,}")
    found = []
    for row in rows:
        name = PurePosixPath(row.filename.replace("\\", "/"))
        if row.is_dir() or set(name.parts) & set(_IGNORED):
            continue
        if name.suffix.lower() not in _WANTED:
            continue
        away = name.is_absolute() or ".." in name.parts or PureWindowsPath(name).drive
        if away or stat.S_ISLNK(row.external_attr >> 16):
            raise DataError(
                f"{path} holds '{row.filename}', which leads out of the archive; nothing was "
                "unpacked. Unpack it by hand if you trust it, and give the folder"
            )
        found.append((row, name))
    if not found:
        raise DataError(
            f"{path} holds no labels that are read ({', '.join(_LABELS)}), only "
            f"{', '.join(sorted({PurePosixPath(r.filename).suffix for r in rows})) or 'nothing'}"
        )
    return found


def _check_alone(
    members: list[tuple[zipfile.ZipInfo, PurePosixPath]], path: Path, into: Path
) -> None:
    """Raise DataError where a folder has labels that the archive has not: all would be read."""
    own = {into / name for _, name in members}
    there = files_below(into) if into.is_dir() else ()
    other = next((f for f in there if f.suffix.lower() in _WANTED and f not in own), None)
    if other is not None:
        raise DataError(
            f"{into} has {other.relative_to(into)}, which {path} has not: labels of both would be "
            "read together; move it away, or choose another --out"
        )


def _check_size(
    members: list[tuple[zipfile.ZipInfo, PurePosixPath]], path: Path, into: Path
) -> None:
    """Raise DataError of a bomb, or where there is no room."""
    total = sum(member.file_size for member, _ in members)
    if total > _SUSPECT_BYTES and total > _MOST_TIMES * path.stat().st_size:
        raise DataError(
            f"{path} ({path.stat().st_size:,} bytes) would unpack to {total:,} bytes, which no "
            "labels do; unpack it by hand if you trust it, and give the folder"
        )
    into.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(into).free
    if total > free:
        raise DataError(
            f"{path} unpacks to {total:,} bytes, and {into} has room for {free:,}; make room, or "
            "unpack it elsewhere and give the folder"
        )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # reading ends where the archive's list says it does
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, _COPIED)


def _home(into: Path) -> Path:
    """The folder, or the only one in it where that holds everything."""
    entries = list(into.iterdir())
    while len(entries) == 1 and entries[0].is_dir() and entries[0].name != "annotations":
        into = entries[0]
        entries = list(into.iterdir())
    return into
