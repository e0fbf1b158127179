"""The people whose poses are farthest off, drawn beside their annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.data_tools.evaluating import Collected
from poise.data_tools.opening import folder_near
from poise.data_tools.resampling import annotation_file
from poise.datasets.coco_file import read_json
from poise.metrics.analysis.statistics import Leaf
from poise.metrics.analysis.worst import Worst, worst_of
from poise.report.cases import Case
from poise.report.pictures import draw_case

__all__ = ["DrawnCases", "draw_worst"]


@dataclass(frozen=True)
class DrawnCases:
    """Pictures of the worst people.

    Attributes:
        people: JPEG and caption of those that were found, the worst first.
        missed: the same of those that were not, the largest first.
        note: a sentence about those that could not be drawn.
    """

    people: Sequence[tuple[bytes, str]] = ()
    missed: Sequence[tuple[bytes, str]] = ()
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.people or self.missed or self.note)


def draw_worst(
    collected: Collected, leaf: Leaf, number: int, *, images: Path | None = None
) -> DrawnCases:
    """Pictures of the worst people of a metric.

    Args:
        collected: the predictions.
        leaf: a metric by OKS, or a mean over people.
        number: how many of those that were found, and of those that were not.
        images: folder of the pictures; where the samples or the annotation file say without it.

    Raises:
        DataError: a metric without figures of single people.
    """
    cases = worst_of(leaf, number)
    files = _Files(collected, images)
    figure = cases.tables[0].columns[0]

    def drawn(people: Sequence[Worst], what: str) -> list[tuple[bytes, str]]:
        made = []
        for one in people:
            jpeg = draw_case(_case(leaf, one, files.of(one.picture)), collected.meta)
            if jpeg is not None:
                said = what or f"{figure} {one.figure:.3f}"
                made.append((jpeg, f"{said}, person {one.person}, picture {one.picture}"))
        return made

    people, missed = drawn(cases.people, ""), drawn(cases.missed, "missed")
    wanted = len(cases.people) + len(cases.missed)
    absent = wanted - len(people) - len(missed)
    note = (
        f"{absent} of {wanted} worst cases are not drawn: their pictures are not at hand "
        "(--images FOLDER), or the poses are not flat."
    )
    return DrawnCases(people, missed, note * bool(absent))


class _Files:
    """Where the pictures are.

    Args:
        collected: predictions that may name them, or their annotation file.
        images: folder that is given.
    """

    def __init__(self, collected: Collected, images: Path | None) -> None:
        self.known: Mapping[Any, str] = collected.pictures
        self.images = images
        self.names: dict[Any, str] = {}
        self.folder = images or Path()
        ann_file = annotation_file(collected)
        if ann_file is not None and (images is not None or not self.known):
            rows = read_json(str(ann_file)).get("images", ())
            self.names = {row["id"]: str(row.get("file_name", "")) for row in rows}
            self.folder = images or folder_near(ann_file)

    def of(self, picture: Any) -> str:
        """File of a picture; it need not exist."""
        name = self.names.get(picture) or self.known.get(picture, "")
        if self.images is not None and not (self.folder / name).is_file():
            name = Path(name).name
        return str(self.folder / name) if self.names or self.images is not None else name


def _case(leaf: Leaf, one: Worst, path: str) -> Case:
    if leaf.is_oks:
        truth, pose, visible, box = _of_oks(leaf, one.row)
    else:
        truth, pose, visible, box = _of_entries(leaf, one.row)
    return Case(
        path=path,
        name=str(one.person),
        error=one.figure,
        truth=truth,
        found=pose,
        visible=visible,
        box=box,
    )


def _of_oks(leaf: Leaf, row: int) -> tuple[Array, Array | None, Array, Array]:
    """Annotated and predicted pose (K, 2), what is labelled (K,), and the box (4,) xyxy."""
    own, place = leaf.comparison, int(leaf.assignment.pose[row])
    points = own.truth.keypoints[row]
    corner, sides = own.truth.bbox[row, :2], own.truth.bbox[row, 2:]
    found = own.detections.keypoints[place].astype(np.float64) if place >= 0 else None
    return points[:, :2], found, points[:, 2] > 0, np.concatenate((corner, corner + sides))


def _of_entries(leaf: Leaf, row: int) -> tuple[Array, Array | None, Array, Array]:
    """The same of a mean over people."""
    counts = np.cumsum([len(entry["mask"]) for entry in leaf.entries])
    place = int(np.searchsorted(counts, row, side="right"))
    entry = leaf.entries[place]
    within = row - (int(counts[place]) - len(entry["mask"]))
    truth, found = (entry[name][within].astype(np.float64) for name in ("gt_coords", "pred_coords"))
    visible = entry["mask"][within]
    boxes = leaf.boxes[place]
    if boxes is not None and len(boxes) == len(entry["mask"]):
        box = np.asarray(boxes)[within, :4].astype(np.float64)
    else:
        labelled = truth[visible][:, :2]
        box = np.concatenate((labelled.min(axis=0), labelled.max(axis=0)))
    return truth, found, visible, box
