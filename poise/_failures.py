"""What an exception tells: its text, what was being done, and the user's own lines in it."""

from __future__ import annotations

import functools
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poise.errors import PoiseError

__all__ = ["Failure", "noting", "own_line"]

_PACKAGE = Path(__file__).resolve().parent
#: Torch puts the traceback of a process that loads data into the text of its exception.
_OF_WORKER = "Original Traceback (most recent call last)"
_TRACEBACK = "Traceback (most recent call last):\n"
#: How notes begin, which stand below the text in there.
_NOTES = ("while ", "in step ", "in the hook ")
_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)\n(?:    (.*)\n)?')


@contextmanager
def noting(text: str | Callable[[], str]) -> Iterator[None]:
    """Add to an exception from inside what was being done, in words or what gives them.

    Example:
        >>> try:
        ...     with noting("in step 2 of the pipeline, Crop"):
        ...         1 / 0
        ... except ZeroDivisionError as error:
        ...     error.__notes__
        ['in step 2 of the pipeline, Crop']
    """
    try:
        yield
    except Exception as error:
        error.add_note(text if isinstance(text, str) else text())
        raise


class Failure:
    """An exception, taken apart for a person to read.

    Args:
        error: as it was caught; of one from a process that loads data, what torch made of it.

    Attributes:
        text: its message, with its kind where that is none of Poise's own.
        notes: what was being done, from the inside outwards.
        frames: lines of the user's own code on the way, as (file, line, function, source).
    """

    def __init__(self, error: BaseException) -> None:
        self.notes = list(getattr(error, "__notes__", ()))
        self.frames = _own_frames(_frames_of(error))
        message = str(error)
        if _OF_WORKER in message:
            # chained exceptions have one traceback each; the last one is the exception's own
            parts = message.split(_TRACEBACK)
            self.frames = next(filter(None, map(_own_frames, map(_parsed, reversed(parts)))), [])
            said = _FRAME.sub("", parts[-1]).splitlines()
            kept = [line for line in said if line.strip()]
            start = next((i for i, line in enumerate(kept) if not line.startswith(" ")), 0)
            name, _, first = kept[start].partition(": ")
            rest = kept[start + 1 :]
            self.notes = [*(line for line in rest if line.startswith(_NOTES)), *self.notes]
            told = [line for line in rest if not line.startswith(_NOTES)]
            self.text = "\n".join([_named(name, first), *told])
        elif isinstance(error, PoiseError):
            self.text = message
        else:
            self.text = _named(type(error).__name__, message)

    def lines(self) -> list[str]:
        """Notes and own lines, as they stand below the text."""
        shown = [f"  {note}" for note in self.notes]
        if self.frames:
            shown.append("in your code:")
        for file, line, name, source in self.frames:
            shown += [
                f"  {_short(file)}, line {line}, in {name}",
                *([f"    {source}"] * bool(source)),
            ]
        return shown


def own_line(error: BaseException) -> str:
    """An exception in one line: its text and notes, of a fault of the user's code also where."""
    failure = Failure(error)
    places = failure.notes
    if not isinstance(error, PoiseError) and failure.frames:
        file, line, *_ = failure.frames[-1]
        places = [f"{_short(file)}, line {line}", *places]
    text = failure.text if failure.frames else str(error)
    return f"{text} ({'; '.join(places)})" if places else text


Frame = tuple[str, int, str, str]


def _named(kind: str, message: str) -> str:
    module, _, bare = kind.rpartition(".")
    if module.startswith("poise."):
        return message
    return f"{bare}: {message}" if message else bare


def _frames_of(error: BaseException) -> list[Frame]:
    """Frames of an exception; of its cause where none of its own is the user's."""
    seen: BaseException | None = error
    while seen is not None:
        stack = traceback.extract_tb(seen.__traceback__)
        frames = [(f.filename, f.lineno or 0, f.name, f.line or "") for f in stack]
        if _own_frames(frames):
            return frames
        seen = seen.__cause__
    return []


def _parsed(text: str) -> list[Frame]:
    return [(m[1], int(m[2]), m[3], m[4] or "") for m in _FRAME.finditer(text)]


def _own_frames(frames: list[Frame]) -> list[Frame]:
    """Frames of neither Poise nor a library, behind the first of Poise's."""
    inside = [_is_poise(file) for file, *_ in frames]
    start = inside.index(True) if True in inside else len(frames)
    return [frame for frame in frames[start:] if not _is_library(frame[0])]


@functools.cache
def _is_poise(file: str) -> bool:
    return Path(file).resolve().is_relative_to(_PACKAGE)


@functools.cache
def _is_library(file: str) -> bool:
    # compiled modules name files of the machine that built them
    if file.startswith("<") or _is_poise(file) or not Path(file).is_file():
        return True
    folders = {sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")}
    path = Path(file).resolve()
    return any(path.is_relative_to(Path(folder).resolve()) for folder in folders)


def _short(file: str) -> str:
    """A path below the working folder without it."""
    path = Path(file).resolve()
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
