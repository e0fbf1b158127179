"""Figures of what was found in labelled pictures."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from poise._words import counted
from poise.errors import DataError
from poise.export.checks.looking import Looker, Seen
from poise.export.checks.pictures import Pictures
from poise.metrics.evaluator import Evaluator, meta_for_metrics
from poise.transforms.packing import META_KEYS, PackPoseInputs

__all__ = ["box_figures", "figures_of", "main_figure", "metrics_of"]

Sample = dict[str, Any]

#: Metrics of configs that need no more than COCO-style labels.
_PLAIN = ("CocoMetric", "PCKAccuracy", "AUC", "NME", "CocoWholeBodyMetric")
#: Figures that count, the first of them that is there, and whether a larger one is better.
_MAIN = (("coco/AP", 1), ("AP", 1), ("coco/bbox_mAP", 1), ("PCK", 1), ("AUC", 1), ("NME", -1))


def metrics_of(cfg: Any) -> list[dict[str, Any]]:
    """Metrics of a model's config that suit any labelled pictures; CocoMetric where none does."""
    evaluator = cfg.get("test_evaluator") or cfg.get("val_evaluator") or []
    several = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    kept = []
    for metric in several:
        plain = {key: value for key, value in dict(metric).items() if key != "ann_file"}
        converted = {"gt_converter", "pred_converter"} & plain.keys()
        if str(plain.get("type")).rpartition(".")[2] in _PLAIN and not converted:
            kept.append(plain)
    return kept or [{"type": "CocoMetric"}]


def figures_of(
    looker: Looker, seen: Sequence[Seen], pictures: Pictures, metrics: Any
) -> dict[str, float]:
    """Figures of a model.

    Args:
        looker: that looked.
        seen: what it found in each picture.
        pictures: labelled.
        metrics: configs.

    Raises:
        DataError: labels of other keypoints than the model's.
    """
    meta = meta_for_metrics(pictures.dataset) or {}
    names = list((meta.get("keypoint_id2name") or {}).values())
    if names != list(looker.names):
        raise DataError(
            f"the labels have {counted(len(names), 'keypoint')} ({_listed(names)}), the model "
            f"{len(looker.names)} ({_listed(looker.names)}); give labels of the model's keypoints"
        )
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dict(meta)
    count = 0
    # pycocotools tells its table
    with contextlib.redirect_stdout(io.StringIO()):
        for sample in _samples(looker, seen, pictures):
            evaluator.process([sample])
            count += 1
        found = evaluator.evaluate(count)
    return {name: float(value) for name, value in found.items() if np.ndim(value) == 0}


def box_figures(
    classes: Sequence[str | None], seen: Sequence[Seen], pictures: Pictures
) -> dict[str, float]:
    """Precision of a detector's boxes; none where the labels are of other things.

    Args:
        classes: names of what the detector finds, None for those that are not known.
        seen: what it found in each picture.
        pictures: labelled.
    """
    meta = meta_for_metrics(pictures.dataset) or {}
    own = meta.get("classes") or [str(c.get("name", c["id"])) for c in meta.get("CLASSES") or ()]
    if len(classes) == len(own) and (len(own) == 1 or None in classes):
        # a single kind of things, or all categories of the file, in its order
        classes = list(own)
    if set(own).isdisjoint(classes) or "ann_file" not in meta:
        return {}
    evaluator = Evaluator({"type": "mmdet.CocoMetric"})
    evaluator.dataset_meta = {"classes": list(map(str, classes)), "ann_file": meta["ann_file"]}
    for one, records in zip(seen, pictures.records or (), strict=True):
        things = np.zeros((0, 6)) if one.things is None else one.things
        found = {"bboxes": things[:, :4], "scores": things[:, 4], "labels": things[:, 5]}
        evaluator.process([{"img_id": records[0]["img_id"], "pred_instances": found}])
    return {name: float(value) for name, value in evaluator.evaluate(len(seen)).items()}


def main_figure(figures: Mapping[str, Any]) -> tuple[str, int]:
    """The figure that counts, and 1 where a larger one is better, -1 where a smaller one is.

    Raises:
        DataError: none is known.
    """
    for name, sign in _MAIN:
        for own in figures:
            if own == name or own.endswith(f"/{name}"):
                return own, sign
    raise DataError(
        f"none of {', '.join(name for name, _ in _MAIN)} is among the figures "
        f"{', '.join(figures) or '(none)'}, so nobody knows which one counts"
    )


def _samples(looker: Looker, seen: Sequence[Seen], pictures: Pictures) -> Iterator[Sample]:
    """A sample a person of models that are given boxes; else a sample a picture."""
    for one, records in zip(seen, pictures.records or (), strict=True):
        if not looker.takes_boxes:
            yield _sample(records[0], one, slice(None))
            continue
        for row, record in enumerate(records):
            yield _sample(record, one, slice(row, row + 1))


def _sample(record: Mapping[str, Any], seen: Seen, rows: slice) -> Sample:
    """What metrics take of a record and of what was found."""
    truth = {
        name: record[key]
        for key, name in PackPoseInputs.instance_mapping_table.items()
        if key in record
    }
    boxes = seen.boxes[rows]
    if "bbox" in record and "bbox_scale" not in record:
        corners = np.asarray(record["bbox"]).reshape(-1, 4)
        truth["bbox_scales"] = corners[:, 2:] - corners[:, :2]
    found = {
        "keypoints": seen.places[rows],
        "keypoint_scores": seen.scores[rows],
        "bboxes": boxes,
        "bbox_scores": seen.box_scores[rows],
    }
    known = {key: record[key] for key in META_KEYS if key in record}
    return {"ori_shape": seen.size} | known | {"gt_instances": truth, "pred_instances": found}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, ..." if len(names) > 3 else shown or "none"
