"""Predictions saved once give the figures of the direct evaluation, for every metric."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poise.cli.main import app
from poise.data_tools import evaluate_predictions, parse_metric
from poise.errors import ArgumentError, DataError, FileMissingError, UnknownNameError
from poise.metrics import Evaluator
from poise.metrics.prediction_file import PredictionWriter, read_predictions
from poise.registry import METRICS
from poise.structures import InstanceData, PoseDataSample
from poise.structures.metainfo import parse_pose_metainfo


@pytest.fixture
def inputs(shared: Path, tmp_path: Path, monkeypatch: Any) -> ModuleType:
    """Samples that the reference figures were made of; the samples' folder is tests/data."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/data").symlink_to(shared / "data/mmpose_samples")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("reference_inputs", shared / "golden/inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def meta_of(name: str) -> dict[str, Any]:
    return parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{name}.py"})


def saved(path: Path, samples: list[Any], **header: Any) -> Path:
    writer = PredictionWriter(path, header)
    writer.write(samples)
    writer.close()
    return path


# the reference program leaves files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_saved_predictions_give_the_same_figures(inputs: Any, shared: Path, tmp_path: Path) -> None:
    cases = json.loads(gzip.decompress((shared / "golden/metrics.json.gz").read_bytes()))["cases"]
    kinds = set()
    for number, case in enumerate(cases):
        if "error" in case:
            continue
        meta = meta_of(case["dataset"])
        if case.get("ann_for_classes"):
            meta["CLASSES"] = json.loads(Path(case["ann_for_classes"]).read_text())["categories"]
        samples = getattr(inputs, case["inputs"]["fn"])(**case["inputs"]["kwargs"])
        direct = Evaluator(case["metric"])
        direct.dataset_meta = dict(meta)
        for sample in samples:
            direct.process([sample])
        expected = direct.evaluate(len(samples))
        file = saved(tmp_path / f"{number}.jsonl.gz", samples, meta=meta, metrics=[case["metric"]])
        (found,) = evaluate_predictions(file).values()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_equal(found[name], value, err_msg=f"{case['metric']} {name}")
        kinds.add(case["metric"]["type"])
    assert {"CocoMetric", "CocoWholeBodyMetric", "NME", "MPJPE", "InterHandMetric", "AUC"} <= kinds


def pose(number: int = 1, **more: Any) -> dict[str, Any]:
    points = np.arange(34, dtype=np.float32).reshape(1, 17, 2) + number
    return {
        "id": number,
        "img_id": number,
        "pred_instances": {"keypoints": points, "keypoint_scores": np.ones((1, 17), np.float32)},
        "gt_instances": {"keypoints": points, "keypoints_visible": np.ones((1, 17))},
        **more,
    }


def test_what_is_read_equals_what_was_written(tmp_path: Path) -> None:
    written = pose(
        1,
        empty=np.zeros((0, 17, 2), np.float32),
        scalar=np.float32(0.1),
        odd=np.array([np.nan, np.inf, -0.0]),
        by_number={0: "nose", 1: "eye"},
        flags=np.array([True, False]),
        text="é",
    )
    header, samples = read_predictions(saved(tmp_path / "p.jsonl", [written], meta={"a": [1]}))
    (read,) = samples
    assert header["meta"] == {"a": [1]}
    for name in ("empty", "scalar", "odd", "flags"):
        np.testing.assert_array_equal(read[name], written[name])
        assert read[name].dtype == written[name].dtype
        assert np.shape(read[name]) == np.shape(written[name])
    assert read["by_number"] == {0: "nose", 1: "eye"}
    assert read["pred_instances"]["keypoints"].dtype == np.float32


def test_data_samples_and_tensors_are_written_without_maps(tmp_path: Path) -> None:
    sample = PoseDataSample(metainfo={"id": 3, "ori_shape": (4, 5)})
    sample.pred_instances = InstanceData(keypoints=torch.ones(1, 2, 2))
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, 2))
    ann = {"id": 1, "image_id": 2, "segmentation": [[1, 2]], "keypoints": [1, 2, 2]}
    sample.set_metainfo({"raw_ann_info": ann})
    _, samples = read_predictions(saved(tmp_path / "p.jsonl", [sample], meta={}))
    (read,) = samples
    assert read["pred_instances"]["keypoints"].tolist() == [[[1, 1], [1, 1]]]
    assert "gt_instance_labels" not in read
    assert read["raw_ann_info"] == {"id": 1, "image_id": 2, "keypoints": [1, 2, 2]}


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "p.jsonl", [pose(1), pose(2)], meta=meta_of("coco"))
    lines = file.read_text().splitlines(keepends=True)
    for text, match in (
        ("".join(lines[:-1]), "ends after 2 samples without its last line"),
        ("".join(lines)[:-40], "line 3, is not valid JSON|cut short"),
        (lines[0] + lines[1] + lines[3], "has 1 sample, its last line says 2"),
        ("[1]\n", "is not an object"),
        ('{"a": 1}\n', "is not a file of predictions"),
        ("", "is not a file of predictions"),
        (lines[0].replace('"version":1', '"version":9'), "has the version 9"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=match):
            evaluate_predictions(file, ["EPE"])
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not JSON lines"):
        evaluate_predictions(file, ["EPE"])
    packed = saved(tmp_path / "q.jsonl.gz", [pose(1)], meta=meta_of("coco"))
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cannot be read after line|is not JSON lines"):
        evaluate_predictions(packed, ["EPE"])
    with pytest.raises(FileMissingError, match="no file of predictions .*--dump"):
        evaluate_predictions(tmp_path / "none.jsonl")


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    writer = PredictionWriter(tmp_path / "deep/p.jsonl", {"meta": {}})
    writer.write([pose()])
    assert not writer.path.exists()
    writer.close()
    assert writer.path.exists()
    assert [p.name for p in writer.path.parent.iterdir()] == ["p.jsonl"]
    with pytest.raises(DataError, match=r"ends with .jsonl or .jsonl.gz"):
        PredictionWriter(tmp_path / "p.txt", {})
    with pytest.raises(DataError, match="cannot write the predictions"):
        PredictionWriter(tmp_path / "deep/p.jsonl/q.jsonl", {})


def test_metrics_are_written_as_text() -> None:
    assert parse_metric("EPE") == {"type": "EPE"}
    nested = "KeypointPartitionMetric,metric=dict(type='EPE'),partitions={'a': [0, 1]}"
    assert parse_metric(nested)["partitions"] == {"a": [0, 1]}
    assert parse_metric("PCKAccuracy,norm_item=[bbox,torso]")["norm_item"] == ["bbox", "torso"]
    assert parse_metric("MPJPE,mode=p-mpjpe")["mode"] == "p-mpjpe"
    assert parse_metric("CocoMetric,use_area=false")["use_area"] is False
    with pytest.raises(UnknownNameError, match="no metric 'PCK'.*PCKAccuracy"):
        parse_metric("PCK")
    with pytest.raises(ArgumentError, match="NAME,argument=value"):
        parse_metric("PCKAccuracy,0.5")
    with pytest.raises(ArgumentError, match="NAME,argument=value"):
        parse_metric("PCKAccuracy,thr=")


def test_several_metrics_of_one_kind_stand_side_by_side(tmp_path: Path) -> None:
    file = saved(tmp_path / "p.jsonl", [pose(1), pose(2)], meta=meta_of("coco"))
    found = evaluate_predictions(file, ["AUC,norm_factor=5", "AUC", {"type": "EPE"}])
    assert list(found) == ["AUC,norm_factor=5", "AUC", "EPE"]
    assert found["EPE"] == {"EPE": 0}
    with pytest.raises(ArgumentError, match="names no metrics"):
        evaluate_predictions(file)


def coco_files(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    anns, rows = [], []
    for number in range(6):
        points = rng.uniform(10, 90, (17, 2))
        triples = np.concatenate([points, np.full((17, 1), 2)], axis=1)
        guess = np.concatenate(
            [points + rng.normal(0, 1.5, (17, 2)), np.full((17, 1), 0.9)], axis=1
        )
        common = {"image_id": number // 2, "category_id": 1}
        flat = triples.ravel().tolist()
        box = [5, 5, 90, 90]
        anns.append(
            {**common, "id": number, "bbox": box, "area": 5000, "iscrowd": 0, "keypoints": flat}
        )
        rows.append({**common, "keypoints": guess.ravel().tolist(), "score": 1 - number / 10})
    from poise import schemas

    names = [p["name"] for p in schemas.get("coco")["keypoint_info"].values()]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(4)]
    truth = {
        "images": images,
        "annotations": anns,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(rows))
    return tmp_path / "results.json", tmp_path / "truth.json"


def test_coco_result_files_are_taken_as_they_are(tmp_path: Path) -> None:
    results, truth = coco_files(tmp_path)
    found = evaluate_predictions(results, annotations=truth)["CocoMetric"]
    assert 0.3 < found["coco/AP"] <= 1
    assert evaluate_predictions(results, annotations=truth, schema="coco") == {"CocoMetric": found}
    with pytest.raises(DataError, match="give its annotations"):
        evaluate_predictions(results)
    with pytest.raises(DataError, match="does not say whose a pose is"):
        evaluate_predictions(results, ["PCKAccuracy"], annotations=truth)
    with pytest.raises(DataError, match="a pose has 51 numbers, expected 42"):
        evaluate_predictions(results, annotations=truth, schema="aic")
    with pytest.raises(FileMissingError, match="no annotation file"):
        evaluate_predictions(results, annotations=tmp_path / "none.json")
    with pytest.raises(DataError, match="nor a COCO result file"):
        evaluate_predictions(truth, annotations=truth)
    for text in ("[1, 2]", "5", '["keypoints image_id"]'):
        results.write_text(text)
        with pytest.raises(DataError, match="nor a COCO result file"):
            evaluate_predictions(results, annotations=truth)


def test_results_of_cocometric_evaluate_to_its_own_figures(tmp_path: Path) -> None:
    """The file that CocoMetric writes for a test server scores what CocoMetric said."""
    _, truth = coco_files(tmp_path)
    samples = []
    for row in json.loads((tmp_path / "results.json").read_text()):
        points = np.array(row["keypoints"]).reshape(1, 17, 3)
        boxes = np.array([[5.0, 5, 95, 95]])
        samples.append(
            {
                "id": len(samples),
                "img_id": row["image_id"],
                "pred_instances": {
                    "keypoints": points[..., :2],
                    "keypoint_scores": points[..., 2],
                    "bboxes": boxes,
                    "bbox_scores": np.array([row["score"]]),
                },
                "gt_instances": {},
            }
        )
    metric = {"type": "CocoMetric", "outfile_prefix": str(tmp_path / "own"), "nms_thr": 0.5}
    file = saved(tmp_path / "p.jsonl", samples, meta=meta_of("coco"), metrics=[metric])
    own = evaluate_predictions(file, annotations=truth)["CocoMetric"]
    again = evaluate_predictions(tmp_path / "own.keypoints.json", annotations=truth)
    assert again["CocoMetric"] == pytest.approx(own, abs=1e-9)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    run = CliRunner().invoke
    file = saved(tmp_path / "p.jsonl", [pose(1)], meta=meta_of("coco"), metrics=[{"type": "EPE"}])
    lines = run(app, ["eval", str(file)]).output.splitlines()
    assert [line.split() for line in lines] == [
        ["metric", "figure", "value"],
        ["EPE", "EPE", "0.0000"],
    ]
    done = run(app, ["eval", str(file), "--json", "-m", "AUC", "--out", str(tmp_path / "f.json")])
    assert json.loads(done.stdout) == json.loads((tmp_path / "f.json").read_text())


def test_a_metric_of_ones_own_is_imported_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METRICS, "_added", dict(METRICS._added))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "metrics_of_mine.py").write_text(
        "from poise.metrics import EPE\nfrom poise.registry import METRICS\n\n\n"
        "@METRICS.register_module()\nclass Mine(EPE):\n    pass\n"
    )
    file = saved(tmp_path / "p.jsonl", [pose(1)], meta=meta_of("coco"), metrics=[{"type": "Mine"}])
    done = CliRunner().invoke(app, ["eval", str(file), "--import", "metrics_of_mine"])
    assert done.exit_code == 0, done.exception
    assert done.output.splitlines()[1].split() == ["Mine", "EPE", "0.0000"]


def test_a_setting_of_a_wrong_kind_names_its_metric(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", [pose(1)], meta=meta_of("coco"))
    with pytest.raises(ArgumentError, match="the metric 'PCKAccuracy,norm_item=torso,thr=x' fails"):
        evaluate_predictions(path, ["PCKAccuracy,norm_item=torso,thr=x"])
    with pytest.raises(DataError, match="num_thrs='x'"):
        evaluate_predictions(path, ["AUC,num_thrs=x"])


def test_boxes_of_detectors_are_evaluated_by_mmdetections_metric(tmp_path: Path) -> None:
    annotations = tmp_path / "boxes.json"
    ann = {"id": 1, "image_id": 1, "category_id": 4, "bbox": [10, 10, 20, 40]}
    categories = [{"id": 4, "name": "dog"}]
    content = {"images": [{"id": 1}], "annotations": [ann], "categories": categories}
    annotations.write_text(json.dumps(content))
    header = {"meta": {"classes": ["dog"]}, "ann_file": str(annotations), "scope": "mmdet"}
    writer = PredictionWriter(
        tmp_path / "boxes.jsonl", header | {"metrics": [{"type": "CocoMetric", "metric": "bbox"}]}
    )
    boxes = np.array([[10, 10, 30, 50]], np.float32)
    found = {"bboxes": boxes, "scores": np.ones(1, np.float32), "labels": np.zeros(1, np.int64)}
    writer.write([{"img_id": 1, "pred_instances": found}])
    writer.close()
    figures = evaluate_predictions(tmp_path / "boxes.jsonl")["CocoMetric"]
    assert figures["coco/bbox_mAP"] == pytest.approx(1)


def test_a_result_file_of_boxes_needs_annotations_alone(tmp_path: Path) -> None:
    annotations, results = tmp_path / "boxes.json", tmp_path / "results.bbox.json"
    ann = {"id": 1, "image_id": 1, "category_id": 4, "bbox": [10, 10, 20, 40]}
    categories = [{"id": 7, "name": "cat"}, {"id": 4, "name": "dog"}]
    content = {"images": [{"id": 1}], "annotations": [ann], "categories": categories}
    annotations.write_text(json.dumps(content))
    row = {"image_id": 1, "category_id": 4, "bbox": [10, 10, 20, 40], "score": 0.5}
    results.write_text(json.dumps([row, {**row, "category_id": 7, "score": 0.9}]))
    (figures,) = evaluate_predictions(results, annotations=annotations).values()
    assert figures["coco/bbox_mAP"] == pytest.approx(1)
    results.write_text(json.dumps([{**row, "category_id": 5}]))
    with pytest.raises(DataError, match=r"category 5, which .* does not list \(it has: 7, 4"):
        evaluate_predictions(results, annotations=annotations)
    results.write_text(json.dumps([{**row, "bbox": [1, 2]}]))
    with pytest.raises(DataError, match="a box of the image 1 cannot be read"):
        evaluate_predictions(results, annotations=annotations)
    with pytest.raises(DataError, match="give its annotations"):
        evaluate_predictions(results)
