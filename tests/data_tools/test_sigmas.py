"""Sigmas that labels were made with are found again."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.data_tools import estimate_sigmas
from poise.errors import DataError
from poise.metrics.analysis import mean_sigmas, robust_sigmas

NAMES = ["nose", "left_hand", "right_hand", "tail"]
SIGMAS = np.array([0.02, 0.05, 0.05, 0.1])
AREA = 0.7


def label(
    seed: int, *, people: int = 800, noise: float = 1.0, wrong: float = 0.0
) -> dict[str, Any]:
    """Annotations of the same people by somebody, with errors of their own."""
    world, own = np.random.default_rng(0), np.random.default_rng(seed)
    anns = []
    for number in range(people):
        side = float(np.exp(world.normal(4.5, 0.7)))
        corner = np.array([2000.0 * (number % 2), 0.0])
        points = corner + world.random((4, 2)) * side
        seen = world.random(4) < 0.8
        seen[0] = True
        scale = np.sqrt(AREA) * side
        # d² is the sum over two axes
        points = points + own.normal(size=(4, 2)) * (SIGMAS * scale * noise / np.sqrt(2))[:, None]
        if own.random() < wrong:
            points[[1, 2]] = points[[2, 1]]
        pose = np.concatenate([points, np.where(seen, 2, 0)[:, None]], axis=1)
        ann = {"id": number + 1, "image_id": number // 2, "category_id": 1, "iscrowd": 0}
        ann |= {"area": AREA * side**2, "bbox": [*corner.tolist(), side, side]}
        anns.append({**ann, "num_keypoints": int(seen.sum()), "keypoints": pose.ravel().tolist()})
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range((people + 1) // 2)],
        "annotations": anns,
        "categories": [{"id": 1, "name": "mouse", "keypoints": NAMES, "skeleton": []}],
    }


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def values(report: Any) -> np.ndarray:
    return np.array([sigma.value for sigma in report.sigmas])


@pytest.mark.parametrize("annotators", [2, 3])
def test_sigmas_of_repeated_labels(tmp_path: Path, annotators: int) -> None:
    files = [written(tmp_path / f"{n}.json", label(n + 1)) for n in range(annotators)]
    found = estimate_sigmas(files[0], repeats=files[1:])
    assert found.source == "repeated labels"
    assert found.pairs == 800 * annotators * (annotators - 1) // 2
    errors = np.array([sigma.error for sigma in found.sigmas])
    assert (np.abs(values(found) - SIGMAS) < 4 * errors).all()
    assert (errors < 0.03 * SIGMAS).all()
    assert found.warnings() == []
    together = estimate_sigmas(files[0], repeats=files[1:], both_sides=True)
    assert together.sigmas[1].value == pytest.approx(together.sigmas[2].value)
    assert together.sigmas[1].points == found.sigmas[1].points + found.sigmas[2].points
    assert together.sigmas[0] == found.sigmas[0]
    assert together.pairs == found.pairs


def test_labels_of_other_things_are_left_out_and_counted(tmp_path: Path) -> None:
    first = written(tmp_path / "a.json", label(1))
    second = written(tmp_path / "b.json", label(2, wrong=0.05))
    found = estimate_sigmas(first, repeats=[second])
    assert values(found) == pytest.approx(SIGMAS, rel=0.12)
    assert found.sigmas[1].outliers > 10
    assert found.sigmas[0].outliers == 0


def test_people_who_are_twice_in_one_file_are_repeated_labels(tmp_path: Path) -> None:
    content, again = label(1), label(2)
    again["annotations"] = [{**a, "id": a["id"] + 10_000} for a in again["annotations"]]
    content["annotations"] += again["annotations"]
    found = estimate_sigmas(written(tmp_path / "both.json", content))
    assert found.pairs == 800
    assert values(found) == pytest.approx(SIGMAS, rel=0.1)


def test_sigmas_of_a_models_errors_do_not_mind_wild_ones(tmp_path: Path) -> None:
    truth = label(1, noise=0)
    guesses = label(2)
    rng = np.random.default_rng(5)
    rows = []
    for ann in guesses["annotations"]:
        pose = np.reshape(ann["keypoints"], (4, 3)).copy()
        wild = rng.random(4) < 0.1
        pose[wild, :2] += rng.normal(0, 500, (int(wild.sum()), 2))
        pose[:, 2] = 0.9
        row = {"image_id": ann["image_id"], "category_id": 1, "score": rng.random()}
        rows.append({**row, "keypoints": pose.ravel().tolist(), "bbox": ann["bbox"]})
    truth_file = written(tmp_path / "truth.json", truth)
    found = estimate_sigmas(truth_file, predictions=written(tmp_path / "results.json", rows))
    assert found.source == "predictions"
    # 0.1 of wild ones move the median of an exponential by a tenth of it, and sigma by half that
    assert values(found) == pytest.approx(SIGMAS * 1.08, rel=0.1)
    assert "upper bounds" in found.warnings()[0]


def test_both_ways_agree_on_gaussian_distances() -> None:
    squares = np.random.default_rng(0).exponential(SIGMAS**2, (20_000, 4))
    squares[:5000, 0] = np.nan
    for estimate in (mean_sigmas, robust_sigmas):
        found = estimate(squares)
        assert [s.value for s in found] == pytest.approx(SIGMAS, rel=0.02)
        assert [s.points + s.outliers for s in found] == [15_000, 20_000, 20_000, 20_000]
    repeated = [[s.value for s in estimate_many(seed)] for seed in range(200)]
    spread = np.std(repeated, axis=0)
    assert spread == pytest.approx([s.error for s in estimate_many(0)], rel=0.25)


def estimate_many(seed: int) -> list[Any]:
    return robust_sigmas(np.random.default_rng(seed).exponential(SIGMAS**2, (400, 4)))


def test_the_command_prints_the_line_of_a_metadata_file(tmp_path: Path) -> None:
    run = CliRunner().invoke
    first, second = (written(tmp_path / f"{n}.json", label(n + 1)) for n in range(2))
    output = run(app, ["data", "sigmas", str(first), "--repeat", str(second)]).output
    lines = output.splitlines()
    assert lines[0] == "repeated labels of 800 people"
    assert lines[1].split() == ["keypoint", "points", "outliers", "sigma", "+-", "schema's"]
    (setting,) = [line for line in lines if line.startswith("sigmas=")]
    assert ast.literal_eval(setting[7:-1]) == pytest.approx(SIGMAS, rel=0.1)
    text = run(app, ["data", "sigmas", str(first), "--repeat", str(second), "--json"]).output
    tree = json.loads(text)
    assert tree["keypoints"]["tail"]["sigma"] == pytest.approx(0.1, rel=0.1)
    assert tree["keypoints"]["tail"]["known"] is None


def test_what_the_sigmas_cannot_rest_on_is_said(tmp_path: Path) -> None:
    alone = written(tmp_path / "a.json", label(1, people=20))
    with pytest.raises(DataError, match=r"nobody is labelled twice in .*--repeat FILE"):
        estimate_sigmas(alone)
    few = estimate_sigmas(alone, repeats=[written(tmp_path / "b.json", label(2, people=20))])
    assert "4 of 4 keypoints rest on fewer than 50 points" in few.warnings()[0]
    copy = estimate_sigmas(alone, repeats=[alone])
    assert any("copies of each other" in text for text in copy.warnings())
    bare = label(3, people=20)
    for ann in bare["annotations"]:
        ann["keypoints"][2] = 0
    without = estimate_sigmas(alone, repeats=[written(tmp_path / "c.json", bare)])
    assert without.setting() == ""
    assert "no points of nose" in without.warnings()[0]
    far = [{"image_id": 0, "category_id": 1, "score": 1.0, "keypoints": [9e5, 9e5, 1] * 4}]
    with pytest.raises(DataError, match="fits anybody"):
        estimate_sigmas(alone, predictions=written(tmp_path / "far.json", far))
    other = label(4, people=20)
    for ann in other["annotations"]:
        ann["keypoints"] = ann["keypoints"][:9]
    with pytest.raises(DataError, match=r"other numbers of keypoints: \[4, 3\]"):
        estimate_sigmas(alone, repeats=[written(tmp_path / "d.json", other)])
