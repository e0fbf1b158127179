"""CVAT's XML "for images", version 1.1, and the labels that a task for it needs.

CVAT takes an upload of annotations only where the task has labels of the same names. `labels.json`
is what its label editor takes under "Raw".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.cvat import BOX_LABEL, FILE
from poise.data_tools.formats.shown import Shown, category_keypoints, shown_people

__all__ = ["cvat_files"]

#: labels of a task, as its label editor takes them
LABELS = "labels.json"
#: a skeleton is drawn in a square of that side, this far from its edges
_SIDE, _MARGIN = 100, 10


def cvat_files(found: Annotations, out: Path) -> dict[Path, bytes]:
    """Annotations and labels.

    Args:
        found: annotations. What a model proposes keeps the place of keypoints that are not
            labelled, as points outside of the picture's content.
        out: folder, or the .xml file in it.
    """
    file = out if out.suffix == ".xml" else out / FILE
    pictures = shown_people(found)
    links = [(found.names[a], found.names[b]) for a, b in found.skeleton]
    own = category_keypoints(found)
    skeletons = {
        label: _svg(names, links, _typical(label, pictures, len(names)))
        for label, names in own.items()
    }
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    listed = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    for label, svg in skeletons.items():
        _add_label(listed, label, "skeleton", svg=svg)
        for name in own[label]:
            _add_label(listed, name, "points", parent=label)
        _add_label(listed, label + BOX_LABEL, "rectangle")
    for number, (image, people) in enumerate(pictures):
        size = {"width": str(image["width"]), "height": str(image["height"])}
        about = {"id": str(number), "name": image["file_name"], **size}
        place = ET.SubElement(root, "image", about)
        for person in people:
            _add_person(place, person)
    ET.indent(root)
    text = b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="utf-8")
    labels = [entry for label in own for entry in _raw(label, own[label], skeletons[label])]
    return {file: text + b"\n", file.with_name(LABELS): json.dumps(labels, indent=1).encode()}


def _add_label(listed: ET.Element, name: str, kind: str, **more: str) -> None:
    label = ET.SubElement(listed, "label")
    for key, value in {"name": name, "type": kind, **more}.items():
        ET.SubElement(label, key).text = value


def _raw(label: str, names: Sequence[str], svg: str) -> list[dict[str, Any]]:
    """What the label editor takes of a category."""
    points = [{"name": name, "type": "points", "attributes": []} for name in names]
    skeleton = {"name": label, "type": "skeleton", "svg": svg, "sublabels": points}
    return [
        {**skeleton, "attributes": []},
        {"name": label + BOX_LABEL, "type": "rectangle", "attributes": []},
    ]


def _add_person(place: ET.Element, person: Shown) -> None:
    """The box, and the skeleton, in one group; a point of each keypoint."""
    common = {"source": "file", "z_order": "0", "group_id": str(person.number)}
    edges = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(_number, person.box), strict=True))
    ET.SubElement(
        place, "box", {"label": person.label + BOX_LABEL, "occluded": "0", **edges, **common}
    )
    if not (person.triples[:, 2] > 0).any():
        return
    skeleton = ET.SubElement(place, "skeleton", {"label": person.label, "occluded": "0", **common})
    middle = np.reshape(person.box, (2, 2)).mean(axis=0)
    for name, (x, y, seen) in zip(person.names, person.triples.tolist(), strict=True):
        # a point that is outside needs a place all the same, to be drawn from when it is wanted
        spot = (x, y) if seen or x or y else middle.tolist()
        about = {
            "label": name,
            "source": "file",
            "outside": str(int(seen <= 0)),
            "occluded": str(int(0 < seen < 2)),
            "points": ",".join(map(_number, spot)),
        }
        ET.SubElement(skeleton, "points", about)


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _typical(label: str, pictures: Sequence[tuple[Any, Sequence[Shown]]], count: int) -> np.ndarray:
    """(K, 2) places of keypoints in the square of a drawing: those of the fullest pose.

    In a circle where nobody of the category has a pose.
    """
    people = [p for _, group in pictures for p in group if p.label == label]
    best = max(people, key=lambda p: int((p.triples[:, 2] > 0).sum()), default=None)
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    places = np.stack([np.sin(turns), -np.cos(turns)], axis=1)
    seen = np.zeros(count, bool) if best is None else best.triples[:, 2] > 0
    if best is not None and seen.sum() > 1:
        points = best.triples[:, :2]
        low, high = points[seen].min(axis=0), points[seen].max(axis=0)
        around = (low + high) / 2 + places * max((high - low).max(), 1) / 2
        places = np.where(seen[:, None], points, around)
    low, high = places.min(axis=0), places.max(axis=0)
    scale = (_SIDE - 2 * _MARGIN) / max(float((high - low).max()), 1e-9)
    return (places - (low + high) / 2) * scale + _SIDE / 2


def _svg(names: Sequence[str], links: Sequence[tuple[str, str]], places: np.ndarray) -> str:
    """The drawing of a skeleton, whose nodes CVAT numbers from 1."""
    number = {name: n for n, name in enumerate(names, 1)}
    spots = {
        name: (round(float(x), 2), round(float(y), 2))
        for name, (x, y) in zip(names, places, strict=True)
    }
    drawn = []
    for a, b in links:
        if a in number and b in number:
            ends = {"x1": spots[a][0], "y1": spots[a][1], "x2": spots[b][0], "y2": spots[b][1]}
            nodes = {"data-node-from": number[a], "data-node-to": number[b]}
            style = {"stroke": "black", "stroke-width": 0.5, "data-type": "edge"}
            drawn.append(_tag("line", {**ends, **style, **nodes}))
    for name in names:
        style = {"r": 1.5, "stroke": "black", "fill": "#b3b3b3", "stroke-width": 0.1}
        place = {"cx": spots[name][0], "cy": spots[name][1], "data-type": "element node"}
        ids = {"data-element-id": number[name], "data-node-id": number[name]}
        drawn.append(_tag("circle", {**style, **place, **ids, "data-label-name": name}))
    return "".join(drawn)


def _tag(kind: str, attributes: Mapping[str, Any]) -> str:
    element = ET.Element(kind, {key: str(value) for key, value in attributes.items()})
    return ET.tostring(element, encoding="unicode", short_empty_elements=False)
