"""AP and AR of boxes: hand-made scenes give what they must, drawn ones what pycocotools gives."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poise.errors import DataError, FileMissingError
from poise.metrics import DetectionCocoMetric, Evaluator
from poise.metrics.analysis import leaves_of
from poise.metrics.analysis.statistics import Leaf
from poise.registry import METRICS

CLASSES = ("cat", "dog")
#: what is found of one dog at (10, 10), 20 wide and 40 high
DOG = ([10, 10, 30, 50], 1)


def annotation(number: int, image: int = 1, **fields: Any) -> dict[str, Any]:
    ann = {"id": number, "image_id": image, "category_id": 9, "bbox": [10, 10, 20, 40]}
    return ann | {"area": 800.0, "iscrowd": 0} | fields


def content_of(*annotations: dict[str, Any], images: int = 2) -> dict[str, Any]:
    names = [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}]
    pictures = [{"id": i + 1, "width": 100, "height": 100} for i in range(images)]
    return {"images": pictures, "annotations": list(annotations), "categories": names}


def sample(image: int, *found: tuple[list[float], int, float], **other: Any) -> dict[str, Any]:
    """What a model gives: boxes xyxy, labels, scores."""
    boxes = torch.tensor([box for box, _, _ in found]).reshape(-1, 4).float()
    labels = torch.tensor([label for _, label, _ in found], dtype=torch.long)
    scores = torch.tensor([score for _, _, score in found])
    predicted = {"bboxes": boxes, "labels": labels, "scores": scores}
    return {"img_id": image, "pred_instances": predicted} | other


@pytest.fixture
def evaluate(tmp_path: Path) -> Any:
    """`evaluate(content, samples, **options)`: figures without 'coco/'."""

    def run(
        content: dict[str, Any] | None,
        samples: list[dict[str, Any]],
        *,
        classes: Any = CLASSES,
        **options: Any,
    ) -> dict[str, float]:
        if content is not None:
            file = tmp_path / "boxes.json"
            file.write_text(json.dumps(content))
            options["ann_file"] = str(file)
        metric = DetectionCocoMetric(**options)
        metric.dataset_meta = {"classes": classes}
        metric.process({}, samples)
        figures = metric.evaluate(len(samples))
        return {name.removeprefix("coco/"): value for name, value in figures.items()}

    return run


def test_figures_have_mmdetections_names(evaluate: Any) -> None:
    got = evaluate(content_of(annotation(1)), [sample(1, (*DOG, 0.9)), sample(2)])
    assert list(got) == [f"bbox_mAP{end}" for end in ("", "_50", "_75", "_s", "_m", "_l")]
    assert got["bbox_mAP"] == got["bbox_mAP_s"] == pytest.approx(1)
    assert got["bbox_mAP_l"] == -1
    assert METRICS.get("mmdet.CocoMetric") is DetectionCocoMetric


def test_a_crowd_swallows_what_lies_in_it(evaluate: Any) -> None:
    crowd = annotation(2, bbox=[50, 50, 50, 50], iscrowd=1)
    inside = [([60, 60, 70, 70], 1, 0.99), ([80, 80, 90, 90], 1, 0.98)]
    got = evaluate(content_of(annotation(1), crowd), [sample(1, (*DOG, 0.5), *inside)])
    assert got["bbox_mAP"] == pytest.approx(1)


def test_classes_are_found_by_their_names(evaluate: Any) -> None:
    content = content_of(annotation(1))
    assert evaluate(content, [sample(1, (*DOG, 0.9))])["bbox_mAP"] == pytest.approx(1)
    turned = evaluate(content, [sample(1, (DOG[0], 0, 0.9))], classes=("dog", "bird"))
    assert turned["bbox_mAP"] == pytest.approx(1)
    assert evaluate(content, [sample(1, (DOG[0], 0, 0.9))])["bbox_mAP"] == 0


def test_keypoints_without_a_box_are_measured_by_one_around_them(evaluate: Any) -> None:
    pose = annotation(1, keypoints=[20, 20, 2, 60, 40, 1, 0, 0, 0])
    unseen = annotation(2, keypoints=[0, 0, 0] * 3)
    for ann in (pose, unseen):
        del ann["bbox"], ann["area"]
    got = evaluate(content_of(pose, unseen), [sample(1, ([16, 16, 64, 44], 1, 0.9))])
    assert got["bbox_mAP"] == pytest.approx(1)


def test_each_class_has_its_own_precision(evaluate: Any) -> None:
    options = {"classwise": True, "metric_items": ["AR@100"]}
    got = evaluate(content_of(annotation(1)), [sample(1, (*DOG, 0.9))], **options)
    assert list(got) == ["bbox_AR@100", "cat_precision", "dog_precision"]
    assert np.isnan(got["cat_precision"])
    assert got["dog_precision"] == pytest.approx(1)


def test_proposals_count_whatever_their_class(evaluate: Any) -> None:
    found = [sample(1, (DOG[0], 0, 0.9))]
    got = evaluate(content_of(annotation(1)), found, metric=["bbox", "proposal"])
    assert got["bbox_mAP"] == 0
    assert got["AR@100"] == 1
    assert evaluate(content_of(annotation(1)), found, metric="proposal", iou_thrs=0.5) == {
        "AR@100": 1,
        "AR@300": 1,
        "AR@1000": 1,
        "AR_s@1000": 1,
        "AR_m@1000": -1,
        "AR_l@1000": -1,
    }


def test_annotations_can_come_with_the_samples(evaluate: Any) -> None:
    things = [{"bbox": DOG[0], "bbox_label": 1, "ignore_flag": 0}]
    samples = [sample(1, (*DOG, 0.9), instances=things), sample(2, instances=[])]
    assert evaluate(None, samples)["bbox_mAP"] == pytest.approx(1)
    with pytest.raises(DataError, match="needs \\['instances'\\].*or give `ann_file`"):
        evaluate(None, [sample(1)])


def test_a_picture_counts_once(evaluate: Any) -> None:
    found = sample(1, (*DOG, 0.9), ([60, 60, 90, 90], 1, 0.8))
    content = content_of(annotation(1), annotation(2, 2))
    once = evaluate(content, [found, sample(2, (*DOG, 0.7))])
    assert evaluate(content, [found, found, sample(2, (*DOG, 0.7))]) == once


def test_results_are_written_for_a_test_server(evaluate: Any, tmp_path: Path) -> None:
    prefix = str(tmp_path / "out" / "test")
    got = evaluate(
        content_of(annotation(1)),
        [sample(1, (*DOG, 0.5)), sample(2)],
        format_only=True,
        outfile_prefix=prefix,
    )
    assert got == {}
    rows = json.loads(Path(f"{prefix}.bbox.json").read_text())
    assert rows == [{"image_id": 1, "category_id": 9, "bbox": [10, 10, 20, 40], "score": 0.5}]


def test_the_datasets_own_file_is_taken_where_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(content_of(annotation(1))))
    evaluator = Evaluator({"type": "mmdet.CocoMetric"})
    evaluator.dataset_meta = {"classes": CLASSES, "ann_file": str(file)}
    evaluator.process([sample(1, (*DOG, 0.9))])
    assert evaluator.evaluate(1)["coco/bbox_mAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metric": "segm"}, "metric of boxes must be one of 'bbox', 'proposal', got 'segm'"),
        ({"metric_items": ["mAp"]}, "metric_items must be one of.*did you mean 'mAP'"),
        ({"proposal_nums": (1, 10)}, "proposal_nums are three numbers"),
        ({"proposal_nums": (0, 1, 10)}, r"three numbers from 1 on, got \(0, 1, 10\)"),
        ({"iou_thrs": []}, "iou_thrs needs an overlap"),
        ({"format_only": True}, "needs outfile_prefix"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        DetectionCocoMetric(**options)


def test_what_does_not_fit_is_an_error_that_says_so(evaluate: Any) -> None:
    content = content_of(annotation(1))
    with pytest.raises(DataError, match=r"1 image with predictions is not.*such as \[7\]"):
        evaluate(content, [sample(7)])
    with pytest.raises(DataError, match="has the label 2, but the dataset has 2 classes"):
        evaluate(content, [sample(1, (DOG[0], 2, 0.9))])
    with pytest.raises(DataError, match=r"none of the classes \(bird\).*which has cat, dog"):
        evaluate(content, [sample(1)], classes=("bird",))
    with pytest.raises(DataError, match="needs 'scores' in `pred_instances`"):
        evaluate(content, [{"img_id": 1, "pred_instances": {"bboxes": np.zeros((0, 4))}}])
    with pytest.raises(DataError, match="annotation 1 of .*boxes.json has no `bbox`"):
        evaluate(content_of(annotation(1, bbox=[1, 2, 3])), [sample(1)])
    content["annotations"][0].pop("category_id")
    with pytest.raises(DataError, match="annotation 1 of .*boxes.json lacks category_id"):
        evaluate(content, [sample(1)], classes=(*CLASSES, "bird"))
    uneven = {"bboxes": np.zeros((2, 4)), "scores": np.zeros(1), "labels": np.zeros(1)}
    with pytest.raises(DataError, match=r"bboxes \(2, 4\), scores \(1,\) and labels \(1,\)"):
        evaluate(content_of(annotation(1)), [{"img_id": 1, "pred_instances": uneven}])
    with pytest.raises(FileMissingError, match="does not exist"):
        DetectionCocoMetric("nowhere.json")


def drawn(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO file and predictions, with many classes, crowds, ties and empty pictures."""
    rng = np.random.default_rng(seed)
    pictures, classes = 1 + seed % 25, 1 + seed % 7
    crowded, most = (0, 0.1, 0.5)[seed % 3], (3, 20, 60, 150)[seed % 4]
    anns: list[dict[str, Any]] = []
    samples = []
    for image in range(1, pictures + 1):
        own = []
        for _ in range(rng.integers(0, 8)):
            side = rng.choice([20, 60, 200]) * rng.uniform(0.5, 1.5, 2)
            box = np.concatenate([rng.uniform(0, 400, 2), side])
            category = int(rng.integers(classes))
            own.append((box, category))
            area = float(side.prod() * rng.uniform(0.4, 1))
            crowd = int(rng.random() < crowded)
            anns.append(annotation(len(anns) + 1, image, category_id=3 * category, area=area))
            anns[-1] |= {"bbox": box.tolist(), "iscrowd": crowd}
        found = []
        for _ in range(rng.integers(0, most) if rng.random() < 0.9 else 0):
            box, category = rng.uniform(1, 300, 4), int(rng.integers(classes))
            if own and rng.random() < 0.7:
                box, category = own[rng.integers(len(own))]
                box = (box + rng.normal(0, rng.choice([4, 1e-4]), 4)).clip(1)
            score = rng.choice([0.1, 0.5, 0.9]) if rng.random() < 0.5 else rng.random()
            corners = [*box[:2], *(box[:2] + box[2:])]
            found.append((list(map(float, corners)), category, float(score)))
        samples.append(sample(image, *found))
    names = [{"id": 3 * c, "name": f"class {c}"} for c in range(classes)]
    content = content_of(*anns, images=pictures) | {"categories": names}
    return content, samples


NUMBERS = [(1, 10, 100), (100, 300, 1000), (100, 1, 10), (3, 5, 20)]
EVERYTHING = ["mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l"]
EVERYTHING += ["AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"]


@pytest.mark.parametrize("seed", range(24))
def test_figures_equal_those_of_pycocotools(evaluate: Any, seed: int) -> None:
    content, samples = drawn(seed)
    rows = [
        {
            "image_id": s["img_id"],
            "category_id": 3 * int(label),
            "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]],
            "score": score,
        }
        for s in samples
        for box, label, score in zip(
            *(s["pred_instances"][name].tolist() for name in ("bboxes", "labels", "scores")),
            strict=True,
        )
    ]
    assert rows
    for kind, items in (("bbox", EVERYTHING), ("proposal", EVERYTHING[6:])):
        numbers = NUMBERS[seed % 4]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = json.loads(json.dumps(content))
            truth.createIndex()
            reference = COCOeval(truth, truth.loadRes(rows), "bbox")
            reference.params.maxDets = list(numbers)
            reference.params.useCats = int(kind == "bbox")
            reference.evaluate()
            reference.accumulate()
            reference.summarize()
        got = evaluate(
            content,
            samples,
            classes=[c["name"] for c in content["categories"]],
            metric=kind,
            proposal_nums=numbers,
            metric_items=items,
        )
        assert list(got.values()) == pytest.approx(reference.stats[-len(items) :], abs=1e-9)


def leaf_of(tmp_path: Path, content: dict[str, Any], samples: list[dict[str, Any]]) -> Leaf:
    """A metric that was fed, for a closer look."""
    file = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    file.write_text(json.dumps(content))
    metric = DetectionCocoMetric(str(file), metric=["bbox", "proposal"])
    metric.dataset_meta = {"classes": [c["name"] for c in content["categories"]]}
    (leaf,) = leaves_of(metric)
    for one in samples:
        metric.process({}, [one])
        leaf.take(one["img_id"], one["img_id"])
    leaf.close()
    return leaf


def test_a_draw_of_pictures_has_the_figures_of_so_many_copies(tmp_path: Path) -> None:
    content, samples = drawn(18)
    rng = np.random.default_rng(0)
    for one in samples:
        # what ties depends on the order of the pictures
        one["pred_instances"]["scores"] = torch.from_numpy(
            rng.random(len(one["pred_instances"]["labels"]))
        )
    statistic = leaf_of(tmp_path, content, samples).statistic()
    weights = rng.integers(0, 3, len(samples))
    copies = [(row, n) for row, weight in enumerate(weights) for n in range(weight)]
    pictures = [content["images"][row] | {"id": 100 * row + n} for row, n in copies]
    anns = [
        ann | {"id": 1000 * ann["id"] + n, "image_id": 100 * row + n}
        for row, n in copies
        for ann in content["annotations"]
        if ann["image_id"] == content["images"][row]["id"]
    ]
    repeated = content | {"images": pictures, "annotations": anns}
    found = [samples[row] | {"img_id": 100 * row + n} for row, n in copies]
    direct = leaf_of(tmp_path, repeated, found).statistic()
    expected = direct.figures(np.ones((1, len(copies)), int))
    np.testing.assert_allclose(statistic.figures(weights[None]), expected, atol=1e-12)
    assert statistic.names[0] == "coco/bbox_mAP"


def test_runs_on_other_boxes_are_not_compared(tmp_path: Path) -> None:
    content = content_of(annotation(1))
    other = content_of(annotation(1, bbox=[10, 10, 20, 41]))
    one, two = (leaf_of(tmp_path, c, [sample(1), sample(2)]) for c in (content, other))
    one.compare_truth(one)
    with pytest.raises(DataError, match="tested on different boxes"):
        one.compare_truth(two)
    with pytest.raises(DataError, match="not in the other run|pictures"):
        one.compare_truth(leaf_of(tmp_path, content_of(images=3), [sample(1)]))
