"""Sigmas of a data set's keypoints, from labels that were made twice or from a model's errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import shortened
from poise.data_tools.evaluating import collect_predictions, keypoints_of
from poise.errors import DataError
from poise.geometry.boxes import bbox_overlaps, bbox_xywh2xyxy
from poise.metrics.analysis.sigmas import (
    FEW_POINTS,
    Sigma,
    mean_sigmas,
    repeated_distances,
    robust_sigmas,
)
from poise.metrics.analysis.slices import neighbours
from poise.metrics.coco_table import read_coco_table
from poise.metrics.coco_truth import CocoTruth
from poise.structures import keypoint_names

__all__ = ["SigmaReport", "estimate_sigmas"]

#: Least IoU of two boxes of one person: in files of two annotators, and in one file, where two
#: boxes may well be two people.
_SAME_BETWEEN, _SAME_WITHIN = 0.5, 0.8
#: Stands for the sigmas while predictions are given to people; large, so that all find theirs.
_WIDE = 0.1


@dataclass(frozen=True)
class SigmaReport:
    """Sigmas of all keypoints.

    Attributes:
        names: K keypoints.
        sigmas: K of them.
        known: K sigmas that the schema has, or none.
        pairs: how many people they rest on.
        source: 'repeated labels' or 'predictions'.
    """

    names: list[str]
    sigmas: list[Sigma]
    known: list[float]
    pairs: int
    source: str

    def setting(self) -> str:
        """The line of a metadata file; empty where a keypoint has no sigma."""
        values = [float(f"{s.value:.3g}") for s in self.sigmas]
        return "" if np.isnan(values).any() else f"sigmas={values},"

    def warnings(self) -> list[str]:
        """What to mind before they are used."""
        said = []
        none = [name for name, s in zip(self.names, self.sigmas, strict=True) if not s.points]
        if none:
            said.append(
                f"there are no points of {', '.join(none)}, so there is no line for a metadata file"
            )
        few = [name for name, s in zip(self.names, self.sigmas, strict=True) if s.is_rough]
        if few:
            said.append(
                f"{len(few)} of {len(self.names)} keypoints rest on fewer than {FEW_POINTS} points "
                f"({shortened(few)}): their sigmas are rough"
            )
        if any(s.value == 0 for s in self.sigmas):
            said.append(
                "a sigma of 0 means labels that are copies of each other; OKS cannot use it"
            )
        if self.source == "predictions":
            said.append(
                "distances of a model's keypoints hold its own errors, too: the sigmas are upper "
                "bounds, and figures by them flatter models like this one"
            )
        return said

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for what is not known."""
        rows = {}
        for place, (name, sigma) in enumerate(zip(self.names, self.sigmas, strict=True)):
            known = self.known[place] if self.known else None
            values = {"sigma": sigma.value, "error": sigma.error}
            row = {key: None if np.isnan(value) else value for key, value in values.items()}
            counts = {"points": sigma.points, "outliers": sigma.outliers, "known": known}
            rows[name] = {**row, **counts}
        return {
            "source": self.source,
            "people": self.pairs,
            "keypoints": rows,
            "warnings": self.warnings(),
        }


def estimate_sigmas(
    annotations: str | Path,
    *,
    repeats: Sequence[str | Path] = (),
    predictions: str | Path | None = None,
    box_area: bool = False,
    both_sides: bool = False,
    schema: str | None = None,
) -> SigmaReport:
    """Sigmas from repeated labels, or from the distances of a model's keypoints.

    Repeated labels are those of the same person in another file (same ids of pictures, boxes that
    overlap by half), or, without one, twice in the file itself (boxes that overlap by 0.8).

    Args:
        annotations: COCO annotation file.
        repeats: files in which other people labelled the same pictures.
        predictions: file of `poise test --dump NAME.jsonl`, or a COCO result file.
        box_area: the area is 0.53 of the box, not 'area' of the annotation.
        both_sides: left and right keypoints get one sigma together.
        schema: name of a schema or metadata file; that of the annotations without it.

    Raises:
        DataError: nobody is labelled twice, or no prediction fits anybody.
        FileMissingError: a file does not exist.
    """
    meta = keypoints_of(annotations, schema)
    if predictions is not None:
        squares = _of_predictions(predictions, annotations, box_area, schema)
        estimate, source = robust_sigmas, "predictions"
    else:
        files = [annotations, *repeats]
        squares = _of_repeats([_truth(file, box_area) for file in files])
        estimate, source = mean_sigmas, "repeated labels"
        if not len(squares):
            where = "these files" if repeats else f"{annotations}"
            raise DataError(
                f"nobody is labelled twice in {where}; give other labels of the same pictures, "
                "--repeat FILE, or predictions of a model, --predictions FILE"
            )
    pairs = len(squares)
    if both_sides:
        flip = np.asarray(meta["flip_indices"], int)
        sides = squares[:, flip]
        sides[:, flip == np.arange(len(flip))] = np.nan
        squares = np.concatenate((squares, sides))
    names = keypoint_names(meta)
    known = [float(value) for value in meta["sigmas"]]
    return SigmaReport(names, estimate(squares), known, pairs, source)


def _truth(path: str | Path, box_area: bool) -> CocoTruth:
    table = read_coco_table(path, ("keypoints",))
    return CocoTruth.from_table(table, source=str(path), use_area=not box_area)


def _of_repeats(truths: list[CocoTruth]) -> Array:
    """d² / s² (N, K) of all people who were labelled twice."""
    if len({truth.keypoints.shape[1] for truth in truths}) > 1:
        counts = [truth.keypoints.shape[1] for truth in truths]
        raise DataError(f"the files have other numbers of keypoints: {counts}")
    pictures = sorted({key for truth in truths for key in truth.image_ids}, key=str)
    row = {key: place for place, key in enumerate(pictures)}
    picture = np.concatenate(
        [np.array([row[key] for key in t.image_ids], int)[t.image] for t in truths]
    )
    category = np.concatenate([t.category for t in truths])
    file = np.repeat(np.arange(len(truths)), [len(t.image) for t in truths])
    ignore = np.concatenate([t.ignore for t in truths])
    points, area = (
        np.concatenate([getattr(t, name) for t in truths]) for name in ("keypoints", "area")
    )
    boxes = bbox_xywh2xyxy(np.concatenate([t.bbox for t in truths]))
    one, other = neighbours(picture, np.arange(len(picture)))
    fits = (one < other) & (category[one] == category[other]) & ~ignore[one] & ~ignore[other]
    if len(truths) > 1:
        fits &= file[one] != file[other]
    one, other = one[fits], other[fits]
    if not len(one):
        return np.zeros((0, points.shape[1]))
    overlap = bbox_overlaps(boxes[one], boxes[other], is_aligned=True)
    least = _SAME_BETWEEN if len(truths) > 1 else _SAME_WITHIN
    chosen = _mutual(one, other, overlap, file) & (overlap >= least)
    one, other = one[chosen], other[chosen]
    return repeated_distances(points[one], points[other], (area[one] + area[other]) / 2)


def _mutual(one: Array, other: Array, overlap: Array, file: Array) -> Array:
    """(P,) pairs of boxes of which each is the other's nearest, among those of that file."""
    files = int(file.max()) + 1
    best = np.zeros((len(file), files))
    np.maximum.at(best, (one, file[other]), overlap)
    np.maximum.at(best, (other, file[one]), overlap)
    return np.asarray((overlap == best[one, file[other]]) & (overlap == best[other, file[one]]))


def _of_predictions(
    predictions: str | Path, annotations: str | Path, box_area: bool, schema: str | None
) -> Array:
    """d² / s² (N, K) of the keypoints of people that a model found."""
    metric = {"type": "CocoMetric", "use_area": not box_area}
    collected = collect_predictions(predictions, [metric], annotations=annotations, schema=schema)
    ((leaf,),) = collected.leaves.values()
    number = int(collected.meta["num_keypoints"])
    leaf.metric.dataset_meta = {**collected.meta, "sigmas": np.full(number, _WIDE)}
    leaf.close()
    own, pose = leaf.comparison, leaf.assignment.pose
    found = np.flatnonzero((pose >= 0) & (own.truth.area > 0))
    if not len(found):
        raise DataError(
            f"no pose of {predictions} fits anybody in {annotations}; are they of the same "
            "pictures, and are the coordinates in pixels?"
        )
    truth = own.truth.keypoints[found]
    offset = own.detections.keypoints[pose[found]].astype(np.float64) - truth[..., :2]
    squared = np.square(offset).sum(axis=-1) / own.truth.area[found][:, None]
    return np.where(truth[..., 2] > 0, squared, np.nan)
