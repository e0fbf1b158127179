"""A part of the pictures set aside for validation, where the user has no file for that."""

from __future__ import annotations

import random
from pathlib import Path

from poise.check.files import read_annotations, write_annotations
from poise.errors import DataError

__all__ = ["hold_out"]

#: share of the pictures that is held out
SHARE = 0.1


def hold_out(ann: Path, folder: Path, *, share: float = SHARE, seed: int = 0) -> tuple[Path, Path]:
    """Two annotation files, of training and validation, made of one.

    Whole pictures are held out, the same ones in every run with the same seed.

    Args:
        ann: COCO file.
        folder: where the two are written.
        share: of the pictures for validation; one picture at least.
        seed: of the choice.

    Raises:
        DataError: fewer than two pictures.
    """
    content = read_annotations(ann)
    ids = sorted((image["id"] for image in content["images"]), key=str)
    if len(ids) < 2:
        raise DataError(f"{ann} has {len(ids)} picture, too few to hold some out; give --val-ann")
    held = set(random.Random(seed).sample(ids, max(1, round(share * len(ids)))))
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
