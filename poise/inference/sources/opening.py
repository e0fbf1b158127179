"""From paths, addresses, numbers and arrays to sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from poise._files import path_of_address
from poise.errors import DataError, PoiseError
from poise.inference.results.pose_result import SourceInfo
from poise.inference.sources.frame import Frame, Source, missing_file, name_of_address
from poise.inference.sources.live import CameraSource, StreamSource
from poise.inference.sources.pictures import (
    IMAGE_SUFFIXES,
    Picture,
    fetch_picture,
    list_pictures,
    read_picture,
)
from poise.inference.sources.video import VIDEO_SUFFIXES, VideoSource

__all__ = ["check_files", "open_sources"]

#: Addresses of pictures and video files; all other schemes are streams.
_WEB = frozenset(("http", "https"))
#: Lists of pieces of a video, as live broadcasts come over http.
_PLAYLISTS = frozenset((".m3u8", ".mpd"))


def open_sources(inputs: Any, *, timeout: float = 10.0) -> Iterator[Source]:
    """Every source of `inputs`, in order.

    Args:
        inputs: path of a picture or a video, folder of such (searched whole), pattern with `*`,
            address (http, https: picture or video; rtsp, rtmp, udp ...: stream), number of a
            camera or its text, array (H, W), (H, W, 3 or 4) in BGR order, PIL image, or a list or
            an iterator of these.
        timeout: seconds after which a camera, a stream or an address that stays silent is given up.

    Raises:
        FileMissingError: a folder or pattern that leads to nothing.
        DataError: something else, such as a number that is no camera's.
    """
    for i, item in enumerate(_items(inputs)):
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            if item < 0:
                raise DataError(f"input {i} is {item}; cameras have the numbers 0, 1, 2 ...")
            yield CameraSource(int(item), timeout=timeout)
        elif isinstance(item, (str, os.PathLike)):
            yield from _from_text(os.fspath(item), timeout)
        else:
            for picture in list_pictures([item], first=i):
                # whoever hands arrays out one by one may fill the same one again meanwhile
                yield _still(picture, copied=isinstance(inputs, Iterator))


def check_files(sources: Iterable[Source]) -> None:
    """See that all files of sources are there.

    Raises:
        FileMissingError: one is not.
    """
    for source in sources:
        error = missing_file(source.info)
        if error is not None:
            raise error


def _items(inputs: Any) -> Iterable[Any]:
    # bytes and dicts can be gone through as well, and would be taken for cameras and paths
    single = isinstance(
        inputs, (str, os.PathLike, int, np.integer, np.ndarray, bytes, bytearray, Mapping)
    )
    if single or hasattr(inputs, "convert") or not hasattr(inputs, "__iter__"):
        return [inputs]
    return inputs


def _from_text(text: str, timeout: float) -> Iterator[Source]:
    scheme = urlsplit(text).scheme.lower()
    if not text:
        raise DataError("an input is an empty text; give a path, an address or a camera's number")
    if text == "-" and not Path(text).exists():
        raise DataError("'-' is no input; /dev/stdin reads a picture that another program sends")
    if "://" in text and scheme != "file":
        yield _from_address(text, scheme, timeout)
    elif text.isdecimal() and not Path(text).exists():
        yield CameraSource(int(text), timeout=timeout)
    else:
        path_or_pattern = path_of_address(text)
        for picture in list_pictures(path_or_pattern, suffixes=IMAGE_SUFFIXES | VIDEO_SUFFIXES):
            path = picture.source
            if isinstance(path, Path) and path.suffix.lower() in VIDEO_SUFFIXES:
                yield VideoSource(picture.name, path, picture.relative)
            else:
                yield _still(picture)


def _from_address(text: str, scheme: str, timeout: float) -> Source:
    name = name_of_address(text, "picture")
    suffix = Path(urlsplit(text).path).suffix.lower()
    if scheme not in _WEB or suffix in _PLAYLISTS:
        return StreamSource(text, timeout=timeout)
    if suffix in VIDEO_SUFFIXES:
        return VideoSource(text, text, name, timeout=timeout)
    info = SourceInfo(text, "picture", name, frames=1)
    return StillSource(info, lambda: fetch_picture(text, timeout=timeout))


def _still(picture: Picture, *, copied: bool = False) -> StillSource:
    path = picture.source if isinstance(picture.source, Path) else None
    info = SourceInfo(picture.name, "picture", picture.relative, path, frames=1)

    def read() -> np.ndarray:
        image = read_picture(picture)
        return image.copy() if copied and np.may_share_memory(image, picture.source) else image

    return StillSource(info, read)


class StillSource:
    """One still picture.

    Args:
        info: where it comes from.
        read: gives its pixels (H, W, 3) uint8 BGR, when they are asked for.
    """

    def __init__(self, info: SourceInfo, read: Callable[[], np.ndarray]) -> None:
        self.info, self._read = info, read

    def frames(self) -> Iterator[Frame]:
        """The picture; it is read or fetched now."""
        try:
            frame = Frame(self.info, image=self._read())
        except PoiseError as error:
            frame = Frame(self.info, error=error)
        yield frame
