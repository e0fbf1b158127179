"""Many small pictures on one: a look at a data set, a video or the worst cases at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.visualization.labels import FONT
from poise.visualization.style import named_color

__all__ = ["contact_sheet"]

#: Height of a caption's line, and of the title's, in parts of a tile's height.
CAPTION_PART, TITLE_PART = 0.075, 0.12
MIN_CAPTION_PIXELS = 16


def contact_sheet(
    pictures: Sequence[Any],
    captions: Sequence[str] | None = None,
    *,
    title: str | None = None,
    columns: int | None = None,
    tile: tuple[int, int] = (320, 320),
    gap: int = 8,
    background: Any = (32, 32, 32),
    text_color: Any = "white",
    order: str = "bgr",
) -> Array:
    """One picture with all pictures in rows, each scaled into a tile and captioned.

    Args:
        pictures: (H, W, 3) or (H, W) uint8 each, of any sizes; None leaves a tile empty.
        captions: a text for each; shortened in the middle where it is wider than the tile.
        title: text above all.
        columns: tiles in a row; None: about as many as rows.
        tile: width and height of a tile in pixels, without its caption.
        gap: pixels between tiles.
        background: colour: name, `#rrggbb` or red, green, blue.
        text_color: of the captions.
        order: channel order of the pictures, `bgr` or `rgb`.

    Returns:
        sheet (H, W, 3) uint8, in the same channel order.

    Raises:
        DataError: no pictures, another number of captions, or a picture of another kind.
    """
    if not len(pictures):
        raise DataError("a contact sheet needs at least one picture, got none")
    if captions is not None and len(captions) != len(pictures):
        raise DataError(f"there are {len(pictures)} pictures and {len(captions)} captions")
    width, height = tile
    ground, ink = (
        c[::-1] if order == "bgr" else c for c in (named_color(background), named_color(text_color))
    )
    columns = min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    line = max(MIN_CAPTION_PIXELS, round(height * CAPTION_PART)) if captions is not None else 0
    head = max(MIN_CAPTION_PIXELS, round(height * TITLE_PART)) if title else 0
    pitch = (width + gap, height + line + gap)
    sheet = np.empty((rows * pitch[1] + gap + head, columns * pitch[0] + gap, 3), np.uint8)
    sheet[:] = ground
    if title:
        _write(sheet, title, (gap, gap // 2), sheet.shape[1] - 2 * gap, head, ink)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        left, top = gap + column * pitch[0], gap + head + row * pitch[1]
        if picture is not None:
            small = _fitted(picture, tile, i)
            y, x = top + (height - small.shape[0]) // 2, left + (width - small.shape[1]) // 2
            sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
        if captions is not None:
            _write(sheet, str(captions[i]), (left, top + height), width, line, ink)
    return sheet


def _fitted(picture: Any, tile: tuple[int, int], number: int) -> Array:
    """The picture scaled to fit into a tile, never empty."""
    image: Array = np.asarray(picture)
    channels = image.shape[2:]
    if image.dtype != np.uint8 or channels not in ((), (3,), (4,)) or 0 in image.shape:
        raise DataError(
            f"picture {number} of a contact sheet must be (H, W, 3) uint8, got {image.dtype} "
            f"{image.shape}"
        )
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    scale = min(tile[0] / image.shape[1], tile[1] / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image[..., :3]), size, interpolation=way))


def _write(
    sheet: Array, text: str, corner: tuple[int, int], width: int, line: int, ink: Sequence[int]
) -> None:
    """One line of text, shortened in the middle to its width."""
    scale = line / 34
    # OpenCV's letters are ASCII
    text = text.encode("ascii", "replace").decode()
    whole = text
    while len(whole) > 4 and cv2.getTextSize(text, FONT, scale, 1)[0][0] > width:
        middle = len(whole) // 2
        whole = whole[: middle - 1] + whole[middle + 1 :]
        text = f"{whole[: len(whole) // 2]}...{whole[len(whole) // 2 :]}"
    at = (corner[0], corner[1] + round(line * 0.75))
    cv2.putText(sheet, text, at, FONT, scale, ink, 1, cv2.LINE_AA)
