"""`poise eval` says how sure figures are, and which of two runs is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise import schemas
from poise.cli.main import app, fill_bare_options
from poise.data_tools import evaluate_predictions, examine_predictions
from poise.errors import ArgumentError, DataError
from poise.metrics.prediction_file import PredictionWriter
from poise.structures.metainfo import parse_pose_metainfo

PICTURES, PEOPLE = 12, 3


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Maker of an annotation file and result files of it, by how far poses are off."""
    names = [p["name"] for p in schemas.get("coco")["keypoint_info"].values()]
    rng = np.random.default_rng(0)
    anns = []
    for number in range(PICTURES * PEOPLE):
        corner = np.array([120.0 * (number % PEOPLE), 10.0])
        points = corner + rng.uniform(0, 100, (17, 2))
        pose = np.concatenate([points, rng.integers(0, 3, (17, 1))], axis=1)
        ann = {"id": number + 1, "image_id": number // PEOPLE, "category_id": 1, "iscrowd": 0}
        ann |= {"bbox": [*corner.tolist(), 100, 100], "area": 6000.0}
        anns.append({**ann, "num_keypoints": 17, "keypoints": pose.ravel().tolist()})
    truth = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(PICTURES)],
        "annotations": anns,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))

    def results(name: str, noise: float, *, first: int = 0) -> Path:
        own = np.random.default_rng(1)
        rows = []
        for ann in anns:
            pose = np.reshape(ann["keypoints"], (17, 3)).copy()
            pose[:, :2] += own.normal(0, noise, (17, 2))
            pose[:, 2] = 0.9
            if ann["image_id"] >= first:
                row = {"image_id": ann["image_id"], "category_id": 1, "score": own.random()}
                rows.append({**row, "keypoints": pose.ravel().tolist()})
        (tmp_path / name).write_text(json.dumps(rows))
        return tmp_path / name

    results.truth = tmp_path / "truth.json"  # type: ignore[attr-defined]
    return results


def samples(noise: float, *, first: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    made = []
    for number in range(30):
        points = rng.uniform(0, 100, (1, 17, 2))
        moved = points + rng.normal(0, noise, points.shape)
        truth = {"keypoints": points, "keypoints_visible": np.ones((1, 17))}
        truth["bboxes"] = np.array([[0.0, 0, 100, 100]])
        sample = {"id": number, "img_id": number // 2, "gt_instances": truth}
        made.append({**sample, "pred_instances": {"keypoints": moved}})
    return made[first:]


def saved(path: Path, made: list[dict[str, Any]]) -> Path:
    meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    metrics = [{"type": "PCKAccuracy", "thr": 0.05}, {"type": "EPE"}]
    writer = PredictionWriter(path, {"meta": meta, "metrics": metrics})
    writer.write(made)
    writer.close()
    return path


def test_intervals_stand_beside_unchanged_figures(files: Any) -> None:
    path = files("a.json", 3)
    plain = evaluate_predictions(path, annotations=files.truth)
    found = examine_predictions(path, annotations=files.truth, interval=0.9, resamples=200)
    assert found.figures == plain
    for name, interval in found.intervals["CocoMetric"].items():
        assert interval.value == plain["CocoMetric"][name] or plain["CocoMetric"][name] == -1
    ap = found.intervals["CocoMetric"]["coco/AP"]
    assert ap.low < ap.value < ap.high
    assert np.isnan(found.intervals["CocoMetric"]["coco/AP (L)"].low)


def test_the_closer_run_wins_and_by_every_keypoint(files: Any) -> None:
    near, far = files("near.json", 2), files("far.json", 4)
    found = examine_predictions(near, annotations=files.truth, against=far, resamples=200)
    ap = found.comparison["CocoMetric"]["coco/AP"]
    assert ap.better == 1
    assert ap.low > 0
    keypoints = found.keypoints["CocoMetric"]
    assert list(keypoints)[:2] == ["nose", "left_eye"]
    assert all(row.difference > 0 for row in keypoints.values())
    back = examine_predictions(far, annotations=files.truth, against=near, resamples=200)
    assert back.comparison["CocoMetric"]["coco/AP"].better == 0
    assert back.comparison["CocoMetric"]["coco/AP"].high == pytest.approx(-ap.low)


def test_runs_are_measured_by_the_metrics_of_the_first(tmp_path: Path) -> None:
    near, far = saved(tmp_path / "a.jsonl", samples(1)), saved(tmp_path / "b.jsonl", samples(5))
    found = examine_predictions(near, against=far, resamples=100)
    assert list(found.comparison) == ["PCKAccuracy", "EPE"]
    assert found.comparison["EPE"]["EPE"].difference < 0
    assert found.comparison["EPE"]["EPE"].better == 1
    assert found.keypoints["PCKAccuracy"]["left_wrist"].better == 1


def test_runs_of_other_pictures_or_labels_are_refused(files: Any, tmp_path: Path) -> None:
    whole, part = saved(tmp_path / "a.jsonl", samples(1)), tmp_path / "b.jsonl"
    saved(part, samples(1, first=4))
    with pytest.raises(DataError, match=r"same samples: 4 only in the first .*\(0, 0\), \(0, 1\)"):
        examine_predictions(whole, against=part)
    moved = samples(1)
    moved[7]["gt_instances"]["keypoints"] = moved[7]["gt_instances"]["keypoints"] + 1
    saved(part, moved)
    with pytest.raises(DataError, match=r"different labels: annotations \[\(3, 7\)\]"):
        examine_predictions(whole, against=part)
    found = examine_predictions(
        files("a.json", 2), annotations=files.truth, against=files("b.json", 2, first=10)
    )
    assert "10 only in the first" in found.notes[0]


def test_the_command_shows_intervals_and_comparisons(files: Any, tmp_path: Path) -> None:
    run = CliRunner().invoke
    near, far = files("near.json", 2), files("far.json", 4)
    command = ["eval", str(near), "--annotations", str(files.truth), "--resamples", "100"]
    lines = run(app, fill_bare_options([*command, "--interval"])).output.splitlines()
    assert lines[0].split() == ["metric", "figure", "value", "95", "%", "interval"]
    assert lines[1].startswith("CocoMetric  coco/AP ")
    assert lines[1].endswith("]")
    assert lines[5].split() == ["coco/AP", "(L)", "-1.0000", "-"]
    done = run(app, [*command, "--against", str(far)])
    assert "figure" in done.output
    assert "left_wrist" in done.output
    assert "100.0%" in done.output
    out = tmp_path / "found.json"
    text = run(app, [*command, "--against", str(far), "--json", "--out", str(out)]).output
    tree = json.loads(text)
    assert tree == json.loads(out.read_text())
    assert tree["comparison"]["CocoMetric"]["coco/AP"]["better"] == 1
    assert tree["comparison"]["CocoMetric"]["coco/AP (L)"]["low"] is None


def test_numbers_out_of_range_and_odd_metrics_are_named(files: Any, tmp_path: Path) -> None:
    few = saved(tmp_path / "few.jsonl", samples(1, first=20))
    with pytest.raises(DataError, match="5 pictures are too few"):
        examine_predictions(few, interval=0.95)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        examine_predictions(files("a.json", 2), annotations=files.truth, interval=95)


def test_errors_and_groups_are_shown_and_written(files: Any, tmp_path: Path) -> None:
    run = CliRunner().invoke
    command = ["eval", str(files("a.json", 5)), "--annotations", str(files.truth)]
    command += ["--breakdown", "--by", "keypoint", "--by", "size", "--worst", "3"]
    lines = run(app, command).output.splitlines()
    titles = [line for line in lines if line.startswith("CocoMetric: ")]
    assert [title.partition(": ")[2].split(",")[0] for title in titles] == [
        "errors",
        "errors by keypoint",
        "keypoints",
        "people by size",
        "worst people",
        "worst pictures",
    ]
    assert max(map(len, lines)) <= 100
    tree = json.loads(run(app, [*command, "--json", "--interval", "0.9"]).stdout)
    tables = tree["tables"]["CocoMetric"]
    assert tables["errors"]["missed people"]["number"] == 0
    nose = tables["keypoints"]["nose"]
    assert nose["low"] <= nose["mean similarity"] <= nose["high"]
    assert len(tables["worst people"]) == 3


def test_metrics_without_a_table_are_noted_beside_those_with_one(tmp_path: Path) -> None:
    made = samples(2)
    for sample in made:
        pose = np.dstack([sample["gt_instances"]["keypoints"], np.full((1, 17), 2)])
        ann = {"id": sample["id"], "image_id": sample["img_id"], "category_id": 1, "iscrowd": 0}
        ann |= {"area": 9000.0, "bbox": [0, 0, 100, 100], "keypoints": pose.ravel().tolist()}
        sample["raw_ann_info"] = ann
        sample["ori_shape"] = (100, 100)
        sample["pred_instances"]["keypoint_scores"] = np.ones((1, 17))
    path = saved(tmp_path / "a.jsonl", made)
    found = examine_predictions(path, ["CocoMetric", "EPE"], breakdown=True)
    assert list(found.tables) == ["CocoMetric"]
    assert "EPE does not match poses to people by OKS" in found.notes[0]


def test_a_breakdown_of_means_is_refused_or_noted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jsonl", samples(2))
    with pytest.raises(DataError, match=r"does not match poses to people by OKS; use CocoMetric"):
        examine_predictions(path, breakdown=True)
    found = examine_predictions(path, by=["size"], worst=2)
    assert [t.title for t in found.tables["EPE"]][-2:] == ["worst people", "worst pictures"]
    assert len(found.tables["PCKAccuracy"]) == 3


def test_a_page_holds_everything_with_the_worst_cases_drawn(files: Any, tmp_path: Path) -> None:
    results = files("a.json", 4, first=2)
    page = tmp_path / "page.html"
    command = ["eval", str(results), "--annotations", str(files.truth), "--resamples", "50"]
    done = CliRunner().invoke(app, [*command, "--page", str(page), "--worst", "3"])
    assert done.output.splitlines()[-1] == f"wrote {page}"
    text = page.read_text()
    for heading in ("Errors", "Errors by keypoint", "Keypoints", "People by size", "Worst people"):
        assert f"<h2>{heading}" in text
    assert "data:image/jpeg" not in text
    assert "6 of 6 worst cases are not drawn" in text
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((120, 360, 3), 80, np.uint8))
    CliRunner().invoke(
        app, [*command, "--page", str(page), "--worst", "3", "--images", str(folder)]
    )
    assert page.read_text().count("data:image/jpeg") == 6
    assert "missed, person" in page.read_text()


def test_a_page_of_means_notes_what_they_do_not_have(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((120, 120, 3), 80, np.uint8))
    path = saved(tmp_path / "a.jsonl", [{**s, "img_path": str(picture)} for s in samples(3)])
    examine_predictions(path, resamples=50, page=tmp_path / "page.html", worst=4)
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/jpeg") == 4
    assert "nothing is known of occlusion" in text.replace("\n", " ")
    assert "Errors" not in text
    few = saved(tmp_path / "b.jsonl", samples(3)[:8])
    examine_predictions(few, page=tmp_path / "few.html")
    assert "4 pictures are too few for an interval" in (tmp_path / "few.html").read_text()


def test_frames_of_a_video_are_drawn_together(tmp_path: Path) -> None:
    made = []
    for video in range(12):
        # the error is that of the video, in all of its frames
        off = np.random.default_rng(video).uniform(0, 10)
        for frame in range(5):
            pose = np.zeros((1, 17, 2))
            truth = {"keypoints": pose, "keypoints_visible": np.ones((1, 17))}
            sample = {"id": len(made), "img_id": len(made), "gt_instances": truth}
            sample["pred_instances"] = {"keypoints": pose + off}
            made.append({**sample, "img_path": f"videos/v{video}_{frame}.jpg"})
    path = saved(tmp_path / "a.jsonl", made)
    single = examine_predictions(path, ["EPE"], interval=0.95).intervals["EPE"]["EPE"]
    whole = examine_predictions(path, ["EPE"], interval=0.95, group_by=r"(v\d+)_")
    videos = whole.intervals["EPE"]["EPE"]
    assert videos.value == single.value
    # five frames that say the same are one
    assert (videos.high - videos.low) / (single.high - single.low) == pytest.approx(
        5**0.5, rel=0.15
    )
    against = examine_predictions(path, ["EPE"], against=path, group_by=r"(v\d+)_")
    assert against.comparison["EPE"]["EPE"].difference == 0
    with pytest.raises(DataError, match="2 groups of pictures are too few"):
        examine_predictions(path, ["EPE"], interval=0.95, group_by=r"/v(1?)")
    with pytest.raises(DataError, match="does not match videos/v0_0.jpg"):
        examine_predictions(path, ["EPE"], interval=0.95, group_by="nothing")
    with pytest.raises(ArgumentError, match="neither a field nor a regular expression"):
        examine_predictions(path, ["EPE"], interval=0.95, group_by="(")
    bare = saved(tmp_path / "b.jsonl", samples(2))
    with pytest.raises(DataError, match="--group-by needs the names of the pictures"):
        examine_predictions(bare, interval=0.95, group_by="v")


def test_groups_may_be_fields_of_the_annotation_file(files: Any) -> None:
    path = files("a.json", 4)
    content = json.loads(files.truth.read_text())
    for image in content["images"]:
        image["video"] = image["id"] // 1
    files.truth.write_text(json.dumps(content))
    options = {"annotations": files.truth, "interval": 0.9, "resamples": 60}
    by_video = examine_predictions(path, **options, group_by="video")
    assert set(by_video.intervals) == {"CocoMetric"}
    assert by_video.intervals["CocoMetric"]["coco/AP"].draws == 60


def test_a_saved_test_is_compared_with_a_result_file(files: Any, tmp_path: Path) -> None:
    near, far = files("near.json", 2), files("far.json", 4)
    made = []
    for row in json.loads(near.read_text()):
        pose = np.reshape(row["keypoints"], (1, 17, 3))
        found = {"keypoints": pose[..., :2], "keypoint_scores": pose[..., 2]}
        found["bbox_scores"] = np.array([row["score"]])
        made.append({"id": len(made), "img_id": row["image_id"], "pred_instances": found})
    meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    metrics = [{"type": "CocoMetric", "score_mode": "bbox", "nms_mode": "none"}]
    header = {"meta": meta, "metrics": metrics, "ann_file": str(files.truth)}
    writer = PredictionWriter(tmp_path / "near.jsonl", header)
    writer.write(made)
    writer.close()
    # the annotations are those of the saved test
    found = examine_predictions(tmp_path / "near.jsonl", against=far, resamples=50)
    assert found.comparison["CocoMetric"]["coco/AP"].better == 1
    same = examine_predictions(tmp_path / "near.jsonl", against=near, resamples=50)
    assert same.comparison["CocoMetric"]["coco/AP"].difference == 0
