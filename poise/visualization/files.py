"""Drawn pictures as the bytes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from poise._arrays import Array
from poise._files import write_whole, writing
from poise.errors import DataError

__all__ = ["encoded", "write_picture"]


def encoded(picture: Array, ending: str, name: str, settings: Sequence[int] = ()) -> bytes:
    """Content of a picture file.

    Args:
        picture: (H, W, 3) uint8 BGR.
        ending: of the file, such as ".jpg".
        name: how an error calls it.
        settings: of `cv2.imencode`.

    Raises:
        DataError: the ending is not that of a picture, or such files cannot hold this one.
    """
    try:
        done, data = cv2.imencode(ending, picture, settings)
    except cv2.error:
        done = False
    if not done:
        raise DataError(
            f"{name} of the shape {picture.shape} cannot be written as '{ending}'; expected "
            "pixels, and .png or another ending of pictures (a JPEG has 65500 pixels a side at "
            "most)"
        )
    return data.tobytes()


def write_picture(picture: Array, path: Path, *, order: str = "rgb") -> None:
    """Write a picture file, which appears whole or not at all, and the folders above it.

    Args:
        picture: (H, W, 3), (H, W, 4) with transparency last, or (H, W) uint8.
        path: whose suffix says the format.
        order: of the channels, `rgb` or `bgr`.

    Raises:
        DataError: as `encoded`, or the file cannot be written.
    """
    if order == "rgb" and picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    content = encoded(np.ascontiguousarray(picture), path.suffix or ".png", str(path))
    with writing(path):
        write_whole(path, content)
