"""labelme: a JSON file beside each picture, with shapes.

Points are keypoints and rectangles are people, their labels the names. The same number as
`group_id` holds a person together; without one, the rectangle around a point does. X-AnyLabeling
writes the same form. labelme has no word for a hidden keypoint; what people set instead is taken: a
flag or attribute that says so, or X-AnyLabeling's `difficult`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poise._files import files_below
from poise.data_tools.formats.annotations import Annotations, link_to, real_place
from poise.data_tools.formats.collection import HIDDEN, VISIBLE, Collection
from poise.data_tools.formats.grouping import (
    HIDING,
    LooseBox,
    LoosePoint,
    group_shapes,
    says_hidden,
)
from poise.data_tools.formats.reading import Reading, picture_folder, picture_size
from poise.data_tools.formats.shown import (
    Shown,
    check_apart,
    place_below,
    shown_people,
)
from poise.datasets.coco_file import explained, read_json
from poise.errors import DataError

__all__ = ["is_labelme", "labelme_files", "read_labelme"]

#: of the files that are written: the form has been the same since
VERSION = "5.0.0"


def is_labelme(path: Path) -> bool:
    """A folder with files of labelme, or one of them."""
    return next(_shape_files(path), None) is not None


def _shape_files(path: Path) -> Iterator[Path]:
    """Labelme's files below a folder, or the file itself, by what they hold."""
    for file in files_below(path) if path.is_dir() else [path]:
        if file.suffix == ".json" and file.is_file():
            content = file.read_bytes()
            if b'"shapes"' in content and b'"imagePath"' in content:
                yield file


def read_labelme(path: Path, reading: Reading) -> Annotations:
    """Annotations of labelme's files.

    Args:
        path: folder of the files, or one of them.
        reading: `schema`, `images`, `category`, `margin`.

    Raises:
        DataError: there are no such files, or one is broken.
    """
    files = list(_shape_files(path))
    if not files:
        raise DataError(f"{path} has no files of labelme (.json with `shapes` and `imagePath`)")
    home = path if path.is_dir() else path.parent
    contents = [(file, read_json(str(file), owner="labelme's file")) for file in files]
    named = {}
    for file, content in contents:
        with explained(f"labelme's file {file}"):
            named[file] = _picture_beside(file, content, home)
    around = (home, home / "images", home.parent)
    folder, places = picture_folder(named.values(), around, reading.images)
    book = Collection(reading, path, folder)
    for file, content in contents:
        with explained(f"labelme's file {file}"):
            _read_file(book, file, content, places.get(named[file], named[file]))
    return book.finish()


def _picture_beside(file: Path, content: Mapping[str, Any], home: Path) -> str:
    """A picture's path below the folder; labelme says it from where its file lies."""
    name = str(content["imagePath"]).replace("\\", "/")
    beside = file.parent / name
    for place in (beside, file.parent / Path(name).name):
        if place.is_file() and real_place(place).is_relative_to(home.resolve()):
            return real_place(place).relative_to(home.resolve()).as_posix()
    return name


def _read_file(book: Collection, file: Path, content: Mapping[str, Any], name: str) -> None:
    size: Any = (content.get("imageWidth"), content.get("imageHeight"))
    if not all(size):
        size = picture_size(book.folder / name)
    if size is None:
        book.found.drop("pictures whose size is not known", str(file))
        return
    points, boxes = [], []
    for shape in content["shapes"]:
        kind = shape.get("shape_type") or "polygon"
        corners = [(float(x), float(y)) for x, y, *_ in shape["points"]]
        label, group = str(shape["label"]), shape.get("group_id")
        if kind == "point" and len(corners) == 1:
            seen = HIDDEN if _hidden(shape) else VISIBLE
            points.append(LoosePoint(label, *corners[0], seen, group))
        elif kind == "rectangle" and len(corners) > 1:
            across, down = zip(*corners, strict=True)
            edges = (min(across), min(down), max(across), max(down))
            boxes.append(LooseBox(label, edges, group))
        else:
            book.found.drop(f"shapes of the kind {kind}", f"{file.name} {label}")
    image = book.add_image(name, (int(size[0]), int(size[1])))
    book.add(image, group_shapes(points, boxes, file.name, book.found.drop))


def _hidden(shape: Mapping[str, Any]) -> bool:
    """Whether anything of a shape says that it cannot be seen."""
    said = {**(shape.get("flags") or {}), **(shape.get("attributes") or {})}
    said["difficult"] = shape.get("difficult")
    said["description"] = shape.get("description")
    return says_hidden(said)


def labelme_files(found: Annotations, out: Path) -> dict[Path, bytes]:
    """A file for each picture, by its name below a folder.

    labelme shows them where they lie beside the pictures. A picture in which a model finds nobody
    has none: it would read as one in which somebody saw that nobody is there.

    Args:
        found: annotations.
        out: folder.
    """
    pictures = [
        (place_below(out, image["file_name"]).with_suffix(".json"), image, people)
        for image, people in shown_people(found)
        if people or found.proposed_by is None
    ]
    check_apart((place, image["file_name"]) for place, image, _ in pictures)
    return {
        place: json.dumps(
            {
                "version": VERSION,
                "flags": {},
                "shapes": [shape for person in people for shape in _shapes(person)],
                "imagePath": link_to(found, image["file_name"], place.parent),
                "imageData": None,
                "imageHeight": image["height"],
                "imageWidth": image["width"],
            },
            indent=1,
        ).encode()
        for place, image, people in pictures
    }


def _shapes(person: Shown) -> list[dict[str, Any]]:
    """The box, and the keypoints that have a label, in one group."""
    left, top, right, bottom = person.box
    corners = [[left, top], [right, bottom]]
    drawn: list[tuple[str, str, Any, dict[str, bool]]] = [("rectangle", person.label, corners, {})]
    # the flag is there in either case, so that its box can be ticked
    drawn += [("point", n, [[x, y]], {HIDING[0]: h}) for n, x, y, h in person.labelled]
    return [
        {
            "label": label,
            "points": points,
            "group_id": person.number,
            "description": "",
            "shape_type": kind,
            "flags": flags,
            "mask": None,
        }
        for kind, label, points, flags in drawn
    ]
