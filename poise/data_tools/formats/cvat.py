"""CVAT's own XML, version 1.1: "for images", with a list of pictures, and "for video", with tracks.

A skeleton is a person whose points are its keypoints; `outside` means not labelled, `occluded`
hidden. Points that are drawn singly are gathered by group, or by the box around them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.collection import HIDDEN, VISIBLE, Collection, Draft
from poise.data_tools.formats.grouping import LooseBox, LoosePoint, group_shapes, says_hidden
from poise.data_tools.formats.reading import PICTURES, Reading, picture_folder, picture_size
from poise.datasets.coco_file import explained
from poise.errors import DataError
from poise.geometry.boxes import Box

__all__ = ["is_cvat", "read_cvat", "xml_file"]

#: what follows the skeleton's name in the label of its box: CVAT takes a name once
BOX_LABEL = " box"
#: name of the file in an export
FILE = "annotations.xml"
#: name of a frame's picture in an export, without ending
FRAME = "frame_{:06d}"
_HEAD_BYTES = 4096
_SHAPES = ("skeleton", "points", "box", "polygon", "polyline", "mask", "ellipse", "cuboid")


def xml_file(path: Path) -> Path | None:
    """CVAT's file: the path itself, or the one in a folder; None where it is none."""
    file = path / FILE if path.is_dir() else path
    if file.suffix.lower() != ".xml" or not file.is_file():
        return None
    with file.open("rb") as stream:
        return file if b"<annotations" in stream.read(_HEAD_BYTES) else None


def is_cvat(path: Path) -> bool:
    """CVAT's XML, or the folder of its export."""
    return xml_file(path) is not None


@dataclass
class _Content:
    """What a file says: skeletons, links, and the shapes of each picture or frame."""

    keypoints: dict[str, list[str]] = field(default_factory=dict)
    links: list[tuple[str, str]] = field(default_factory=list)
    size: tuple[int, int] | None = None
    pictures: list[tuple[str, tuple[int, int], list[ET.Element]]] = field(default_factory=list)
    frames: dict[int, list[ET.Element]] = field(default_factory=lambda: defaultdict(list))


def read_cvat(path: Path, reading: Reading) -> Annotations:
    """Annotations of CVAT's XML.

    Args:
        path: the file, or the folder of an unpacked export.
        reading: `schema`, `images`, `category`, `margin`.

    Raises:
        DataError: no such file, or a broken one.
    """
    file = xml_file(path)
    if file is None:
        raise DataError(f"{path} is no XML file of CVAT (an <annotations> element) nor has one")
    content = _Content()
    try:
        for _, element in ET.iterparse(file):
            _take(content, element)
    except (ET.ParseError, ValueError, TypeError) as error:
        raise DataError(f"{file} is no XML file of CVAT: {error}") from error
    around = (file.parent / "images", file.parent)
    if content.frames:
        return _read_frames(content, file, around, reading)
    folder, places = picture_folder((n for n, _, _ in content.pictures), around, reading.images)
    book = Collection(reading, file, folder)
    for name, size, shapes in content.pictures:
        with explained(f"{file}: a shape of {name}"):
            image = book.add_image(places.get(name, name), size)
            _add(book, image, name, shapes, content.keypoints)
    return book.finish(content.keypoints, content.links)


def _take(content: _Content, element: ET.Element) -> None:
    """Keep what a finished element says."""
    if element.tag == "label":
        _take_label(content, element)
    elif element.tag == "original_size":
        width, height = element.findtext("width"), element.findtext("height")
        if width and height:
            content.size = (int(width), int(height))
    elif element.tag == "image":
        size = (int(element.get("width", 0)), int(element.get("height", 0)))
        content.pictures.append((element.get("name", ""), size, list(element)))
    elif element.tag == "track":
        for shape in element:
            shape.set("label", element.get("label", ""))
            shape.set("track", element.get("id", ""))
            if element.get("group_id"):
                shape.set("group_id", element.get("group_id", ""))
            content.frames[int(shape.get("frame", 0))].append(shape)


def _take_label(content: _Content, label: ET.Element) -> None:
    name, parent = label.findtext("name", ""), label.findtext("parent")
    if parent:
        content.keypoints.setdefault(parent, []).append(name)
    svg = label.findtext("svg")
    if svg:
        nodes = {tag["data-node-id"]: tag["data-label-name"] for tag in _tags(svg, "circle")}
        content.links += [
            (nodes.get(tag["data-node-from"], ""), nodes.get(tag["data-node-to"], ""))
            for tag in _tags(svg, "line")
        ]


def _tags(svg: str, kind: str) -> Iterable[Mapping[str, str]]:
    """Attributes of the lines or circles of a skeleton's picture; not all of them are XML."""
    for text in re.findall(rf"<{kind}\b([^>]*)>", svg):
        found = defaultdict(str, re.findall(r'([\w-]+)="([^"]*)"', text))
        if found["data-node-id" if kind == "circle" else "data-node-from"]:
            yield found


def _read_frames(
    content: _Content, file: Path, around: Iterable[Path], reading: Reading
) -> Annotations:
    """People of tracks."""
    folder, places = picture_folder(
        (FRAME.format(n) + e for n in content.frames for e in (*PICTURES, ".PNG")),
        around,
        reading.images,
    )
    pictures = {Path(place).stem: place for place in places.values()}
    book = Collection(reading, file, folder)
    between = 0
    for frame, shapes in sorted(content.frames.items()):
        name = FRAME.format(frame)
        shown = [shape for shape in shapes if shape.get("outside") != "1"]
        known = pictures.get(name, f"{name}.png")
        size = content.size or picture_size(folder / known)
        if size is None:
            book.found.drop("frames whose size is not known", name)
            continue
        between += sum(shape.get("keyframe") == "0" for shape in shown)
        with explained(f"{file}: a shape of {name}"):
            image = book.add_image(known, size, frame_id=frame)
            _add(book, image, name, shown, content.keypoints)
    if between:
        book.found.said.append(f"{between:,} shapes were put between key frames by CVAT")
    if not pictures:
        book.found.said.append(
            f"no pictures of frames were found (such as {FRAME.format(0)}.png in {folder}): export "
            "them from CVAT, or say where they are with --images"
        )
    return book.finish(content.keypoints, content.links)


def _add(
    book: Collection,
    image: int,
    where: str,
    shapes: Iterable[ET.Element],
    skeletons: Container[str],
) -> None:
    """Take in the people of a picture or frame; `skeletons` are their labels."""
    people: list[tuple[str | None, Draft]] = []
    points: list[LoosePoint] = []
    boxes: list[LooseBox] = []
    for number, shape in enumerate(s for s in shapes if s.tag in _SHAPES):
        label, group = shape.get("label", ""), _group(shape)
        more = {"track_id": int(shape.get("track", 0))} if shape.get("track") else {}
        place = f"{where} {label} {number + 1}"
        if shape.tag == "skeleton":
            found = dict(_keypoint(point) for point in shape.iter("points"))
            # a skeleton whose points are all outside is not in the frame
            seen = {name: values for name, values in found.items() if values[2] > 0}
            if seen:
                people.append((group, Draft(seen, None, label, place, more)))
        elif shape.tag == "points":
            spots = _spots(shape)
            if len(spots) == 1:
                points.append(LoosePoint(label, *spots[0], _seen(shape), group))
            else:
                named = {f"keypoint_{n}": (*s, _seen(shape)) for n, s in enumerate(spots)}
                people.append((group, Draft(named, None, label, place, more)))
        elif shape.tag == "box":
            boxes.append(LooseBox(_owner(label, skeletons), _edges(shape), group, more))
        else:
            book.found.drop(f"shapes of the kind {shape.tag}", place)
    left = _give_boxes(people, boxes)
    book.add(image, [draft for _, draft in people])
    book.add(image, group_shapes(points, left, where, book.found.drop))


def _give_boxes(people: list[tuple[str | None, Draft]], boxes: list[LooseBox]) -> list[LooseBox]:
    """Give skeletons the boxes of their group, else the smallest around them; the rest is left."""
    left = list(boxes)
    for group, draft in people:
        spots = [LoosePoint(name, x, y, v) for name, (x, y, v) in draft.points.items()]
        fitting = [b for b in left if group is not None and b.group == group]
        fitting = fitting or [
            b for b in left if b.group is None and not any(map(b.distance, spots))
        ]
        best = min(fitting, key=lambda b: b.area, default=None)
        if best is not None:
            draft.box = best.box
            left.remove(best)
    return left


def _owner(label: str, skeletons: Container[str]) -> str:
    """The category of a box: its label, or the skeleton's that it is made for."""
    name = label.removesuffix(BOX_LABEL)
    return name if name in skeletons else label


def _group(shape: ET.Element) -> str | None:
    number = shape.get("group_id")
    return number if number not in (None, "", "0") else None


def _keypoint(point: ET.Element) -> tuple[str, tuple[float, float, float]]:
    x, y = _spots(point)[0]
    return point.get("label", ""), (x, y, _seen(point))


def _spots(shape: ET.Element) -> list[tuple[float, float]]:
    """Places of a points element."""
    pairs = (text.split(",") for text in shape.get("points", "").split(";"))
    return [(float(x), float(y)) for x, y in pairs]


def _seen(shape: ET.Element) -> float:
    """COCO's number for a keypoint."""
    if shape.get("outside") == "1":
        return 0.0
    said: dict[str, Any] = {a.get("name", ""): a.text for a in shape.iter("attribute")}
    return HIDDEN if says_hidden({**said, "occluded": shape.get("occluded")}) else VISIBLE


def _edges(box: ET.Element) -> Box:
    left, top, right, bottom = (float(box.get(key, "nan")) for key in ("xtl", "ytl", "xbr", "ybr"))
    return left, top, right, bottom
