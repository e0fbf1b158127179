"""Label Studio: a JSON list of tasks, with the results of one or more annotators.

Keypoints and rectangles are regions in per cent of the picture. A keypoint belongs to the rectangle
that it was put under or is related to, else to the smallest one around it.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

from poise.data_tools.formats.annotations import Annotations, link_to
from poise.data_tools.formats.collection import HIDDEN, VISIBLE, Collection
from poise.data_tools.formats.grouping import LooseBox, LoosePoint, group_shapes, says_hidden
from poise.data_tools.formats.reading import PICTURES, Reading, picture_folder, picture_size
from poise.data_tools.formats.shown import Shown, category_keypoints, shown_people
from poise.datasets.coco_file import explained, read_json
from poise.errors import DataError
from poise.geometry.boxes import Box

__all__ = ["is_label_studio", "label_studio_files", "read_label_studio"]

#: what is written: tasks, and the labelling interface for them
TASKS, INTERFACE = "tasks.json", "labeling_interface.xml"
#: address of a picture in a local storage
_LOCAL = "/data/local-files/?d="
_PERCENT = 100
#: size of a keypoint's dot, per cent of the picture
_DOT = 0.5
#: types of results that name a region
_POINTS, _BOXES = "keypointlabels", "rectanglelabels"


def is_label_studio(path: Path) -> bool:
    """A list with keypoints of Label Studio."""
    if path.suffix != ".json" or not path.is_file():
        return False
    content = path.read_bytes()
    return content.lstrip().startswith(b"[") and b'"keypointlabels"' in content


def read_label_studio(path: Path, reading: Reading) -> Annotations:
    """Annotations of an export in the forms JSON or JSON-MIN.

    Args:
        path: the file.
        reading: `schema`, `images`, `category`, `annotator`, `predicted`, `margin`.

    Raises:
        DataError: no such file, or a broken one.
    """
    tasks = read_json(str(path), owner="Label Studio's file")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path} is no export of Label Studio: expected a list of tasks")
    names = [_picture_name(task) for task in tasks]
    around = (path.parent / "images", path.parent)
    folder, places = picture_folder(filter(None, names), around, reading.images)
    book = Collection(reading, path, folder)
    for number, (task, name) in enumerate(zip(tasks, names, strict=True)):
        where = f"task {task.get('id', number)}"
        with explained(f"{path}: {where}"):
            results = _chosen(book, task, where)
            if results is not None:
                _add(book, places.get(name, name), results, where)
    return book.finish()


def _picture_name(task: Mapping[str, Any]) -> str:
    """Path of a task's picture, without what an address has around it."""
    data = task.get("data") if isinstance(task.get("data"), Mapping) else task
    texts = [v for v in (data or {}).values() if isinstance(v, str)]
    texts.append(str(task.get("file_upload") or ""))
    names = []
    for text in texts:
        parts = urlsplit(text)
        # files of a local store: /data/local-files/?d=folder/name.jpg
        names.append(unquote(parse_qs(parts.query).get("d", [parts.path])[0]).lstrip("/"))
    return next((name for name in names if Path(name).suffix.lower() in PICTURES), "")


def _chosen(book: Collection, task: Mapping[str, Any], where: str) -> list[Any] | None:
    """Results of the annotator whose work counts; None where there are none."""
    if not {"annotations", "completions", "predictions"} & task.keys():
        return _of_minimal(task)
    done = list(task.get("annotations") or task.get("completions") or ())
    kept = [a for a in done if not a.get("was_cancelled")]
    for _ in range(len(done) - len(kept)):
        book.found.drop("annotations that were cancelled", where)
    wanted = book.reading.annotator
    mine = [a for a in kept if wanted is None or wanted in _names_of(a.get("completed_by"))]
    proposed = list(task.get("predictions") or ()) if book.reading.predicted else []
    if not mine and proposed:
        return list(proposed[-1].get("result") or ())
    if not mine:
        about = "annotations" if wanted is None else f"annotations of {wanted}"
        hint = " (--predicted takes a model's)" if task.get("predictions") else ""
        book.found.drop(f"tasks without {about}{hint}", where)
        return None
    # newest last; what was marked as the truth counts before that
    mine.sort(key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))
    for other in kept:
        if other is not mine[-1]:
            name = next(iter(_names_of(other.get("completed_by"))), "?")
            book.found.drop("further annotations of the same task", f"{where} by {name}")
    return list(mine[-1].get("result") or ())


def _names_of(who: Any) -> list[str]:
    """Id and mail address of an annotator."""
    if isinstance(who, Mapping):
        return [str(who[key]) for key in ("id", "email") if who.get(key) is not None]
    return [] if who is None else [str(who)]


def _of_minimal(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Regions of a task of the form JSON-MIN, as results."""
    regions = [r for v in task.values() if isinstance(v, list) for r in v if isinstance(r, dict)]
    return [
        {**region, "value": region, "type": kind}
        for region in regions
        for kind in (_POINTS, _BOXES)
        if kind in region
    ]


def _add(book: Collection, name: str, results: list[Any], where: str) -> None:
    """Take in the people of a task."""
    size = next(
        ((r["original_width"], r["original_height"]) for r in results if r.get("original_width")),
        None,
    ) or picture_size(book.folder / name)
    if not name or size is None:
        book.found.drop("tasks whose picture is not known", where)
        return
    said: dict[Any, dict[str, Any]] = defaultdict(dict)
    owner: dict[Any, Any] = {}
    for result in results:
        if result["type"] == "relation":
            owner[result["from_id"]] = result["to_id"]
            owner.setdefault(result["to_id"], result["from_id"])
        else:
            _gather_words(said[result.get("id")], result)
    boxes, numbers = [], set()
    for result in _usable(book, results, _BOXES, where):
        more = {"score": result["score"]} if "score" in result else {}
        label, number = str(result["value"][_BOXES][0]), result.get("id")
        boxes.append(LooseBox(label, _box(result["value"], size), number, more))
        numbers.add(number)
    points = []
    for result in _usable(book, results, _POINTS, where):
        value, number = result["value"], result.get("id")
        x, y = value["x"] / _PERCENT * size[0], value["y"] / _PERCENT * size[1]
        holders = (result.get("parentID"), owner.get(number))
        group = next((h for h in holders if h is not None and h in numbers), None)
        seen = HIDDEN if says_hidden(said[number]) else VISIBLE
        points.append(LoosePoint(str(value[_POINTS][0]), x, y, seen, group))
    image = book.add_image(name, (int(size[0]), int(size[1])))
    book.add(image, group_shapes(points, boxes, where, book.found.drop))


def _gather_words(said: dict[str, Any], result: Mapping[str, Any]) -> None:
    """What choices, further labels and notes of a region say."""
    value = result.get("value") or {}
    texts = [*(value.get("choices") or ()), *(value.get(_POINTS) or ())[1:]]
    texts += (result.get("meta") or {}).get("text") or ()
    said.update({f"{len(said)} {n}": text for n, text in enumerate(texts)})


def _usable(book: Collection, results: list[Any], kind: str, where: str) -> list[Any]:
    """Regions of a kind that have a label and lie in a picture as it is stored."""
    found = []
    for result in results:
        if result["type"] != kind:
            continue
        if not result["value"].get(kind):
            book.found.drop("regions without a label", where)
        elif result.get("image_rotation"):
            book.found.drop("regions of pictures that were turned in Label Studio", where)
        else:
            found.append(result)
    return found


def _box(value: Mapping[str, Any], size: tuple[float, float]) -> Box:
    """What a rectangle spans, in pixels; a turned one is turned around its first corner."""
    left, top, width, height = (
        value[key] / _PERCENT * size[n % 2] for n, key in enumerate(("x", "y", "width", "height"))
    )
    angle = math.radians(value.get("rotation") or 0)
    cos, sin = math.cos(angle), math.sin(angle)
    across = [0, width * cos, -height * sin, width * cos - height * sin]
    down = [0, width * sin, height * cos, width * sin + height * cos]
    return left + min(across), top + min(down), left + max(across), top + max(down)


def label_studio_files(found: Annotations, out: Path) -> dict[Path, bytes]:
    """Tasks to import, and the labelling interface of the project.

    Pictures are named as files of a local storage whose root is above their folder.

    Args:
        found: annotations; what a model proposes become predictions, which people take over.
        out: folder, or the .json file in it.
    """
    file = out if out.suffix == ".json" else out / TASKS
    home = file.parent.resolve()
    key = "annotations" if found.proposed_by is None else "predictions"
    tasks: list[dict[str, Any]] = []
    for image, people in shown_people(found):
        way, above = link_to(found, image["file_name"], home), home.name
        if way.startswith("..") and found.folder is not None:
            way, above = image["file_name"], found.folder.resolve().name
        results = [result for person in people for result in _results(image, person)]
        done: dict[str, Any] = {"result": results}
        if found.proposed_by is not None:
            scores = [p.about["score"] for p in people if "score" in p.about]
            done |= {"model_version": found.proposed_by, "score": min(scores, default=0.0)}
        address = f"{_LOCAL}{quote(PurePosixPath(above, way).as_posix())}"
        known = [done] if found.proposed_by is None or people else []
        tasks.append({"data": {"image": address}, key: known})
    return {
        file: json.dumps(tasks, indent=1).encode(),
        file.with_name(INTERFACE): _interface(found).encode(),
    }


def _results(image: Mapping[str, Any], person: Shown) -> list[dict[str, Any]]:
    """Regions of a person: the box, and under it the keypoints."""
    width, height = image["width"], image["height"]
    across, down = _PERCENT / width, _PERCENT / height
    common = {
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    left, top, right, bottom = person.box
    edges = {"x": left * across, "y": top * down, "rotation": 0}
    sides = {"width": (right - left) * across, "height": (bottom - top) * down}
    number = f"person{person.number}"
    found = [
        {
            **common,
            "id": number,
            "type": _BOXES,
            "from_name": "box",
            "value": {**edges, **sides, _BOXES: [person.label]},
        }
    ]
    for name, x, y, hidden in person.labelled:
        own = {**common, "id": f"{number}-{name}", "parentID": number}
        spot = {"x": x * across, "y": y * down, "width": _DOT}
        found.append(
            {**own, "type": _POINTS, "from_name": "keypoint", "value": {**spot, _POINTS: [name]}}
        )
        if hidden:
            value = {**spot, "choices": ["hidden"]}
            found.append({**own, "type": "choices", "from_name": "seen", "value": value})
    return found


def _interface(found: Annotations) -> str:
    """The labelling interface, as XML."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", {"name": "image", "value": "$image", "zoom": "true"})
    for kind, name, labels in (
        ("RectangleLabels", "box", category_keypoints(found)),
        ("KeyPointLabels", "keypoint", found.names),
    ):
        group = ET.SubElement(view, kind, {"name": name, "toName": "image"})
        for label in labels:
            ET.SubElement(group, "Label", {"value": label})
    about = {"name": "seen", "toName": "image", "perRegion": "true", "whenTagName": "keypoint"}
    choices = ET.SubElement(view, "Choices", about)
    ET.SubElement(choices, "Choice", {"value": "hidden"})
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"
