"""A part of the pictures set aside for validation, where the user has no file for that."""

from __future__ import annotations

import random
from pathlib import Path

from poise.check.files import read_annotations, write_annotations
from poise.errors import DataError

__all__ = ["hold_out"]

#: share of the pictures that is held out; the same ones in every run
_SHARE, _SEED = 0.1, 0


def hold_out(ann: Path, folder: Path) -> tuple[Path, Path]:
    """Two annotation files, of training and validation, made of one.

    Whole pictures are held out, one at least.

    Args:
        ann: COCO file.
        folder: where the two are written.

    Raises:
        DataError: fewer than two pictures.
    """
    content = read_annotations(ann)
    ids = sorted((image["id"] for image in content["images"]), key=str)
    if len(ids) < 2:
        raise DataError(f"{ann} has {len(ids)} picture, too few to hold some out; give --val-ann")
    held = set(random.Random(_SEED).sample(ids, max(1, round(_SHARE * len(ids)))))
    written = []
    for part, wanted in (("train", set(ids) - held), ("val", held)):
        kept = dict(
            content,
            images=[image for image in content["images"] if image["id"] in wanted],
            annotations=[a for a in content["annotations"] if a["image_id"] in wanted],
        )
        path = folder / f"{ann.stem}_{part}.json"
        write_annotations(kept, path)
        written.append(path)
    return written[0], written[1]
