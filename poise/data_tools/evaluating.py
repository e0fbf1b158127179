"""Metrics of predictions that were saved before."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poise.check.keypoints import describe_keypoints
from poise.datasets.coco_file import explained, read_json
from poise.errors import (
    ArgumentError,
    DataError,
    FileMissingError,
    PoiseError,
    UnknownNameError,
    nearest,
)
from poise.geometry.boxes import bbox_xywh2xyxy
from poise.metrics.analysis.statistics import Leaf, leaves_of
from poise.metrics.evaluator import Evaluator
from poise.metrics.prediction_file import is_prediction_file, read_predictions
from poise.registry import METRICS, use_scope
from poise.structures.metainfo import parse_pose_metainfo

__all__ = [
    "Collected",
    "collect_predictions",
    "evaluate_predictions",
    "keypoints_of",
    "parse_metric",
]

#: metrics that read an annotation file, which has pictures without predictions, too
_READ_ANNOTATIONS = ("CocoMetric", "CocoWholeBodyMetric", "PoseTrack18Metric")
#: of a row of a COCO result file of boxes
_BOX_FIELDS = frozenset(("image_id", "category_id", "bbox", "score"))
#: a COCO result file has its scores, and was thinned out when it was made
_AS_THEY_ARE = {"score_mode": "bbox", "nms_mode": "none"}


def evaluate_predictions(
    path: str | Path,
    metrics: Sequence[str | Mapping[str, Any]] = (),
    *,
    annotations: str | Path | None = None,
    schema: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures of a file of predictions.

    Args:
        path: file of `poise test --dump NAME.jsonl`, or a COCO result file (.json).
        metrics: configs, or texts such as "PCKAccuracy,thr=0.05"; those of the test itself
            without any.
        annotations: COCO annotation file, instead of the one that the test used; a result file
            needs it.
        schema: keypoints of a result file: name or metadata file; those that the annotations
            name without it.

    Returns:
        metric -> its figures by name.

    Raises:
        FileMissingError: a file does not exist.
        DataError: a file is something else, or a metric lacks something in the samples.
        UnknownNameError, ArgumentError: a metric that does not exist, or cannot be built so.
    """
    return collect_predictions(path, metrics, annotations=annotations, schema=schema).figures()


@dataclass(eq=False)
class Collected:
    """Metrics that were fed all samples of a file.

    Attributes:
        path: the file.
        meta: meta information of its data set.
        configs: of the metrics.
        evaluators: metric -> what computes it.
        leaves: metric -> itself, or the metrics of its parts, for a closer look.
        pictures: id of a picture -> its file, where the samples say so.
        count: number of samples.
    """

    path: Path
    meta: Mapping[str, Any]
    configs: list[dict[str, Any]]
    evaluators: dict[str, Evaluator]
    leaves: dict[str, list[Leaf]]
    pictures: dict[Any, str] = field(default_factory=dict)
    count: int = 0

    def take(self, sample: Mapping[str, Any]) -> None:
        """Feed a sample to all metrics."""
        self.count += 1
        picture = _plain_id(sample.get("img_id", f"sample {self.count}"))
        own = _plain_id(sample.get("id", self.count))
        if isinstance(sample.get("img_path"), str):
            self.pictures[picture] = sample["img_path"]
        boxes = (sample.get("gt_instances") or {}).get("bboxes")
        category = _category_of(sample)
        for name, evaluator in self.evaluators.items():
            with _named(name):
                evaluator.process([sample])
            for leaf in self.leaves[name]:
                leaf.take(picture, own, boxes, category)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Metric -> its figures by name."""
        found = {}
        for name, evaluator in self.evaluators.items():
            for leaf in self.leaves[name]:
                leaf.close()
            with _named(name):
                found[name] = evaluator.evaluate(self.count)
        return found


def collect_predictions(
    path: str | Path,
    metrics: Sequence[str | Mapping[str, Any]] = (),
    *,
    annotations: str | Path | None = None,
    schema: str | None = None,
) -> Collected:
    """Metrics fed with a file of predictions; arguments and errors as of `evaluate_predictions`."""
    if annotations is not None and not Path(annotations).is_file():
        raise FileMissingError(f"there is no annotation file {annotations}")
    if not Path(path).is_file():
        raise FileMissingError(
            f"there is no file of predictions {path}; `poise test CONFIG CHECKPOINT --dump "
            "NAME.jsonl` writes one"
        )
    if is_prediction_file(path):
        header, samples = read_predictions(path)
    else:
        header, samples = _coco_results(Path(path), annotations, schema)
    wanted = list(metrics) or header.get("metrics") or []
    if not wanted:
        raise ArgumentError(f"{path} names no metrics; give some, such as --metric CocoMetric")
    ann_file = annotations or header.get("ann_file")
    configs = [_config(metric, ann_file, header, annotations is not None) for metric in wanted]
    evaluators: dict[str, Evaluator] = {}
    for metric, config in zip(wanted, configs, strict=True):
        name = metric if isinstance(metric, str) else str(config["type"])
        try:
            with use_scope(header.get("scope")):
                evaluator = Evaluator(config)
        except UnknownNameError as error:
            error.add_note("metrics of your own are imported by --import MODULE")
            raise
        evaluator.dataset_meta = dict(header["meta"])
        evaluators[_unused(name, evaluators)] = evaluator
    leaves = {
        name: [leaf for metric in evaluator.metrics for leaf in leaves_of(metric, header["meta"])]
        for name, evaluator in evaluators.items()
    }
    collected = Collected(Path(path), header["meta"], configs, evaluators, leaves)
    for sample in samples:
        collected.take(sample)
    if not collected.count:
        raise DataError(f"{path} has no samples")
    return collected


def _plain_id(value: Any) -> Any:
    """An id that can be a key: lists and arrays as tuples."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


def _category_of(sample: Mapping[str, Any]) -> Any:
    """Id of a sample's category; None where it has none, or people of several."""
    own = np.ravel(sample.get("category_id", ())).tolist()
    return own[0] if len(own) == 1 else None


@contextmanager
def _named(metric: str) -> Iterator[None]:
    """Say which metric a setting of a wrong kind was given to."""
    try:
        yield
    except PoiseError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"the metric '{metric}' fails; is one of its settings of the wrong kind? ({error})"
        ) from error


def parse_metric(text: str) -> dict[str, Any]:
    """Config of a metric from a text.

    Example:
        >>> parse_metric("PCKAccuracy,thr=0.05,norm_item=bbox")
        {'type': 'PCKAccuracy', 'thr': 0.05, 'norm_item': 'bbox'}
        >>> parse_metric("NME,norm_mode=keypoint_distance,keypoint_indices=[2,4]")["type"]
        'NME'
    """
    name, _, rest = text.partition(",")
    if METRICS.get(name.strip()) is None:
        known = [n.rpartition(".")[2] for n in METRICS.names()]
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        raise UnknownNameError(f"there is no metric '{name}'{hint}")
    try:
        call = ast.parse(f"f({rest})", mode="eval").body
        values = {k.arg: _value(k.value) for k in call.keywords}  # type: ignore[attr-defined]
        if call.args or None in values:  # type: ignore[attr-defined]
            raise ValueError("an argument without a name")
    except (SyntaxError, ValueError) as error:
        raise ArgumentError(
            f"a metric is written NAME,argument=value,..., such as PCKAccuracy,thr=0.05, got "
            f"'{text}' ({error})"
        ) from error
    return {"type": name.strip(), **values}


def _value(node: ast.expr) -> Any:
    """A literal; a bare word is a text."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "none": None}.get(node.id.lower(), node.id)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
        return {k.arg: _value(k.value) for k in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(entry) for entry in node.elts]
    if isinstance(node, ast.BinOp | ast.Attribute):
        # a path or a name with a dash
        return ast.unparse(node).replace(" ", "")
    return ast.literal_eval(node)


def _config(
    metric: str | Mapping[str, Any], ann_file: Any, header: Mapping[str, Any], given: bool
) -> dict[str, Any]:
    config = parse_metric(metric) if isinstance(metric, str) else dict(metric)
    kind = str(config["type"]).rpartition(".")[2]
    if kind in _READ_ANNOTATIONS:
        if "coco_results" in header:
            config = {**_AS_THEY_ARE, **config}
        usable = ann_file is not None and Path(ann_file).is_file()
        if given or (usable and not config.get("ann_file")):
            config["ann_file"] = str(ann_file)
    elif "coco_results" in header:
        raise DataError(
            f"{kind} compares each person with its annotation, and a COCO result file does not "
            "say whose a pose is; save predictions with `poise test --dump NAME.jsonl`"
        )
    return config


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique


def keypoints_of(annotations: str | Path, schema: str | None) -> dict[str, Any]:
    """Parsed schema of a name or metadata file; that of an annotation file without it."""
    if schema is None:
        return parse_pose_metainfo(describe_keypoints(Path(annotations)).metainfo)
    return parse_pose_metainfo({"from_file": schema})


def _coco_results(
    path: Path, annotations: str | Path | None, schema: str | None
) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and samples of a result file."""
    rows = read_json(str(path), "the result file", owner="poise eval")
    good = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    of_boxes = good and bool(rows) and all(row.keys() >= _BOX_FIELDS for row in rows)
    of_boxes = of_boxes and not any("keypoints" in row for row in rows)
    known = good and all("keypoints" in row and "image_id" in row for row in rows)
    if not (of_boxes or known):
        raise DataError(
            f"{path} is neither a file of `poise test --dump NAME.jsonl` nor a COCO result file, "
            "a list of objects with image_id, category_id, score, and keypoints or bbox"
        )
    if annotations is None:
        raise DataError(f"{path} is a COCO result file; give its annotations, --annotations FILE")
    if of_boxes:
        return _box_results(path, rows, annotations)
    meta = keypoints_of(annotations, schema)
    sizes = {len(row["keypoints"]) for row in rows}
    if sizes - {3 * meta["num_keypoints"]}:
        raise DataError(
            f"{path}: a pose has {sorted(sizes)[0]} numbers, expected {3 * meta['num_keypoints']} "
            f"(x, y, score of the {meta['num_keypoints']} keypoints of {meta['dataset_name']})"
        )
    meta["CLASSES"] = read_json(str(annotations)).get("categories")
    header = {"meta": meta, "coco_results": True, "metrics": [{"type": "CocoMetric"}]}
    return header, map(_sample, range(len(rows)), rows)


def _box_results(
    path: Path, rows: Sequence[Mapping[str, Any]], annotations: str | Path
) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and samples of a result file of a detector."""
    categories = read_json(str(annotations)).get("categories") or []
    label_of = {category["id"]: label for label, category in enumerate(categories)}
    images: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["category_id"] not in label_of:
            raise DataError(
                f"{path} has a box of the category {row['category_id']}, which {annotations} does "
                f"not list (it has: {', '.join(map(str, label_of)) or 'none'})"
            )
        images.setdefault(row["image_id"], []).append(row)

    def sample(image: Any, own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        with explained(f"{path}: a box of the image {image}"):
            boxes = np.array([row["bbox"] for row in own], np.float64).reshape(len(own), 4)
            scores = np.array([row["score"] for row in own], np.float64)
        labels = np.array([label_of[row["category_id"]] for row in own])
        found = {"bboxes": bbox_xywh2xyxy(boxes), "scores": scores, "labels": labels}
        return {"img_id": image, "pred_instances": found}

    meta = {"classes": [str(c.get("name", c["id"])) for c in categories]}
    header = {"meta": meta, "metrics": [{"type": "mmdet.CocoMetric"}], "scope": "mmdet"}
    return header, itertools.starmap(sample, images.items())


def _sample(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    triples = np.array(row["keypoints"], np.float64).reshape(1, -1, 3)
    predicted = {
        "keypoints": triples[..., :2],
        "keypoint_scores": triples[..., 2],
        "bbox_scores": np.array([row.get("score", 1.0)], np.float64),
    }
    if "bbox" in row:
        x, y, width, height = row["bbox"]
        predicted["bboxes"] = np.array([[x, y, x + width, y + height]], np.float64)
    return {
        "id": number,
        "img_id": row["image_id"],
        "category_id": row.get("category_id", 1),
        "pred_instances": predicted,
        "gt_instances": {},
    }
