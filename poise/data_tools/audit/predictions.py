"""A model's poses beside the labels: made now, or read from a file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise._arrays import as_numpy
from poise._words import counted
from poise.data_tools.audit.people import People
from poise.datasets.coco_file import explained, read_json
from poise.datasets.people import extent
from poise.errors import DataError
from poise.geometry.boxes import bbox_overlaps
from poise.inference.results.reading import read_results
from poise.metrics.prediction_file import is_dump, read_predictions
from poise.structures import keypoint_names

__all__ = ["Poses", "Predictions", "match_poses", "predict_people", "read_poses"]

#: a pose belongs to a label only if their boxes overlap by this, or their OKS is above it
LEAST_MATCH = 0.1
#: keypoints with a lower score do not count in the box of a pose
_IN_BOX = 0.1


@dataclass
class Poses:
    """M poses of one picture: points (M, K, 2), scores (M, K), whole (M,)."""

    points: np.ndarray
    scores: np.ndarray
    whole: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """(M, 4) xyxy around the keypoints that the model sees."""
        sees = self.scores >= _IN_BOX
        sees |= ~sees.any(axis=1, keepdims=True)
        return np.concatenate(extent(self.points, sees), axis=1).reshape(-1, 4)


@dataclass
class Predictions:
    """Poses in the order of the labels' keypoints.

    Attributes:
        points: (N, K, 2) for each person, image space; NaN where there is none.
        scores: (N, K); 0 there.
        others: picture -> all poses that were found without looking at labels.
        matched: picture -> (M,) the person of each of these, -1 for nobody's.
        title: name of the model or file.
        unread: pictures that could not be opened.
    """

    points: np.ndarray
    scores: np.ndarray
    others: dict[int, Poses] = field(default_factory=dict)
    matched: dict[int, np.ndarray] = field(default_factory=dict)
    title: str = ""
    unread: list[str] = field(default_factory=list)

    @property
    def known(self) -> np.ndarray:
        """(N, K) bool: there is a prediction."""
        return np.isfinite(self.points).all(axis=-1)


def predict_people(
    people: People,
    model: Any,
    *,
    weights: str | None = None,
    detector: Any = "auto",
    device: str = "auto",
    progress: Any = iter,
) -> Predictions:
    """Poses of a model: one in each labelled box, and all that a detector finds.

    Args:
        people: the labels.
        model, weights, device: as `poise.Inferencer` takes them.
        detector: who looks for people without a label; None for nobody.
        progress: wraps the iteration over pictures.

    Raises:
        DataError: the model has none of the labels' keypoints.
    """
    from poise.inference import Inferencer
    from poise.inference.detectors.simple import WholeImage

    inferencer = Inferencer(model, weights, detector=detector or "whole-image", device=device)
    columns = _columns(people, keypoint_names(inferencer.metainfo))
    count = people.points.shape[:2]
    found = Predictions(np.full((*count, 2), np.nan), np.zeros(count), title=str(model))
    usable = [n for n, path in enumerate(people.pictures) if Path(path).is_file()]
    found.unread = [path for path in people.pictures if not Path(path).is_file()]
    paths = [people.pictures[n] for n in usable]
    if inferencer.needs_boxes:
        members = {n: people.in_picture(n) for n in usable}
        boxes = {people.pictures[n]: people.boxes[members[n]] for n in usable}
        results = inferencer.predict(paths, boxes=boxes, keep_going=True)
        for n, result in zip(usable, progress(results), strict=True):
            if result.error is not None:
                found.unread.append(people.pictures[n])
            elif len(result) == len(members[n]):
                poses = _reordered(result.keypoints, result.keypoint_scores, columns, count[1])
                found.points[members[n]], found.scores[members[n]] = poses.points, poses.scores
    # one box around everything finds nobody whom the labels lack
    if not inferencer.needs_boxes or not isinstance(inferencer.detector, WholeImage):
        results = inferencer.predict(paths, keep_going=True)
        for n, result in zip(usable, progress(results), strict=True):
            if result.error is not None and people.pictures[n] not in found.unread:
                found.unread.append(people.pictures[n])
            poses = _reordered(result.keypoints, result.keypoint_scores, columns, count[1])
            _take(people, found, n, poses, fill=not inferencer.needs_boxes)
    return found


def read_poses(people: People, path: Path) -> Predictions:
    """Poses of a file.

    Args:
        people: the labels.
        path: COCO result file (.json), or the .jsonl of `poise predict` or `poise test --dump`.

    Raises:
        DataError: another kind of file, or no pose in a picture of the labels.
    """
    if not path.is_file():
        raise DataError(f"there is no file of predictions {path}")
    count = people.points.shape[:2]
    found = Predictions(np.full((*count, 2), np.nan), np.zeros(count), title=str(path))
    rows: dict[int, list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    places = _Places(people)
    total = 0
    for key, points, scores, whole, names in _rows(path):
        total += 1
        place = places.of(key)
        if place is None:
            continue
        columns = _columns(people, names)
        poses = _reordered(points[None], scores[None], columns, count[1])
        rows[place].append((poses.points[0], poses.scores[0], whole))
    if not rows:
        raise DataError(
            f"{path} has {counted(total, 'pose')}, none of which is in a picture of the labels "
            "(such as "
            f"{people.pictures[0]}, image id {people.image_ids[0]})"
        )
    for place, entries in rows.items():
        stacked = [np.stack(column) for column in zip(*entries, strict=True)]
        _take(people, found, place, Poses(*stacked), fill=True)
    return found


class _Places:
    """Which picture of the labels an id or a path of predictions means.

    A path may begin elsewhere than that of the labels: the longest end that they share counts,
    unless several pictures of the labels have it.
    """

    def __init__(self, people: People) -> None:
        self._known = {str(number): n for n, number in enumerate(people.image_ids)}
        shared = Counter(end for path in people.pictures for end in _ends(path))
        for n, path in enumerate(people.pictures):
            self._known |= {end: n for end in _ends(path) if shared[end] == 1}

    def of(self, key: str) -> int | None:
        """Number of the picture, or None."""
        return next((self._known[end] for end in _ends(key) if end in self._known), None)


def _ends(path: str) -> list[str]:
    """A path without its first folders, the longest first; an id is its own end."""
    parts = Path(path).as_posix().split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _take(people: People, found: Predictions, picture: int, poses: Poses, *, fill: bool) -> None:
    """Keep a picture's poses, and give them to the people that they fit."""
    members = people.in_picture(picture)
    owner = np.full(len(poses.points), -1)
    rows, columns = match_poses(people, members, poses)
    owner[columns] = members[rows]
    found.others[picture], found.matched[picture] = poses, owner
    if fill:
        found.points[members[rows]] = poses.points[columns]
        found.scores[members[rows]] = poses.scores[columns]


def match_poses(people: People, members: np.ndarray, poses: Poses) -> tuple[Any, Any]:
    """Which pose is whose: the pairing of the largest likeness.

    A label whose sides are exchanged must still find its pose, so likeness is the better OKS of the
    label and of its mirror image, and the overlap of boxes.

    Args:
        people: the labels. members: those of the picture.
        poses: of the picture.

    Returns:
        places in `members`, and in `poses`.
    """
    if not len(members) or not len(poses.points):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    orders = (np.arange(len(people.names)), people.other_sides)
    likeness = np.maximum(*(_oks(people, members, order, poses) for order in orders))
    overlap = bbox_overlaps(people.boxes[members], poses.boxes)
    rows, columns = linear_sum_assignment(-(likeness + overlap))
    good = (likeness[rows, columns] > LEAST_MATCH) | (overlap[rows, columns] > LEAST_MATCH)
    return rows[good], columns[good]


def _oks(people: People, members: np.ndarray, order: np.ndarray, poses: Poses) -> np.ndarray:
    """(n, M) OKS of labels, their keypoints taken in an order, with poses."""
    points, seen = people.points[members][:, order], people.seen[members][:, order]
    square = ((points[:, None] - poses.points[None]) ** 2).sum(-1)
    scale = people.areas[members][:, None, None] * 2 * (2 * people.sigmas) ** 2
    counted = seen[:, None] & np.isfinite(square)
    alike = np.where(counted, np.exp(-np.nan_to_num(square) / np.maximum(scale, 1e-9)), 0)
    return alike.sum(-1) / np.maximum(counted.sum(-1), 1)


def _columns(people: People, names: Sequence[str]) -> list[tuple[int, int]]:
    """Places of the same keypoint among the labels and the predictions."""
    if not names:
        return [(k, k) for k in range(len(people.names))]
    columns = [(k, names.index(name)) for k, name in enumerate(people.names) if name in names]
    if not columns:
        raise DataError(
            f"the predictions have none of the labels' keypoints: {', '.join(names[:4])} ... and "
            f"{', '.join(people.names[:4])} ..."
        )
    return columns


def _reordered(points: Any, scores: Any, columns: Sequence[tuple[int, int]], count: int) -> Poses:
    """Poses with the labels' keypoints; NaN for those that the model lacks."""
    points, scores = np.asarray(points, np.float64), np.asarray(scores, np.float64)
    moved = np.full((len(points), count, 2), np.nan)
    weights = np.zeros((len(points), count))
    mine, theirs = (list(c) for c in zip(*columns, strict=True))
    if len(points) and max(theirs) >= points.shape[1]:
        raise DataError(
            f"a pose has {counted(points.shape[1], 'keypoint')}, expected {count} as the labels "
            "have"
        )
    moved[:, mine], weights[:, mine] = points[:, theirs, :2], scores[:, theirs]
    return Poses(moved, weights, scores.mean(axis=1) if len(scores) else np.zeros(0))


def _rows(path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, float, list[str]]]:
    """Picture's id or name, points (K, 2), scores (K,), score of the whole, names."""
    if path.name.endswith((".json", ".json.gz")):
        rows = read_json(str(path), "the file of predictions", owner="poise data audit")
        good = isinstance(rows, list) and all(
            isinstance(row, dict) and "keypoints" in row and "image_id" in row for row in rows
        )
        if not good:
            raise DataError(
                f"{path} is no COCO result file, a list of objects with image_id and keypoints"
            )
        for number, row in enumerate(rows):
            with explained(f"{path}: entry {number}"):
                triples = np.asarray(row["keypoints"], np.float64).reshape(-1, 3)
                whole = float(row.get("score", triples[:, 2].mean()))
            yield str(row["image_id"]), triples[:, :2], triples[:, 2], whole, []
        return
    if not is_dump(path):
        for result in read_results(path):
            for points, scores in zip(result.keypoints, result.keypoint_scores, strict=True):
                whole = float(scores.mean())
                yield result.name, points, scores, whole, result.keypoint_names
        return
    header, samples = read_predictions(path)
    names = list((header["meta"].get("keypoint_id2name") or {}).values())
    for sample in samples:
        poses = sample["pred_instances"]
        points, scores = as_numpy(poses["keypoints"]), as_numpy(poses["keypoint_scores"])
        for one, score in zip(points, scores, strict=True):
            yield str(sample["img_id"]), one[:, :2], score, float(score.mean()), names
