"""A released detector's config for one's own boxes: data, classes, metric, course, start."""

from __future__ import annotations

import copy
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise._words import counted, numbered
from poise.check.files import read_annotations
from poise.config import Config
from poise.errors import DataError, nearest
from poise.training.own_data.files import DataFiles
from poise.training.own_data.schedule import fit_course
from poise.training.own_data.settings import finished, fit_loader, keep_best
from poise.training.run.start import NOTHING, put_start
from poise.zoo import default_weights
from poise.zoo.parts.assembly import Tree

__all__ = ["BoxReport", "box_share", "describe_boxes", "finds_boxes", "use_own_boxes"]

#: models that find boxes alone
_DETECTORS = ("RTMDet", "YOLOX", "NanoDet")
#: devices and samples on each, as names of recipes have them; RTMDet's `auto_scale_lr` is that of
#: another recipe
_BATCH = re.compile(r"(\d+)xb(\d+)")
#: the figure that decides, and names of a run's metrics
BEST = "coco/bbox_mAP"


@dataclass(frozen=True)
class BoxReport:
    """What the boxes of an annotation file are.

    Attributes:
        classes: names of the categories with boxes, in the order of the file.
        pictures: with boxes.
        empty: pictures without any.
        boxes: of each class.
        without: annotations with keypoints and no box; theirs is drawn around the keypoints.
    """

    classes: tuple[str, ...]
    pictures: int
    empty: int
    boxes: Mapping[str, int]
    without: int

    @property
    def said(self) -> str:
        """What was found, in a sentence."""
        kinds = ", ".join(f"{count:,} of {name}" for name, count in self.boxes.items())
        total = sum(self.boxes.values())
        drawn = "all" if self.without == total else f"{self.without:,} of them"
        around = f"; {drawn} drawn around keypoints" if self.without else ""
        return f"boxes: {kinds}{around}"


def finds_boxes(cfg: Mapping[str, Any] | Config) -> bool:
    """Whether a config is that of a detector, which finds boxes and no keypoints."""
    return str((cfg.get("model") or {}).get("type", "")).rpartition(".")[2] in _DETECTORS


def describe_boxes(path: Path, category: str | None = None) -> BoxReport:
    """Classes of the boxes of an annotation file, and how many there are.

    Args:
        path: COCO-style file.
        category: the only one that is wanted; None takes all that have boxes.

    Raises:
        DataError: no boxes, or none of the category.
    """
    content = read_annotations(path)
    names = {c["id"]: str(c.get("name", c["id"])) for c in content["categories"]}
    if category is not None:
        chosen = {key: name for key, name in names.items() if name.lower() == category.lower()}
        if not chosen:
            raise DataError(
                f"{path} has no category '{category}'{nearest(category, names.values())}; it has "
                f"{', '.join(names.values())}"
            )
        names = chosen
    people = [
        ann
        for ann in content["annotations"]
        if ann.get("category_id") in names and (ann.get("bbox") or any(_visibilities(ann)))
    ]
    if not people:
        raise DataError(
            f"{path}: no annotation{'' if category is None else f' of {category}'} has a `bbox`, "
            "nor keypoints to draw one around"
        )
    counts = Counter(names[ann["category_id"]] for ann in people)
    boxes = {name: counts[name] for name in dict.fromkeys(names.values()) if counts[name]}
    pictures = len({ann["image_id"] for ann in people})
    return BoxReport(
        tuple(boxes),
        pictures,
        len(content["images"]) - pictures,
        boxes,
        sum(not ann.get("bbox") for ann in people),
    )


def box_share(path: Path) -> float | None:
    """Part of its picture that a box takes, the median; None where no box or size is known.

    Args:
        path: COCO-style file.
    """
    content = read_annotations(path)
    sizes = {i["id"]: (i.get("width") or 0) * (i.get("height") or 0) for i in content["images"]}
    shares = [
        ann["bbox"][2] * ann["bbox"][3] / sizes[ann["image_id"]]
        for ann in content["annotations"]
        if ann.get("bbox") and sizes.get(ann["image_id"])
    ]
    return round(statistics.median(shares), 4) if shares else None


def _visibilities(ann: Mapping[str, Any]) -> list[Any]:
    return list((ann.get("keypoints") or [])[2::3])


def use_own_boxes(
    cfg: Config,
    files: DataFiles,
    boxes: BoxReport,
    *,
    name: str,
    epochs: int | None = None,
    batch_size: int | None = None,
    devices: int = 1,
    weights: str | None = None,
    start: str | None = None,
) -> tuple[Config, list[str]]:
    """Config that trains a released detector on a user's COCO-style data.

    Args:
        cfg: config of the detector.
        files: where the data are; with `val_ann`.
        boxes: what the boxes of the training are.
        name: of the detector, which says for which batch its learning rate is.
        epochs, batch_size, devices, weights, start: as of `use_own_data`.

    Returns:
        The changed config, and a sentence about each thing that was decided.
    """
    tree: Tree = copy.deepcopy(cfg.to_dict())
    said = [boxes.said, _fit_classes(tree["model"], len(boxes.classes))]
    empty = _put_data(tree, files, boxes)
    said.append(_put_metric(tree, files))
    samples = boxes.pictures + (0 if empty else boxes.empty)
    if empty and boxes.empty:
        said.append(f"left out: {numbered(boxes.empty, 'pictures without boxes')}")
    said += fit_course(
        tree,
        samples,
        "pictures",
        epochs=epochs,
        batch_size=batch_size,
        devices=devices,
        base=_recipe_batch(name),
    )
    said.append(_put_start(tree, start, weights))
    return finished(tree, cfg), said


def _fit_classes(model: Tree, count: int) -> str:
    # NanoDet's own says it
    head = model.get("bbox_head") or model
    old, head["num_classes"] = head["num_classes"], count
    if count == old:
        return f"head: {counted(count, 'class')}, as before"
    said = f"head: {counted(count, 'class')} instead of {old}"
    # NanoDet's start from one of the old
    return said if head is model else f"{said}; what tells them apart starts anew"


def _put_start(tree: Tree, start: str | None, weights: str | None) -> str:
    """As `put_start`; NanoDet takes the weights inside the package by itself, for any classes."""
    if not tree["model"]["type"].endswith("NanoDet"):
        return put_start(tree, start, weights)
    inside = default_weights("nanodet")
    if weights != NOTHING and start in (None, str(inside)):
        tree["load_from"] = None
        return "start: the weights inside the package; every class starts as a person"
    tree["model"]["embedded"] = False
    said = put_start(tree, start, weights)
    if weights != NOTHING:
        return said
    return (
        f"{said}; the learning rate is for the weights inside the package, --find-lr measures one"
    )


def _put_data(tree: Tree, files: DataFiles, boxes: BoxReport) -> bool:
    """Put the data into every loader; whether pictures without boxes are left out."""
    leaves = False
    for part, places in files.of_parts():
        loader = tree[f"{part}_dataloader"]
        source, holder = loader["dataset"], loader
        while isinstance(source.get("dataset"), dict):
            # steps that mix pictures stand around it
            source, holder = source["dataset"], source
        pipeline = source.get("pipeline") or tree[f"{part}_pipeline"]
        rule = dict(source.get("filter_cfg") or dict(filter_empty_gt=True))
        # own pictures may be small
        rule.pop("min_size", None)
        holder["dataset"] = dict(
            type="mmdet.CocoDataset",
            **places,
            metainfo=dict(classes=boxes.classes),
            pipeline=pipeline,
            **(dict(filter_cfg=rule) if part == "train" else dict(test_mode=True)),
        )
        if part == "train":
            leaves = bool(rule.get("filter_empty_gt"))
        fit_loader(loader, part)
    return leaves


def _put_metric(tree: Tree, files: DataFiles) -> str:
    changes = dict(type="mmdet.CocoMetric", ann_file=files.judged, metric="bbox")
    tree["val_evaluator"] = tree["test_evaluator"] = dict(tree["val_evaluator"], **changes)
    keep_best(tree, BEST)
    return f"metrics: box AP; the best checkpoint is chosen by {BEST}"


def _recipe_batch(name: str) -> int | None:
    """Samples of a step over all devices that a recipe's learning rate is for, by its name."""
    from poise.zoo import find_model

    model = find_model(name)
    found = _BATCH.search(Path(name).stem if model is None else model.name)
    return int(found[1]) * int(found[2]) if found else None
