"""Labels of any form where only COCO's is read: they are written as COCO's first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from poise._words import counted, numbered
from poise.data_tools.formats.archives import is_archive, unpack
from poise.data_tools.formats.reading import Reading
from poise.data_tools.formats.table import convert_annotations, find_form, labels_in
from poise.data_tools.formats.yolo import has_validation
from poise.errors import DataError, FileMissingError

if TYPE_CHECKING:
    from poise.training.own_data import OwnData

__all__ = ["as_coco_file", "is_foreign", "with_coco_files"]


def is_foreign(path: Path) -> bool:
    """Whether a file or folder holds labels in a form other than COCO's."""
    try:
        return path.exists() and find_form(path) != "coco"
    except DataError:
        return False


def as_coco_file(
    path: Path, out: Path, reading: Reading | None = None
) -> tuple[Path, Path | None, list[str]]:
    """Write labels as a COCO file.

    Args:
        path: file or folder in a form of `FORMS`.
        out: the file.
        reading: wishes about keypoints and pictures.

    Returns:
        the file, the folder that its names of pictures are relative to, where it is known, and
        sentences about what was made, guessed and left out.
    """
    found, files = convert_annotations(path, out, reading, form="coco")
    left = [f"left out: {numbered(count, reason)}" for reason, count in found.lost.items() if count]
    held = f"{counted(len(found.images), 'picture')}, {counted(found.kept, 'person')}"
    about = f"labels of {path}: {held}, now {out}"
    return files[0], found.folder, [about, *found.said, *left]


def with_coco_files(own: OwnData, folder: Path) -> tuple[OwnData, list[str]]:
    """Own data for training whose labels are COCO files, and what was done for that.

    Args:
        own: as the user says it. A root without COCO files may be a folder of labelme, an export
            of CVAT, a project of DeepLabCut, or hold YOLO's data.yaml. Each may be a .zip archive.
        folder: for the files that are written.
    """
    own, told = _unpacked(own, folder)
    if own.train_ann is None and own.root is not None and not _has_coco(own):
        own = replace(own, train_ann=own.root) if is_foreign(own.root) else own
    train = _existing(own.train_ann, own.root)
    if own.val_ann is None and train is not None and is_foreign(train):
        # only YOLO's form names several parts
        both = find_form(train) == "yolo" and has_validation(train)
        own = replace(own, val_ann=own.train_ann) if both else own
    for part, ann, images in (
        ("train", own.train_ann, own.train_images),
        ("val", own.val_ann, own.val_images),
    ):
        place = _existing(ann, own.root)
        if place is None or not is_foreign(place):
            continue
        reading = Reading(images=_existing(images, own.root), part=part, category=own.category)
        file, pictures, said = as_coco_file(place, folder / f"{part}.json", reading)
        told += said
        changes = {f"{part}_ann": file, f"{part}_images": pictures or images}
        own = replace(own, **changes)
    return own, told


def _unpacked(own: OwnData, folder: Path) -> tuple[OwnData, list[str]]:
    """The same with the folders that archives were unpacked into, and what was done."""
    told: list[str] = []
    homes: dict[Path, Path] = {}
    for name in ("root", "train_ann", "val_ann"):
        given = getattr(own, name)
        place = given if name == "root" else _existing(given, own.root)
        if place is None or not is_archive(place):
            continue
        if place not in homes:
            homes[place], sentence = unpack(place, folder / f"{place.stem}_unpacked")
            told.append(sentence)
        home = homes[place]
        own = replace(own, **{name: home if name == "root" else labels_in(home)})
    return own, told


def _has_coco(own: OwnData) -> bool:
    from poise.training.own_data import find_files

    try:
        find_files(own.root, own.train_ann, own.val_ann, own.train_images, own.val_images)
    except (DataError, FileMissingError):
        return False
    return True


def _existing(path: Path | None, root: Path | None) -> Path | None:
    """A path, or the same below the root; None where there is neither."""
    if path is None or path.exists():
        return path
    below = root / path if root is not None else path
    return below if below.exists() else None
