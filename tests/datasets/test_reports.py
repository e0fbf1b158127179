"""Every reader accounts for every annotation of its file, with ids."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import CocoDataset, Human36mDataset
from poise.registry import DATASETS


def settings(value: Any, samples: str) -> Any:
    """Arguments whose paths lead to the samples."""
    if isinstance(value, dict):
        return {key: settings(entry, samples) for key, entry in value.items()}
    return value.replace("tests/data", samples) if isinstance(value, str) else value


def test_kept_and_dropped_add_up_for_every_dataset(shared: Path) -> None:
    cases = json.loads(gzip.decompress((shared / "golden/datasets.json.gz").read_bytes()))
    samples = str(shared / "data/mmpose_samples")
    seen = set()
    for case in cases["datasets"]:
        if "error" in case or case["type"] == "CombinedDataset":
            continue
        arguments = settings(case["kwargs"], samples)
        report = DATASETS.build({"type": case["type"], "pipeline": [], **arguments}).report
        assert report.total == report.kept + sum(report.dropped.values()), (case, str(report))
        assert {reason: len(ids) for reason, ids in report.ids.items()} == report.dropped
        seen.add(case["type"])
    assert len(seen) > 40


def test_ids_of_what_was_dropped_are_at_hand(coco: Any, person: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "poise.datasets")
    dataset = coco([person(1), person(21, iscrowd=1), person(22, iscrowd=1), person(7, bbox=None)])
    assert dataset.report.ids == {"crowd": [21, 22], "without box": [7]}
    debug = [r.message for r in caplog.records if r.levelno == logging.DEBUG]
    assert any(line.endswith("crowd: 21, 22") for line in debug)


def test_ids_come_back_from_the_cache(
    coco: Any, person: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "cache"))
    people = [person(1), person(2, iscrowd=1)]
    assert coco(people).report.ids == coco(people).report.ids == {"crowd": [2]}


def test_a_rule_of_ones_own_is_a_reason(tmp_path: Path, schema: Any, person: Any) -> None:
    class Picky(CocoDataset):
        @staticmethod
        def _is_valid_instance(data_info: dict[str, Any]) -> bool:
            return data_info["id"] != 2 and CocoDataset._is_valid_instance(data_info)

    file = tmp_path / "people.json"
    images = [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}]
    people = [person(1), person(2), person(3, iscrowd=1)]
    file.write_text(json.dumps({"images": images, "annotations": people, "categories": []}))
    report = Picky(str(file), metainfo=schema()).report
    assert report.ids == {"left out by _is_valid_instance": [2], "crowd": [3]}


def test_frames_in_no_sequence_are_counted(tmp_path: Path) -> None:
    names = [f"S1_Walk.1_{i:06d}.jpg" for i in range(10)] + ["S1_Sit.1_000000.jpg"]
    part = np.ones((11, 17, 3), np.float32)
    solid = np.ones((11, 17, 4), np.float32)
    np.savez(tmp_path / "h36m.npz", imgname=np.array(names), part=part, S=solid)
    report = Human36mDataset(str(tmp_path / "h36m.npz"), seq_len=9).report
    assert str(report).endswith("kept 2 of 2; 1 of 11 frames are in no sequence")


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_boxes_below_the_threshold_are_counted_once(
    tmp_path: Path, schema: Any, caplog: Any, threshold: float
) -> None:
    caplog.set_level(logging.INFO, "poise.datasets")
    images = [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}]
    (tmp_path / "images.json").write_text(json.dumps({"images": images, "categories": []}))
    boxes = [
        {"image_id": 1, "category_id": category, "bbox": [0, 0, 9, 9], "score": score}
        for category, score in ((1, 0.9), (1, 0.1), (2, 0.9))
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    dataset = CocoDataset(
        str(tmp_path / "images.json"),
        bbox_file=str(tmp_path / "boxes.json"),
        metainfo=schema(),
        test_mode=True,
        filter_cfg=dict(bbox_score_thr=threshold),
    )
    expected = {"of another category than person": 1}
    if threshold:
        expected["scoring below bbox_score_thr=0.5"] = 1
    assert dataset.report.dropped == expected
    assert dataset.report.kept == len(dataset) == 3 - sum(expected.values())
    assert sum("kept" in r.message for r in caplog.records) == 1
