"""YOLO's pose format: a text file a picture, and a `data.yaml` that says what the numbers are.

A line is a person: class, box (centre, size) and keypoints x, y, visibility; all but the first and
the visibilities are parts of the picture's width and height. Labels lie where the pictures lie,
with "labels" for "images" in the path.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from poise._files import files_below
from poise._words import counted, shortened
from poise.check.files import write_text
from poise.data_tools.formats.annotations import Annotations, new_annotation
from poise.data_tools.formats.reading import PICTURES, Reading, picture_size
from poise.data_tools.formats.shown import check_apart, place_below
from poise.errors import DataError, FileMissingError
from poise.inference.detectors.targets import category_name
from poise.schemas.sides import schema_of_names
from poise.structures import keypoint_names
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["DATA_FILE", "has_validation", "is_yolo", "read_yolo", "write_yolo"]

#: usual name of the data file
DATA_FILE = "data.yaml"

#: folder of the pictures
_IMAGES = "images"
#: class, and box
BEFORE_KEYPOINTS = 5
_DECIMALS = 6


def is_yolo(path: Path) -> bool:
    """A data file or its folder; without `kpt_shape`, too: the reader says what is lacking."""
    file = path / DATA_FILE if path.is_dir() else path
    return file.suffix in (".yaml", ".yml") and file.is_file()


def write_yolo(found: Annotations, out: Path) -> list[Path]:
    """Write `data.yaml` and a label file for each picture.

    Args:
        found: annotations. Crowds, and people without keypoints, have no place in the format and
            are counted in `lost`.
        out: folder, or the .yaml file in it.
    """
    folder, file = (out.parent, out) if out.suffix else (out, out / DATA_FILE)
    classes = {category["id"]: n for n, category in enumerate(found.categories)}
    lines: dict[Any, list[str]] = defaultdict(list)
    sizes = {image["id"]: (image["width"], image["height"]) for image in found.images}
    for person in found.people:
        if person.get("iscrowd") or not person.get("keypoints"):
            reason = "crowd" if person.get("iscrowd") else "without keypoints"
            found.drop(reason, person.get("id"))
        elif person["image_id"] not in sizes:
            found.drop("of an image that is not listed", person.get("id"))
        else:
            number = classes[person["category_id"]]
            lines[person["image_id"]].append(_line(number, person, sizes[person["image_id"]]))
    labels = [
        (_label_of(place_below(folder / _IMAGES, _below_images(image["file_name"]))), image)
        for image in found.images
    ]
    check_apart((label, image["file_name"]) for label, image in labels)
    for label, image in labels:
        write_text(label, "".join(lines[image["id"]]))
    about: dict[str, Any] = {
        "path": str(folder.resolve()),
        "train": _IMAGES,
        "val": _IMAGES,
        "kpt_shape": [len(found.names), 3],
        "flip_idx": found.swap,
        "names": {n: category["name"] for n, category in enumerate(found.categories)},
        "kpt_names": {0: found.names},
    }
    if found.schema:
        about["schema"] = found.schema
    write_text(file, yaml.safe_dump(about, sort_keys=False))
    return [file, folder / "labels"]


def _below_images(name: str) -> str:
    """A picture's name below the last folder of pictures that it has, where it has one."""
    return name.replace("\\", "/").rpartition(f"/{_IMAGES}/")[2].removeprefix(f"{_IMAGES}/")


def _line(number: int, person: dict[str, Any], size: tuple[int, int]) -> str:
    scale = np.array(size, np.float64)
    x, y, width, height = person["bbox"]
    box = np.array([x + width / 2, y + height / 2, width, height]) / np.tile(scale, 2)
    triples = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    places = np.where(triples[:, 2:] > 0, triples[:, :2] / scale, 0)
    words = [f"{v:.{_DECIMALS}f}" for v in box]
    for (px, py), seen in zip(places, triples[:, 2], strict=True):
        words += [f"{px:.{_DECIMALS}f}", f"{py:.{_DECIMALS}f}", f"{seen:g}"]
    return " ".join([str(number), *words]) + "\n"


def read_yolo(path: Path, reading: Reading) -> Annotations:
    """Annotations of a YOLO data set.

    Args:
        path: its .yaml file, or the folder of its `data.yaml`.
        reading: `schema`, by the file's `schema` or `kpt_names` without it; `images`, instead of
            the file's; `part`.

    Raises:
        DataError: a file is not what it should be.
        FileMissingError: there are no pictures.
    """
    path = path / DATA_FILE if path.is_dir() else path
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        count, numbers = about["kpt_shape"]
        if numbers not in (2, 3):
            raise ValueError(f"got {about['kpt_shape']}")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no data file of YOLO's pose format: it needs kpt_shape: [keypoints, 2 or 3]"
            f" ({error})"
        ) from error
    names, swap, skeleton, found = _keypoints(about, count, reading.schema)
    # labels lie where pictures should, also where a user says that these are elsewhere
    named, others = path.parent / _IMAGES, 0
    if about.get(reading.part) or not reading.images:
        named, others = _folder(path, about, reading.part)
    folder = reading.images or named
    there = files_below(folder) if folder.is_dir() else ()
    pictures = [p for p in there if p.suffix.lower() in PICTURES]
    if not pictures:
        what = "is a list, which is not read" if folder.is_file() else "has none"
        raise FileMissingError(f"{folder}, the pictures of {path}, {what}; give --images FOLDER")
    classes = about.get("names") or {0: category_name(names)}
    classes = dict(enumerate(classes)) if isinstance(classes, list) else classes
    result = Annotations(
        [],
        [],
        names,
        swap,
        skeleton,
        [{"id": int(n) + 1, "name": name} for n, name in classes.items()],
        found,
        folder=folder,
    )
    if others and not reading.images:
        result.said.append(
            f"{path} names {others + 1} folders of pictures for {reading.part}: only {folder} was "
            "read; --images FOLDER reads another"
        )
    shape, beside = (count, numbers), path.parent
    bare = [p for p in pictures if not _read_picture(result, p, named, beside, shape)]
    if len(bare) == len(pictures):
        raise DataError(
            f"{path}: none of its {counted(len(bare), 'picture')} has a file of labels, such as "
            f"{_label_of(named / bare[0].relative_to(folder))}"
        )
    if bare:
        result.said.append(
            f"{counted(len(bare), 'picture')} without a file of labels, as of nobody in it: "
            f"{shortened((p.relative_to(folder) for p in bare), 2)}"
        )
    return result


def has_validation(path: Path) -> bool:
    """Whether a data file, or that of a folder, names other pictures for the validation."""
    file = path / DATA_FILE if path.is_dir() else path
    try:
        about = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return False
    parts = about if isinstance(about, dict) else {}
    return bool(parts.get("val")) and parts.get("val") != parts.get("train")


def _read_picture(
    result: Annotations, picture: Path, named: Path, beside: Path, shape: tuple[int, int]
) -> bool:
    """Take in a picture and its people; labels lie by it, or by the folder that the file names.

    Returns:
        False for a picture without a file of labels.
    """
    assert result.folder is not None
    size = picture_size(picture)
    below = picture.relative_to(result.folder)
    name = below.as_posix()
    if size is None:
        result.drop("pictures that cannot be read", name)
        return True
    number = len(result.images) + 1
    result.images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
    # beside the data file: as poise predict --save yolo leaves them
    places = (_label_of(picture), _label_of(named / below), (beside / below).with_suffix(".txt"))
    label = next((f for f in places if f.is_file()), None)
    if label is None:
        return False
    count, numbers = shape
    classes = {category["id"] - 1 for category in result.categories}
    for place, text in enumerate(label.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = text.split()
        if not words:
            continue
        if len(words) != BEFORE_KEYPOINTS + count * numbers:
            raise DataError(
                f"{label}, line {place}, has {len(words)} numbers, expected "
                f"{BEFORE_KEYPOINTS + count * numbers}: class, box, {count} keypoints of {numbers}"
            )
        try:
            values = np.array(words, np.float64)
        except ValueError as error:
            raise DataError(f"{label}, line {place}: {error}") from error
        if not np.isfinite(values).all():
            raise DataError(f"{label}, line {place}: NaN or infinity among the numbers")
        if values[0] not in classes:
            raise DataError(
                f"{label}, line {place}: class {words[0]}, expected one of those that the data "
                f"file names, {', '.join(map(str, sorted(classes)))}"
            )
        result.people.append(_person(values, size, shape, number, len(result.people) + 1))
    return True


def _person(
    values: np.ndarray, size: tuple[int, int], shape: tuple[int, int], image: int, number: int
) -> dict[str, Any]:
    scale = np.array(size, np.float64)
    center, sides = values[1:3] * scale, values[3:5] * scale
    points = values[BEFORE_KEYPOINTS:].reshape(shape)
    # without a visibility, a keypoint at the corner is not labelled
    seen = points[:, 2] if shape[1] == 3 else np.where(points.any(axis=1), 2.0, 0.0)
    triples = np.column_stack([np.where(seen[:, None] > 0, points[:, :2] * scale, 0), seen])
    box = np.concatenate([center - sides / 2, sides])
    return new_annotation(number, image, int(values[0]) + 1, box, triples)


def _label_of(picture: Path) -> Path:
    """The label file of a picture: "labels" for the last "images" in its path."""
    parts = list(picture.parts)
    place = next((i for i in range(len(parts) - 2, -1, -1) if parts[i] == _IMAGES), None)
    if place is not None:
        parts[place] = "labels"
    return Path(*parts).with_suffix(".txt")


def _folder(path: Path, about: dict[str, Any], part: str) -> tuple[Path, int]:
    """Folder of the pictures of a part, and how many further ones are named.

    Raises:
        DataError: the file names pictures, and none for this part.
    """
    named = [name for name in ("train", "val", "test") if about.get(name)]
    if named and part not in named:
        raise DataError(
            f"{path} names no pictures for {part}, only for {' and '.join(named)}; choose one of "
            "these with --part, or give --images FOLDER"
        )
    entry = about.get(part) or ""
    entries = entry if isinstance(entry, list) else [entry]
    root = Path(about.get("path") or ".")
    tried = [base / str(entries[0]) for base in (root, path.parent / root, path.parent)]
    return next((folder for folder in tried if folder.is_dir()), tried[-1]), len(entries) - 1


def _keypoints(
    about: dict[str, Any], count: int, schema: str | None
) -> tuple[list[str], list[int], list[tuple[int, int]], str]:
    """Names, other sides, links and schema."""
    named = about.get("kpt_names") or {}
    named = next(iter(named.values()), None) if isinstance(named, dict) else named
    # YOLO's own models have COCO's keypoints and do not name them
    by_names = schema_of_names(list(named)) if named else "coco" if count == 17 else None
    known = schema or about.get("schema") or by_names
    if known:
        meta = parse_pose_metainfo({"from_file": known})
        if meta["num_keypoints"] != count:
            raise DataError(
                f"kpt_shape has {counted(count, 'keypoint')}, the schema {known} "
                f"{meta['num_keypoints']}"
            )
        names = keypoint_names(meta)
        return names, list(meta["flip_indices"]), list(meta["skeleton_links"]), known
    names = list(named or [f"keypoint_{i}" for i in range(count)])
    if len(names) != count:
        raise DataError(f"kpt_shape has {counted(count, 'keypoint')}, kpt_names {len(names)}")
    return names, list(about.get("flip_idx") or range(count)), [], ""
