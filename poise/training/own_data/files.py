"""Where a user's annotations and pictures lie, guessed from one folder where not said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.check.files import read_annotations
from poise.errors import DataError, FileMissingError

__all__ = ["DataFiles", "find_files"]

#: words in names of annotation files -> what they are for; the first that is found counts
_PARTS = (("train", re.compile("train")), ("val", re.compile("val")), ("val", re.compile("test")))
#: folders below the root in which annotation files are looked for
_ANNOTATION_FOLDERS = ("annotations", "annotation", "labels", ".")
#: so many pictures must be in a folder for it to be the right one
PROBED_PICTURES = 5


@dataclass(frozen=True)
class DataFiles:
    """Annotation files and folders of pictures; without `val_ann` some of the training is held out.

    Attributes:
        train_ann: COCO file of training.
        val_ann: COCO file of validation, or None.
        train_images: folder below which the pictures of training lie.
        val_images: the same of validation.
    """

    train_ann: Path
    val_ann: Path | None
    train_images: Path
    val_images: Path

    def of_parts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """For training, validation and test `ann_file` and `data_prefix`, as configs have them."""
        for part in ("train", "val", "test"):
            train = part == "train"
            ann, images = (
                (self.train_ann, self.train_images) if train else (self.val_ann, self.val_images)
            )
            yield part, dict(ann_file=_whole(ann), data_prefix=dict(img=f"{images.absolute()}/"))

    @property
    def judged(self) -> str:
        """File by which metrics judge."""
        return _whole(self.val_ann)


def find_files(
    root: Path | None,
    train_ann: Path | None = None,
    val_ann: Path | None = None,
    train_images: Path | None = None,
    val_images: Path | None = None,
) -> DataFiles:
    """Files of a data set; what is not given is looked for.

    Args:
        root: folder of the data set; the other paths may be relative to it.
        train_ann: annotation file; else the one below the root with "train" in its name, or the
            only one there.
        val_ann: annotation file; else one with "val" or "test" in its name.
        train_images: folder; else the first of the usual ones that has the pictures.
        val_images: the same.

    Raises:
        FileMissingError: a file or folder is not there or cannot be guessed.
        DataError: several files could be meant.
    """
    given_train, given_val = _existing(train_ann, root), _existing(val_ann, root)
    if given_train is None or given_val is None:
        found = _annotations_below(root) if root is not None else {}
        given_train = given_train or _single("train", found, root)
        given_val = given_val or found.get("val", [None])[0]
    if val_ann is None and given_val == given_train:
        given_val = None
    first = _pictures(given_train, root, train_images, "train")
    second = first if given_val is None else _pictures(given_val, root, val_images, "val")
    return DataFiles(given_train, given_val, first, second)


def _existing(path: Path | None, root: Path | None) -> Path | None:
    if path is None:
        return None
    for place in (path, root / path if root is not None else path):
        if place.is_file():
            return place
    where = f", nor below {root}" if root is not None else ""
    raise FileMissingError(f"there is no annotation file {path}{where}")


def _annotations_below(root: Path) -> dict[str, list[Path]]:
    """JSON files of the usual folders by what they are for: "train", "val", "" (not said)."""
    if not root.is_dir():
        raise FileMissingError(f"there is no folder {root} (--data-root)")
    found: dict[str, list[Path]] = {}
    for folder in _ANNOTATION_FOLDERS:
        files = sorted(f for p in ("*.json", "*.json.gz") for f in (root / folder).glob(p))
        # the name's "val" counts before its "test", which serves where there is no other
        for part, pattern in _PARTS:
            found.setdefault(part, []).extend(f for f in files if pattern.search(f.stem.lower()))
        sided = {file for files in found.values() for file in files}
        found.setdefault("", []).extend(f for f in files if f not in sided)
    return {part: files for part, files in found.items() if files}


def _single(part: str, found: Mapping[str, list[Path]], root: Path | None) -> Path:
    if root is None:
        raise FileMissingError("your own data needs --data-root FOLDER, or --train-ann FILE.json")
    candidates = found.get(part) or found.get("", [])
    if not candidates:
        raise FileMissingError(
            f"no annotation file for training was found below {root} (looked for *.json in "
            f"{', '.join(_ANNOTATION_FOLDERS)}); name it with --train-ann"
        )
    if len(candidates) > 1:
        raise DataError(
            f"several annotation files could be meant for training: "
            f"{', '.join(map(str, candidates))}; choose one with --train-ann"
        )
    return candidates[0]


def _pictures(ann: Path, root: Path | None, given: Path | None, part: str) -> Path:
    """Folder below which the file names of an annotation file exist."""
    names = _sample(read_annotations(ann).get("images", ()))
    if given is not None:
        places = [given, *([root / given] if root is not None else [])]
    else:
        places = _usual_places(ann, root, part)
    for place in places:
        if names and all((place / name).is_file() for name in names):
            return place
    raise FileMissingError(
        f"the pictures of {ann} were not found: it names {names[0] if names else 'none'}, which is "
        f"not in {', '.join(map(str, places))}; say where they are with --{part}-images FOLDER"
    )


def _sample(images: Iterable[Mapping[str, Any]]) -> list[str]:
    # backslashes are Windows' way to write folders
    names = [str(image.get("file_name")).replace("\\", "/") for image in images]
    step = max(1, len(names) // PROBED_PICTURES)
    return names[::step][:PROBED_PICTURES]


def _usual_places(ann: Path, root: Path | None, part: str) -> list[Path]:
    home = root or (ann.parent.parent if ann.parent.name in _ANNOTATION_FOLDERS else ann.parent)
    parts = [ann.stem.rpartition("_")[2], part, f"{part}2017"]
    below = ["images", *(f"images/{p}" for p in parts), *parts, "imgs", "img", "."]
    return [*(home / folder for folder in dict.fromkeys(below)), ann.parent]


def _whole(path: Path | None) -> str:
    """A path from the root on; "" for None."""
    return str(path.absolute()) if path else ""
