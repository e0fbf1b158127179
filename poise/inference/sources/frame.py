"""What every source gives: frames."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from poise.errors import FileMissingError, PoiseError
from poise.inference.results.pose_result import SourceInfo

__all__ = ["Frame", "Source", "missing_file", "name_of_address"]

#: Not in names of files on Windows, where a colon hides what is written from all eyes.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """A picture on its way: pixels, or why there are none.

    Attributes:
        source: where it comes from.
        index: number in its source, from 0.
        time: seconds from the beginning; None for still pictures.
        image: (H, W, 3) uint8 BGR; None where it could not be read.
        error: why.
    """

    source: SourceInfo
    index: int = 0
    time: float | None = None
    image: np.ndarray | None = None
    error: PoiseError | None = None


class Source(Protocol):
    """Gives frames, lazily; each call begins anew where that is possible."""

    info: SourceInfo

    def frames(self) -> Iterator[Frame]:
        """Frames in order. What cannot be read comes as a frame with `error`."""


def missing_file(info: SourceInfo) -> FileMissingError | None:
    """The error of a source whose file is not there; None where it is, or where there is none."""
    if info.path is None or info.path.exists():
        return None
    still = "picture" if info.path.suffix else "file or folder"
    kind = "video" if info.moves else still
    return FileMissingError(f"there is no {kind} '{info.name}' (looked in {Path.cwd()})")


def name_of_address(address: str, otherwise: str) -> Path:
    """File name, without folders, for results of what is behind an address.

    The end of its path, without what is asked; in letters that all systems take.

    Example:
        >>> name_of_address("rtsp://me:secret@host/live:1?quality=2", "stream").name
        'live_1'
    """
    name = PurePosixPath(urlsplit(address).path).name
    return Path(_FORBIDDEN.sub("_", name) or otherwise)
