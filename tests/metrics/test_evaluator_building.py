"""Evaluators of configs, and what metrics learn of the data set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from poise.metrics import CocoMetric
from poise.metrics.evaluator import (
    Evaluator,
    MultiDatasetEvaluator,
    build_evaluator,
    meta_for_metrics,
)


@pytest.mark.parametrize(
    "cfg",
    [
        {"type": "CocoMetric"},
        [{"type": "CocoMetric"}],
        # as configs with imports name it
        {"type": "mmpose.evaluation.CocoMetric"},
        {"type": "Evaluator", "metrics": {"type": "CocoMetric"}},
    ],
)
def test_a_metric_alone_or_by_its_path_gets_an_evaluator(cfg):
    evaluator = build_evaluator(cfg)
    assert type(evaluator) is Evaluator
    assert [type(metric) for metric in evaluator.metrics] == [CocoMetric]


def test_an_evaluator_by_name_is_built_and_an_object_stays():
    cfg = {"type": "MultiDatasetEvaluator", "metrics": [], "datasets": []}
    assert isinstance(build_evaluator(cfg), MultiDatasetEvaluator)
    made = Evaluator([])
    assert build_evaluator(made) is made


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({}, "val.json"),
        ({"_indices": 10}, None),
        ({"ann_file": "val.npz"}, None),
        ({"ann_file": ""}, None),
    ],
)
def test_metrics_without_a_file_take_that_of_the_whole_data_set(changes, file):
    dataset = SimpleNamespace(metainfo={"num_keypoints": 3}, ann_file="val.json", _indices=None)
    vars(dataset).update(changes)
    meta = meta_for_metrics(dataset)
    assert meta.get("ann_file") == file
    assert meta["num_keypoints"] == 3
