"""Drawn pictures as the bytes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from poise._arrays import Array
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


def write_picture(picture: Array, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 RGB; the suffix says the format.

    Raises:
        DataError: as `encoded`.
    """
    content = encoded(np.ascontiguousarray(picture[..., ::-1]), path.suffix or ".png", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
