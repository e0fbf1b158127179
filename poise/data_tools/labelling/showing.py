"""A picture as browsers can show it, with the pixels in the places where training sees them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from poise.data_tools.labelling.refusals import RefusedError
from poise.errors import PoiseError
from poise.transforms.image import decode_image, read_bytes
from poise.visualization.files import encoded

__all__ = ["picture_pixels", "shown_picture"]

#: Pillow's name of a form that all browsers show -> its type
_SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
#: colours that browsers make the same pixels of
_PLAIN = ("RGB", "L")
_ORIENTATION, _UPRIGHT = 0x0112, 1
#: pixels of a picture above which a PNG takes too long
_LARGE = 4_000_000
_QUALITY = 95


def picture_pixels(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, as training reads it.

    Raises:
        RefusedError: it cannot be read.
    """
    return _decoded(_content(path), path)


def shown_picture(path: Path) -> tuple[bytes, str]:
    """Bytes and type of a picture.

    A file that every browser shows as training reads it goes as it is; others (turned by their EXIF
    tag, 16 bits, transparent, TIFF ...) are decoded as training does and encoded again.

    Raises:
        RefusedError: it cannot be read.
    """
    content = _content(path)
    kind = _as_it_is(content)
    if kind is not None:
        return content.tobytes(), kind
    image = _decoded(content, path)
    if image.shape[0] * image.shape[1] > _LARGE:
        quality = cv2.IMWRITE_JPEG_QUALITY, _QUALITY
        return encoded(image, ".jpg", str(path), quality), "image/jpeg"
    return encoded(image, ".png", str(path), (cv2.IMWRITE_PNG_COMPRESSION, 1)), "image/png"


def _content(path: Path) -> np.ndarray:
    try:
        return read_bytes(path)
    except (OSError, PoiseError) as error:
        raise RefusedError(404, f"the picture {path.name} cannot be read: {error}") from error


def _decoded(content: np.ndarray, path: Path) -> np.ndarray:
    try:
        return decode_image(content)
    except PoiseError as error:
        raise RefusedError(
            422,
            f"the picture {path.name} cannot be read: {error}. Training would stop here, too; put "
            "a whole file in its place, or take it out",
        ) from error


def _as_it_is(content: np.ndarray) -> str | None:
    """Type of a file that can go as it is."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content.tobytes())) as picture:
            upright = picture.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
            still = getattr(picture, "n_frames", 1) == 1
            plain = picture.mode in _PLAIN and "transparency" not in picture.info
            return _SHOWN.get(picture.format or "") if upright and still and plain else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # the reader of training says what is wrong
        return None
