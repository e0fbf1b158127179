"""`poise migrate`: turn the imports of code written for MMPose into Poise's."""

from __future__ import annotations

import difflib
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from poise._files import whole_file
from poise._words import counted
from poise.config.migrate import Migration, migrate_source
from poise.errors import DataError, FileMissingError

__all__ = ["migrate"]


def migrate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Python files, or folders of them.")
    ],
    write: Annotated[
        bool, typer.Option("--write", help="Change the files instead of printing a diff.")
    ] = False,
) -> None:
    """Rewrite imports from MMPose, MMEngine and MMCV to Poise's; the rest of a file stays.

    Names without a counterpart are listed, and the exit status is 1.
    """
    unknown = changed = 0
    files = _files(paths)
    for file in files:
        raw = file.read_bytes()
        try:
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise DataError(f"'{file}' is no text in UTF-8, so no Python file") from error
        done = migrate_source(text, str(file))
        if done.text != text:
            changed += 1
            if write:
                ends = "\r\n" if b"\r\n" in raw else "\n"
                with whole_file(file.resolve()) as place:
                    place.write_bytes(done.text.replace("\n", ends).encode())
                    shutil.copymode(file, place)
                sys.stdout.write(f"{file}: {counted(done.replaced, 'name')} changed\n")
            else:
                sys.stdout.write(_diff(text, done, file))
        for name in done.unknown:
            sys.stderr.write(f"{name}\n")
        unknown += len(done.unknown)
    if not changed and not unknown:
        sys.stderr.write(f"nothing to change in {len(files)} Python files\n")
    if unknown:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileMissingError(f"there is no file or folder '{path}'")
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files


def _diff(text: str, done: Migration, file: Path) -> str:
    lines = difflib.unified_diff(
        text.splitlines(keepends=True),
        done.text.splitlines(keepends=True),
        str(file),
        f"{file} (migrated)",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
