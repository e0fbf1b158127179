"""Contact sheets of a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.pictures import NOT_FOUND, record_picture
from poise.datasets.people import image_folder, parsed_metainfo
from poise.errors import DataError
from poise.visualization.files import write_picture
from poise.visualization.sheets import contact_sheet

__all__ = ["PER_SHEET", "check_ending", "choice", "draw_sheets", "write_sheets"]

PER_SHEET = 16

logger = logging.getLogger("poise.data_tools")


def draw_sheets(
    dataset: Any,
    out: Path,
    *,
    num: int = PER_SHEET,
    seed: int | None = 0,
    title: str = "",
    size: int = 320,
    whole: bool = False,
    indices: bool = False,
    boxes: bool = True,
) -> list[Path]:
    """Write pictures with the records of a data set.

    Args:
        dataset: with `get_data_info` or `[i]`, and `metainfo`.
        out: picture file; with more records than fit on one sheet, `NAME_2.jpg` ... follow.
        num: how many records.
        seed: of the choice; None takes the first ones.
        title: text above; counts are added.
        size: pixels of a tile.
        whole, indices, boxes: as in `record_picture`.

    Returns:
        The files, in order.

    Raises:
        DataError: a file cannot be written, or its ending is not that of a picture.
    """
    check_ending(out)
    chosen = choice(len(dataset), num, seed)
    meta = parsed_metainfo(dataset)
    folder = image_folder(dataset)
    drawn = [
        record_picture(
            _record(dataset, i),
            meta,
            folder=folder,
            size=(size, size),
            whole=whole,
            indices=indices,
            boxes=boxes,
        )
        for i in chosen
    ]
    lost = sum(NOT_FOUND in text for _, text in drawn)
    if lost:
        logger.warning(
            "%d of %d pictures are not where the labels say, so their people are drawn on grey; "
            "--images FOLDER says where pictures are",
            lost,
            len(drawn),
        )
    title = f"{title}  {len(chosen)} of {len(dataset):,}".strip()
    return write_sheets(out, drawn, title=title, size=size)


def check_ending(out: Path) -> None:
    """See, before anything is drawn, that a file of sheets is called as pictures are.

    Raises:
        DataError: it has no ending, as a folder has none.
    """
    if not out.suffix:
        raise DataError(
            f"'{out}' has no ending of pictures; expected a picture file, such as "
            f"{out / 'sheet.jpg' if out.is_dir() else out.with_suffix('.jpg')}"
        )


def write_sheets(
    out: Path, drawn: Sequence[tuple[Any, str]], *, title: str, size: int
) -> list[Path]:
    """Write drawn pictures and their captions in sheets.

    Args:
        out: picture file; further sheets are `NAME_2.jpg` ...
        drawn: pictures (H, W, 3) uint8 BGR, with a text each.
        title: text above.
        size: height of a tile, pixels, and its least width.

    Returns:
        The files, in order.

    Raises:
        DataError: a file cannot be written, or its ending is not that of a picture.
    """
    files = []
    for number, start in enumerate(range(0, len(drawn), PER_SHEET), 1):
        part = drawn[start : start + PER_SHEET]
        widest = max(picture.shape[1] for picture, _ in part)
        sheet = contact_sheet(
            [picture for picture, _ in part],
            [text for _, text in part],
            title=title,
            tile=(max(widest, size), size),
        )
        file = out if number == 1 else out.with_stem(f"{out.stem}_{number}")
        write_picture(sheet, file, order="bgr")
        files.append(file)
    return files


def choice(count: int, num: int, seed: int | None) -> list[int]:
    """Which of `count` records are drawn; None as the seed takes the first ones."""
    if seed is None or num >= count:
        return list(range(min(num, count)))
    return sorted(np.random.default_rng(seed).choice(count, num, replace=False).tolist())


def _record(dataset: Any, index: int) -> dict[str, Any]:
    # a mixture's records come with the keypoints of the mixture's schema from its transforms
    if hasattr(dataset, "get_data_info") and not hasattr(dataset, "datasets"):
        found: dict[str, Any] = dataset.get_data_info(index)
        return found
    item: dict[str, Any] = dataset[index]
    return item
