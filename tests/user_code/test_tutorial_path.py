"""A project written for MMPose runs after its imports are rewritten, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).parent / "project"


def draw_stick(rng, size=(72, 96)):
    w, h = size
    points = np.array([[w * 0.5, h * 0.2], [w * 0.25, h * 0.8], [w * 0.75, h * 0.8]])
    points += rng.uniform(-6, 6, points.shape)
    image = np.full((h, w, 3), 90, np.uint8)
    for end in points[1:]:
        cv2.line(image, *(tuple(map(int, p)) for p in (points[0], end)), (40, 200, 240), 3)
    for point, color in zip(points, ((0, 0, 255), (0, 255, 0), (255, 0, 0)), strict=True):
        cv2.circle(image, tuple(map(int, point)), 5, color, -1)
    return image, points


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The user's folder: code with MMPose's imports, and eight drawn pictures."""
    folder = tmp_path_factory.mktemp("user") / "project"
    shutil.copytree(PROJECT, folder)
    (folder / "data" / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for i in range(8):
        image, points = draw_stick(rng)
        cv2.imwrite(str(folder / "data" / "images" / f"{i}.png"), image)
        rows.append(
            {"file": f"{i}.png", "points": points.tolist(), "center": [36, 48], "scale": [72, 96]}
        )
    (folder / "data" / "rows.json").write_text(json.dumps(rows))
    return folder


def poise(folder, *args):
    env = dict(os.environ, PYTHONPATH=str(folder), OMP_NUM_THREADS="1")
    return subprocess.run(
        [sys.executable, "-m", "poise", *args],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_project_is_migrated_trained_evaluated_and_drawn(project):
    migrated = poise(project, "migrate", "stick_pose.py", "--write")
    assert migrated.returncode == 0, migrated.stderr
    source = (project / "stick_pose.py").read_text()
    assert "mmpose" not in source.replace("MMPose", "")
    assert "mmcv" not in source
    assert "mmengine" not in source

    trained = poise(project, "train", "stick_config.py", "--work-dir", "run")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    checkpoints = sorted(p.name for p in (project / "run").glob("*.pth"))
    assert "epoch_2.pth" in checkpoints
    best = next((project / "run").glob("best_*.pth"))

    tested = poise(project, "test", "stick_config.py", str(best), "--work-dir", "tested")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "stick/distance" in tested.stdout

    boxes = {"0.png": [[0, 0, 72, 96]]}
    (project / "boxes.json").write_text(json.dumps(boxes))
    drawn = poise(
        project,
        *("predict", "data/images/0.png", "--model", "stick_config.py", "--weights", str(best)),
        *("--boxes", "boxes.json", "--out", "out", "--keypoint-threshold", "0"),
    )
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    result = json.loads((project / "out" / "0.json").read_text())
    assert result["keypoint_names"] == ["top", "left_end", "right_end"]
    assert np.asarray(result["instances"][0]["keypoints"]).shape == (3, 2)
    picture = cv2.imread(str(project / "out" / "0_pose.jpg"))
    original = cv2.imread(str(project / "data" / "images" / "0.png"))
    assert (picture != original).any()
