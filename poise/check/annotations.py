"""An annotation file of COCO's form, looked at as it stands: every fault, not the first.

Readers stop at the first entry that they cannot use; before a training one wants to know of all
kinds of faults, each with how many and which.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import counted, numbered, shortened
from poise.check.files import check_forms, folders_in
from poise.datasets.coco_file import read_json
from poise.datasets.instances import InstanceRule
from poise.datasets.paths import join_path, picture_folder
from poise.errors import DataError

__all__ = ["AnnotationFile", "Fault"]

#: numbers of a keypoint: x, y, visibility
NUMBERS = 3
#: a share of annotations that is no accident
MANY = 0.5
MOST = 0.9
#: a share of boxes that reach beyond the picture by more than a part of it, or of keypoints beyond
#: their boxes, that is no accident
SEVERAL, SLACK = 0.2, 0.05
#: folders near the file, and names of pictures, that are looked at to find where these lie
MOST_FOLDERS, MOST_NAMES = 50, 20
#: what mends many faults
CONVERT = "`poise data convert FILE -o NEW.json`"
#: pictures that are looked for, spread over the file
MOST_PICTURES = 20_000


@dataclass(frozen=True)
class Fault:
    """A fault of a file: `grave` ones stop a reader or leave nothing to learn."""

    text: str
    grave: bool = True
    fix: str = ""


class AnnotationFile:
    """The content of a file, and what its data set makes of it.

    Args:
        path: the file.
        rule: how the data set's annotations are written.
        metainfo: parsed schema, or None where the data set has none.
        folder: where its pictures are.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is not JSON, or no object with lists `images` and `annotations`.
    """

    def __init__(
        self, path: str, rule: InstanceRule, metainfo: Mapping[str, Any] | None, folder: str
    ) -> None:
        self.path, self.rule, self.folder = path, rule, folder
        self.metainfo = metainfo or {}
        content = read_json(path, owner="The annotation file")
        if not isinstance(content, dict) or not isinstance(content.get("images"), list):
            keys = ", ".join(map(str, content)) if isinstance(content, dict) else "no keys"
            raise DataError(
                f"{path} is no annotation file of COCO's form, an object with `images` and "
                f"`annotations`; this {type(content).__name__} has {keys}"
            )
        check_forms(content, path)
        self.images = [row for row in content["images"] if isinstance(row, dict)]
        self.annotations = [a for a in content.get("annotations") or () if isinstance(a, dict)]
        self.categories = [c for c in content.get("categories") or () if isinstance(c, dict)]

    def pictures(self) -> list[str]:
        """Paths of all pictures."""
        names = (row.get("file_name") for row in self.images)
        return [join_path(self.folder, str(name)) for name in names if name]

    def faults(self) -> Iterator[Fault]:
        """All that is wrong, the gravest kinds first."""
        if not self.images:
            yield Fault("it lists no pictures")
        elif not self.annotations:
            yield Fault("it has no annotations")
        yield from self._missing_pictures()
        yield from self._ids()
        yield from self._boxes()
        if self.rule.keypoints == ("keypoints",):
            yield from self._keypoints()

    def _missing_pictures(self) -> Iterator[Fault]:
        paths = self.pictures()
        step = max(1, math.ceil(len(paths) / MOST_PICTURES))
        looked = paths[::step]
        missing = [path for path in looked if not Path(path).is_file()]
        if not missing:
            return
        sample = f" that were looked for (of {len(paths):,})" if step > 1 else ""
        yield Fault(
            f"{len(missing):,} of {len(looked):,} pictures{sample} are not there, such as "
            f"{missing[0]}",
            fix=self._remedy_of_folder()
            if len(missing) == len(looked)
            else "get these pictures, or take them out of the file",
        )

    def _remedy_of_folder(self) -> str:
        """What to write where no picture is in the folder: another one near, if they are there."""
        homes = Path(self.path).absolute().parents[:2]
        folders = [*homes, *(f for home in homes for f in folders_in(home)[:MOST_FOLDERS])]
        names = [str(row["file_name"]) for row in self.images if row.get("file_name")][:MOST_NAMES]
        folder, found = picture_folder(names, folders)
        if found and all(place == name for name, place in found.items()):
            return f"data_prefix=dict(img='{folder}/'), where they are"
        return "correct data_root, or data_prefix=dict(img=FOLDER)"

    def _ids(self) -> Iterator[Fault]:
        counts = Counter(a["id"] for a in self.annotations if "id" in a)
        twice = [number for number, count in counts.items() if count > 1]
        if twice:
            yield Fault(
                f"{len(twice):,} annotation ids occur more than once ({shortened(twice)})",
                fix=f"give each its own id ({CONVERT} does), or filter_cfg=dict(on_bad='skip')",
            )
        listed = {row.get("id") for row in self.images}
        lost = [a for a in self.annotations if a.get("image_id") not in listed]
        if lost:
            texts = {str(number) for number in listed}
            alike = all(str(a.get("image_id")) in texts for a in lost)
            yield Fault(
                f"{numbered(len(lost), 'annotations that are of a picture not listed')} (id "
                f"{shortened(a.get('id') for a in lost)})",
                grave=len(lost) == len(self.annotations),
                fix="write ids of pictures and image_id alike, both as numbers or both as texts"
                if alike
                else "",
            )

    def _boxes(self) -> Iterator[Fault]:
        name = self.rule.box_field
        if self.rule.box != "clipped" or not self.annotations:
            return
        without = [a.get("id") for a in self.annotations if name not in a]
        if without:
            yield Fault(
                f"{len(without):,} of {len(self.annotations):,} annotations have no `{name}` (id "
                f"{shortened(without)}), and are left out",
                grave=len(without) == len(self.annotations),
                fix=f"write `{name}`: [x, y, width, height], such as the box around the keypoints "
                f"({CONVERT} makes them)",
            )
        given = [a for a in self.annotations if name in a]
        proper = [a for a in given if _box(a[name]) is not None]
        wrong = [a.get("id") for a in given if _box(a[name]) is None]
        if wrong:
            yield Fault(
                f"{numbered(len(wrong), f'annotations whose `{name}` is not four numbers')} (id "
                f"{shortened(wrong)})",
                fix=f"write `{name}`: [x, y, width, height]",
            )
        if proper:
            boxes = np.array([_box(a[name]) for a in proper], np.float64)
            yield from self._places_of_boxes(boxes, self._edges(proper))

    def _places_of_boxes(self, boxes: np.ndarray, edges: np.ndarray) -> Iterator[Fault]:
        """Boxes (N, 4) in other units, or as corners; edges (N, 2) are of their pictures."""
        name = self.rule.box_field
        if boxes.max() <= 1:
            yield Fault(
                "all boxes lie between 0 and 1: COCO's boxes are in pixels",
                fix="multiply x and width by the picture's width, y and height by its height",
            )
        first, second = boxes[:, :2], boxes[:, 2:]
        beyond = (first + second > edges * (1 + SLACK)).any(axis=1)
        corners = bool((second > first).all() and (second <= edges + 1).all())
        if corners and beyond.mean() > SEVERAL:
            yield Fault(
                f"`{name}` seems to be left, top, right, bottom: as x, y, width, height "
                f"{beyond.mean():.0%} of the boxes reach beyond their picture, else none does",
                fix=f"write `{name}`: [left, top, right - left, bottom - top]",
            )

    def _edges(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(N, 2) widths and heights of the pictures of annotations; infinite where not known."""
        sizes = {row.get("id"): (row.get("width"), row.get("height")) for row in self.images}
        limits = [sizes.get(a.get("image_id"), (None, None)) for a in rows]
        return np.array([[_side(w), _side(h)] for w, h in limits], np.float64)

    def _keypoints(self) -> Iterator[Fault]:
        labelled = [a for a in self.annotations if _numbers(a.get("keypoints"))]
        without = len(self.annotations) - len(labelled)
        if self.annotations and not labelled:
            has = ", ".join(self.annotations[0])
            yield Fault(
                f"no annotation has `keypoints` (the first one has: {has}); is it a file of boxes?"
            )
            return
        if without:
            yield Fault(numbered(without, "annotations that have no `keypoints`"), grave=False)
        lengths = Counter(len(a["keypoints"]) for a in labelled)
        if not lengths:
            return
        number = self.metainfo.get("num_keypoints")
        yield from self._lengths(labelled, lengths, number)
        yield from self._names()
        most = lengths.most_common(1)[0][0]
        if most % NUMBERS == 0 and most:
            same = [a for a in labelled if len(a["keypoints"]) == most]
            yield from self._values(same, most // NUMBERS)

    def _lengths(
        self, labelled: Sequence[Mapping[str, Any]], lengths: Counter[int], number: int | None
    ) -> Iterator[Fault]:
        expected = NUMBERS * (number or lengths.most_common(1)[0][0] // NUMBERS)
        wrong = [a for a in labelled if len(a["keypoints"]) != expected]
        if not wrong:
            return
        ids = shortened(a.get("id") for a in wrong)
        length = Counter(len(a["keypoints"]) for a in wrong).most_common(1)[0][0]
        if length % NUMBERS:
            yield Fault(
                f"{length} numbers in the `keypoints` of {counted(len(wrong), 'annotation')} (id "
                f"{ids}), which is not x, y, visibility for each: expected {expected}",
                fix=f"{CONVERT} makes triples of pairs and of nested lists",
            )
            return
        have = length // NUMBERS
        if number is None:
            yield Fault(
                f"{have} keypoints in {counted(len(wrong), 'annotation')} (id {ids}), "
                f"{expected // NUMBERS} in the others; a model has one set, so make a file for each"
            )
            return
        name = self.metainfo.get("dataset_name", "the config")
        few = "" if len(wrong) == len(labelled) else f"{len(wrong):,} "
        yield Fault(
            f"the config says {number} keypoints (metainfo of {name}), {few}annotations have "
            f"{have} (id {ids})",
            fix=f"metainfo=dict(from_file=FILE) that describes these {have} keypoints, and a head "
            f"for {have}; or `poise train NAME --data-root FOLDER`, which does both",
        )

    def _names(self) -> Iterator[Fault]:
        """Categories that name other keypoints than the schema, or that have different ones."""
        named = [list(map(str, c["keypoints"])) for c in self.categories if c.get("keypoints")]
        if len({tuple(names) for names in named}) > 1:
            yield Fault(
                "its categories have different keypoints; a model has one set, so make a file for "
                "each",
                grave=False,
            )
            return
        mine = list((self.metainfo.get("keypoint_id2name") or {}).values())
        if named and sorted(named[0]) == sorted(mine) and named[0] != mine:
            pairs = zip(named[0], mine, strict=True)
            place, (theirs, ours) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
            yield Fault(
                f"its keypoints are in another order than those of the metainfo: number {place} "
                f"is {theirs} in the file and {ours} in the metainfo"
            )

    def _values(self, same: Sequence[Mapping[str, Any]], number: int) -> Iterator[Fault]:
        try:
            values = np.array([a["keypoints"] for a in same], np.float64)
        except (ValueError, TypeError):
            yield Fault("`keypoints` hold something else than numbers")
            return
        values = values.reshape(len(same), number, NUMBERS)
        ids = np.array([a.get("id") for a in same], object)
        bad = ~np.isfinite(values).reshape(len(same), -1).all(axis=1)
        if bad.any():
            yield Fault(
                "NaN, null or infinity in the keypoints of "
                f"{counted(int(bad.sum()), 'annotation')} (id "
                f"{shortened(ids[bad])})",
                fix="correct them, or filter_cfg=dict(on_bad='skip')",
            )
        seen = values[..., 2] > 0
        if not seen.any():
            yield Fault(
                "every keypoint has the visibility 0, which means not labelled: there is nothing "
                "to learn",
                fix="write 2 (visible) or 1 (hidden) as the third number of labelled keypoints",
            )
            return
        odd = ~np.isin(values[..., 2], (0, 1, 2)).all(axis=1) & ~bad
        if odd.any():
            yield Fault(
                "visibilities other than 0, 1 and 2 in "
                f"{counted(int(odd.sum()), 'annotation')} (id {shortened(ids[odd])})",
                grave=False,
                fix="the third number is 0 (not labelled), 1 (hidden) or 2 (visible)",
            )
        yield from self._counts(same, seen, ids)
        yield from self._places(same, values[..., :2], seen, ids)

    def _counts(
        self, same: Sequence[Mapping[str, Any]], seen: np.ndarray, ids: np.ndarray
    ) -> Iterator[Fault]:
        """`num_keypoints` and categories, by which readers and COCO's metric choose."""
        given = np.array([a.get("num_keypoints", 1) for a in same], object)
        none = (given == 0) & seen.any(axis=1)
        if none.any():
            yield Fault(
                "num_keypoints=0, but labelled keypoints, in "
                f"{counted(int(none.sum()), 'annotation')} (id {shortened(ids[none])}): left out, "
                "in training and in scores",
                grave=bool(none.all()),
                fix="write the number of labelled keypoints, or leave num_keypoints out",
            )
        known = {c.get("id") for c in self.categories}
        other = np.array([bool(known) and a.get("category_id") not in known for a in same])
        if other.any():
            yield Fault(
                f"{numbered(int(other.sum()), 'annotations that are of a category not listed')} "
                f"(id {shortened(ids[other])}): COCO's metric does not count them",
                grave=bool(other.all()),
                fix="category_id is the `id` of one of the file's categories",
            )

    def _places(
        self,
        same: Sequence[Mapping[str, Any]],
        points: np.ndarray,
        seen: np.ndarray,
        ids: np.ndarray,
    ) -> Iterator[Fault]:
        """Labelled keypoints (N, K, 2) that are outside of their pictures, or not in pixels."""
        inside = points[seen]
        if len(inside) > points.shape[1] and inside.max() <= 1:
            yield Fault(
                "all keypoints lie between 0 and 1: COCO's keypoints are in pixels",
                fix="multiply x by the width and y by the height of the picture",
            )
        boxes = [_box(a.get(self.rule.box_field)) or [math.nan] * 4 for a in same]
        straight, turned = (_share_inside(p, seen, boxes) for p in (points, points[..., ::-1]))
        if turned > MOST and straight < turned - SEVERAL:
            yield Fault(
                f"x and y of the keypoints seem to be exchanged: {straight:.0%} of them lie in "
                f"their boxes, the other way round {turned:.0%}",
                fix="write x before y",
            )
        beyond = (points < 0) | (points > self._edges(same)[:, None])
        outside = (beyond.any(axis=-1) & seen).any(axis=1)
        if outside.any():
            share = outside.mean()
            yield Fault(
                f"labelled keypoints outside of their picture in {share:.1%}, "
                f"{counted(int(outside.sum()), 'annotation')} (id {shortened(ids[outside])})",
                grave=False,
                fix="are x and y exchanged, or the pictures scaled?" if share > MANY else "",
            )


def _box(value: Any) -> list[float] | None:
    """Four finite numbers, or None."""
    plain = isinstance(value, (list, tuple)) and len(value) == 4
    numbers = plain and all(isinstance(v, (int, float)) and math.isfinite(v) for v in value)
    return list(value) if numbers else None


def _share_inside(points: np.ndarray, seen: np.ndarray, boxes: Sequence[Sequence[float]]) -> float:
    """Share of labelled keypoints (N, K, 2) that lie in their boxes xywh, of those with one."""
    box = np.array(boxes, np.float64)[:, None]
    low, high = box[..., :2], box[..., :2] + box[..., 2:]
    known = seen & np.isfinite(box).all(axis=-1)
    inside = np.asarray((points >= low) & (points <= high)).all(axis=-1)
    return float(np.mean(inside, where=known)) if known.any() else 1.0


def _side(value: Any) -> float:
    """Width or height of a picture; infinite where the file does not say it."""
    return value if isinstance(value, (int, float)) and value else math.inf


def _numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0
