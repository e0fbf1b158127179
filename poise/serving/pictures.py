"""Pictures and boxes that strangers send: looked at before anything is decoded."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import numpy as np

from poise.errors import DataError
from poise.inference.boxes.files import check_boxes
from poise.inference.sources.pictures import decoded, mistaken_for_picture
from poise.serving.limits import Limits
from poise.serving.refusals import RefusedError

__all__ = ["Sent", "boxes_of", "decode"]

#: What is taken, as Pillow calls it.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_TAKEN = "a JPEG, PNG, WebP, BMP or TIFF picture"
#: Pixels that a box may reach; farther off, float32 has none between whole ones.
_FARTHEST = 1e7


class Sent(NamedTuple):
    """A picture as it came.

    Attributes:
        name: what the client calls it.
        raw: its bytes.
    """

    name: str
    raw: bytes


def decode(sent: Sent, limits: Limits) -> np.ndarray:
    """(H, W, 3) uint8 BGR, turned as its EXIF orientation says: what `poise predict` reads.

    Raises:
        RefusedError: nothing there (400), no picture (415), broken (422), too many pixels (413).
    """
    if not sent.raw:
        raise RefusedError(400, f"'{sent.name}' is empty", expected=_TAKEN, got="0 bytes")
    width, height = _size_of(sent)
    if width * height > limits.max_pixels:
        raise _too_large(f"{width} x {height} = {width * height}", sent, limits)
    try:
        image = decoded(np.frombuffer(sent.raw, np.uint8), sent.name)
    except DataError as error:
        raise _broken(sent) from error
    if image is None:
        raise _broken(sent)
    return image


def _size_of(sent: Sent) -> tuple[int, int]:
    """Width and height by the file's first bytes; nothing is decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(sent.raw), formats=_FORMATS) as picture:
            return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RefusedError(413, f"'{sent.name}' has too many pixels: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise _no_picture(sent) from error
    except Exception as error:  # its readers have no common base for what they raise
        raise _broken(sent) from error


def _too_large(what: str, sent: Sent, limits: Limits) -> RefusedError:
    return RefusedError(
        413,
        f"'{sent.name}' has too many pixels",
        expected=f"at most {limits.max_pixels}",
        got=what,
        hint="send a smaller one, or start the server with a larger --max-pixels",
    )


def _no_picture(sent: Sent) -> RefusedError:
    what = mistaken_for_picture(sent.raw[:32])
    if what is not None:
        return RefusedError(415, f"'{sent.name}' is not taken", expected=_TAKEN, got=what)
    return RefusedError(
        415,
        f"'{sent.name}' is no readable picture",
        expected=_TAKEN,
        got=f"{len(sent.raw)} bytes of something else",
        hint="open it in a viewer; with curl, --data-binary keeps the bytes and --data does not",
    )


def _broken(sent: Sent) -> RefusedError:
    return RefusedError(
        422,
        f"'{sent.name}' is a broken picture",
        expected=_TAKEN,
        got=f"{len(sent.raw)} bytes that cannot be decoded",
        hint="open it in a viewer, or save it anew",
    )


def boxes_of(
    text: str | None, pictures: int, limits: Limits, *, several: bool
) -> list[np.ndarray | None]:
    """Boxes of each picture; None where the detector is to look.

    Args:
        text: JSON: `[[x1, y1, x2, y2, score?], ...]`, of several pictures a list with one such
            or null for each; None: no boxes.
        pictures: how many there are.
        limits: of the server.
        several: which of the two forms is meant.

    Returns:
        For each picture (N, 5) float32 xyxy and score, image space, or None.

    Raises:
        RefusedError: another form, NaN, boxes without area, too many.
    """
    if text is None:
        return [None] * pictures
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            422,
            f"boxes is not JSON: {error}",
            expected="[[x1, y1, x2, y2], ...] in pixels of the picture",
            got=text[:80],
        ) from error
    if not several:
        return [_checked(content, "boxes", limits)]
    if not isinstance(content, list) or len(content) != pictures:
        raise RefusedError(
            422,
            "boxes do not fit the pictures",
            expected=f"a list of {pictures}, with [[x1, y1, x2, y2], ...] or null for each",
            got=f"a list of {len(content)}" if isinstance(content, list) else text[:80],
        )
    return [
        None if entry is None else _checked(entry, f"boxes of picture {i}", limits)
        for i, entry in enumerate(content)
    ]


def _checked(content: Any, where: str, limits: Limits) -> np.ndarray:
    if not isinstance(content, list):
        raise RefusedError(
            422,
            f"{where} are no list",
            expected="[[x1, y1, x2, y2], ...] in pixels of the picture",
            got=json.dumps(content)[:80],
        )
    try:
        # numbers that float32 cannot hold become infinite, which is refused
        with np.errstate(over="ignore"):
            boxes, scores = check_boxes(content, where=where)
    except DataError as error:
        raise RefusedError(422, str(error)) from error
    except OverflowError as error:
        raise RefusedError(422, f"{where} have a number that is too large: {error}") from error
    if (abs(boxes) > _FARTHEST).any():
        raise RefusedError(
            422,
            f"{where} lie too far away",
            expected=f"pixels of the picture, from {-_FARTHEST:.0f} to {_FARTHEST:.0f}",
            got=f"{boxes[abs(boxes).argmax() // 4].tolist()}",
        )
    if len(boxes) > limits.max_boxes:
        raise RefusedError(
            422,
            f"{where} are too many",
            expected=f"at most {limits.max_boxes}",
            got=str(len(boxes)),
            hint="send the picture several times with some of them each",
        )
    return np.concatenate((boxes, scores[:, None]), 1)
