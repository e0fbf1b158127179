"""An audit of 3D labels finds what was planted, and leaves good ones alone."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset
from poise.data_tools.audit import audit_labels, audit_poses, gather_poses, write_audit_page
from poise.errors import ArgumentError
from poise.schemas import get

run = CliRunner().invoke

NAMES = [point["name"] for point in get("h36m")["keypoint_info"].values()]
VIDEOS, FRAMES = 4, 40
FOCAL, CENTER = np.array([1145.0, 1143.0]), np.array([512.0, 515.0])
# somebody who stands, metres: x to the right of the picture, y down, z away; nose towards us
STANDING = np.array(
    [
        *([0, 0, 0], [-0.13, 0, 0], [-0.13, 0.45, 0], [-0.13, 0.9, 0.03]),
        *([0.13, 0, 0], [0.13, 0.45, 0], [0.13, 0.9, 0.03]),
        *([0, -0.25, 0.02], [0, -0.5, 0], [0, -0.6, -0.1], [0, -0.72, 0]),
        *([0.16, -0.47, 0], [0.2, -0.2, 0.02], [0.22, 0.05, 0]),
        *([-0.16, -0.47, 0], [-0.2, -0.2, 0.02], [-0.22, 0.05, 0]),
    ]
)


def motion() -> np.ndarray:
    """(F, 17, 3) of people who turn, walk and swing their limbs, in the camera's coordinates."""
    rng = np.random.default_rng(0)
    found = []
    for video in range(VIDEOS):
        time = np.arange(FRAMES)
        pose = np.tile(STANDING, (FRAMES, 1, 1)) * (0.9 + 0.05 * video)
        for part, limb in (((2, 3), 1), ((5, 6), 4), ((12, 13), 11), ((15, 16), 14)):
            angle = 0.5 * np.sin(time / 6 + limb)
            for k in part:
                arm = pose[:, k] - pose[:, limb]
                cos, sin = np.cos(angle), np.sin(angle)
                y = cos * arm[:, 1] - sin * arm[:, 2]
                z = sin * arm[:, 1] + cos * arm[:, 2]
                pose[:, k] = pose[:, limb] + np.stack([arm[:, 0], y, z], axis=-1)
        turn = 0.03 * time + video
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        x = cos * pose[..., 0] + sin * pose[..., 2]
        z = -sin * pose[..., 0] + cos * pose[..., 2]
        pose = np.stack([x, pose[..., 1], z], axis=-1)
        way = np.stack([0.01 * time - 0.5, 0 * time, 4 + 0.02 * time], axis=-1)
        found.append(pose + way[:, None] + rng.normal(0, 0.001, pose.shape))
    return np.concatenate(found)


def projected(points: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    flat = points[..., :2] / points[..., 2:] * FOCAL + CENTER
    return flat + rng.normal(0, 0.7, flat.shape)


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Any]:
    """`capture(points, flat, camera=...)`: a data set of Human3.6M's form."""

    def make(points: np.ndarray, flat: np.ndarray | None = None, *, camera: str = "") -> Any:
        flat = projected(points) if flat is None else flat
        names = [f"S{v + 1}_Walk.54138969_{t:06}.jpg" for v in range(VIDEOS) for t in range(FRAMES)]
        ones = np.ones((*points.shape[:2], 1))
        S, part = np.concatenate([points, ones], -1), np.concatenate([flat, ones], -1)
        np.savez(tmp_path / "h36m.npz", imgname=np.array(names), part=part, S=S)
        settings = {}
        if camera:
            own = {"f": FOCAL[:, None], "c": CENTER[:, None], "w": 1000, "h": 1002}
            if camera == "world":
                own |= {"R": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), "T": np.ones((3, 1))}
            cameras = {(f"S{v + 1}", "54138969"): own for v in range(VIDEOS)}
            (tmp_path / "cameras.pkl").write_bytes(pickle.dumps(cameras))
            settings = {"camera_param_file": "cameras.pkl"}
        return open_dataset(tmp_path / "h36m.npz", settings=settings)

    return make


def first(found: Any) -> tuple[str, int, set[str]]:
    finding = found.findings[0]
    assert finding.sure > 0.5, found.findings[:3]
    return finding.kind, finding.person, set(finding.keypoints)


@pytest.mark.parametrize("camera", ["", "own"])
def test_good_labels_are_left_alone(capture: Any, camera: str) -> None:
    found = audit_labels(capture(motion(), camera=camera), least=0.5)
    assert len(found.findings) <= 2
    assert found.facts["poses"] == VIDEOS * FRAMES
    assert found.facts["videos"] == VIDEOS
    about = "camera of the file, poses in the camera's coordinates" if camera else "a fitted camera"
    assert found.facts["projection"].startswith(f"{about}: ")
    assert "pixels from the 2D labels" in found.facts["projection"]


def test_poses_in_the_world_are_seen_by_their_camera(capture: Any) -> None:
    points = motion()
    turn, place = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.ones(3)
    world = points @ turn.T + place
    found = audit_labels(capture(world, projected(points), camera="world"), least=0.5)
    assert found.facts["projection"].startswith("camera of the file, poses in the world's: 0.")
    assert len(found.findings) <= 2


def test_numbers_that_are_none_come_first(capture: Any) -> None:
    points = motion()
    flat = projected(points)
    points[5, 3, 1], points[50, 10, 2] = np.nan, np.inf
    found = audit_labels(capture(points, flat))
    kinds = [(f.kind, f.person, list(f.keypoints)) for f in found.findings[:2]]
    assert kinds == [
        ("not a number", 5, [NAMES[3]]),
        ("not a number", 50, [NAMES[10]]),
    ]


def test_a_keypoint_that_is_not_where_the_picture_has_it(capture: Any) -> None:
    points = motion()
    flat = projected(points)
    flat[60, 13] += (40, 0)
    assert first(audit_labels(capture(points, flat))) == ("reprojection", 60, {NAMES[13]})


def test_a_bone_of_another_length(capture: Any) -> None:
    points = motion()
    points[70, 3] += 0.12 * (points[70, 3] - points[70, 2])
    # along the ray, and with a 2D label to match
    kind, pose, names = first(audit_labels(capture(points, projected(points))))
    assert (kind, pose) == ("bone length", 70)
    assert NAMES[3] in names


def test_frames_and_keypoints_that_jump(capture: Any) -> None:
    points = motion()
    points[90] += (0.4, 0, 0)
    kind, pose, names = first(audit_labels(capture(points, projected(points))))
    assert (kind, pose, names) == ("jump", 90, set())
    # turned about its elbow, a hand keeps its bone
    points = motion()
    arm = points[30, 13] - points[30, 12]
    points[30, 13] = points[30, 12] - arm
    assert first(audit_labels(capture(points, projected(points)))) == ("jump", 30, {NAMES[13]})


@pytest.mark.parametrize("whole", [True, False])
def test_sides_that_are_exchanged_for_some_frames(capture: Any, whole: bool) -> None:
    points = motion()
    frames = slice(85, 95)
    pairs = [(1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)] if whole else [(13, 16)]
    for a, b in pairs:
        points[frames, [a, b]] = points[frames, [b, a]]
    found = audit_labels(capture(points, projected(points)))
    kind, pose, names = first(found)
    assert (kind, pose) == ("swapped" if whole else "pair swapped", 85)
    assert names == {NAMES[k] for pair in pairs for k in pair}
    assert "in frames 5 to 14" in found.findings[0].about
    # told once, and not as jumps or bones of its frames
    assert sum(f.sure > 0.5 and f.kind.endswith("swapped") for f in found.findings) == 1


def test_sides_that_differ_from_the_picture(capture: Any) -> None:
    points = motion()
    flat = projected(points)
    flat[10, [3, 6]] = flat[10, [6, 3]]
    kind, pose, names = first(audit_labels(capture(points, flat)))
    assert (kind, pose, names) == ("pair swapped", 10, {NAMES[3], NAMES[6]})


def test_a_body_that_is_a_mirror_image(capture: Any) -> None:
    points = motion()
    pairs = np.array([(1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)])
    points[5, pairs.ravel()] = points[5, pairs[:, ::-1].ravel()]
    # neither time nor a picture tells
    poses = gather_poses(capture(points, np.full((len(points), 17, 2), 5.0)))
    poses.before[:], poses.after[:], poses.projection = -1, -1, None
    finding = audit_poses(poses, prior=0.01, least=0.1).findings[0]
    assert (finding.kind, finding.person) == ("swapped", 5)
    assert "mirror image" in finding.about


def test_a_camera_that_does_not_fit_is_told_once(capture: Any) -> None:
    points = motion()
    found = audit_labels(capture(points / 2, projected(points[::-1]), camera="own"))
    assert "That does not fit" in found.facts["projection"]
    assert not any(f.kind == "reprojection" for f in found.findings)


def test_poses_around_a_root_are_compared_without_a_picture(capture: Any) -> None:
    points = motion()
    around = points - points[:, :1]
    around[20, 16] += 0.3
    found = audit_labels(capture(around, projected(points)))
    assert "--set camera_param_file" in found.facts["projection"]
    kind, pose, names = first(found)
    assert (kind, pose) == ("bone length", 20)
    assert NAMES[16] in names


def test_hands_of_interhand(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal((0, 0, 800), 60, (42, 3))
    cameras = {"0": {"campos": {"c": [0, 0, 0]}, "camrot": {"c": np.eye(3).tolist()}}}
    cameras["0"] |= {"focal": {"c": [1000, 1000]}, "princpt": {"c": [256, 256]}}
    images, anns, joints = [], [], {}
    for frame in range(30):
        points = base + frame + rng.normal(0, 0.5, base.shape)
        if frame == 11:
            points[7, 2] = -5
        joints[str(frame)] = {"world_coord": points.tolist()}
        name = f"Capture0/ROM/cam0/image{frame}.jpg"
        images.append(
            {"id": frame, "file_name": name, "capture": 0, "camera": "c", "frame_idx": frame}
        )
        anns.append(
            {
                "id": 100 + frame,
                "image_id": frame,
                "bbox": [0, 0, 600, 600],
                "joint_valid": [[1]] * 42,
                "hand_type": "interacting",
                "hand_type_valid": 1,
                "iscrowd": 0,
            }
        )
    files = {
        "ann.json": {"images": images, "annotations": anns, "categories": []},
        "cameras.json": cameras,
        "joints.json": {"0": joints},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    settings = {
        "camera_param_file": str(tmp_path / "cameras.json"),
        "joint_file": str(tmp_path / "joints.json"),
    }
    dataset = open_dataset(tmp_path / "ann.json", kind="InterHand3DDataset", settings=settings)
    found = audit_labels(dataset)
    kind, pose, names = first(found)
    assert (kind, pose, len(names)) == ("behind the camera", 11, 1)
    assert found.findings[0].id == 111
    assert "no 2D labels of their own" in found.facts["projection"]


def test_command_page_and_file(capture: Any, tmp_path: Path) -> None:
    points = motion()
    flat = projected(points)
    flat[60, 13] += (40, 0)
    capture(points, flat)
    page, out = tmp_path / "a.html", tmp_path / "a.json"
    source = str(tmp_path / "h36m.npz")
    done = run(app, ["audit", source, "--page", str(page), "--out", str(out), "--top", "3"])
    assert done.exit_code == 0, done.output
    assert "h36m.npz" not in done.stdout.splitlines()[0]
    assert "S2_Walk.54138969_000020.jpg  reprojection left_wrist" in done.stdout.replace(
        NAMES[13], "left_wrist"
    )
    assert page.read_text(encoding="utf-8").count("data:image/jpeg") >= 1
    assert json.loads(out.read_text())["findings"][0]["kind"] == "reprojection"
    drawn = write_audit_page(audit_labels(open_dataset(source)), tmp_path / "b.html")
    assert drawn.stat().st_size > 1000
    assert cv2.imread(source) is None


def test_what_3d_labels_do_not_take(capture: Any, tmp_path: Path) -> None:
    dataset = capture(motion())
    with pytest.raises(ArgumentError, match="compared with 2D labels"):
        audit_labels(dataset, model="movenet-thunder")
    with pytest.raises(ArgumentError, match="--prior"):
        audit_labels(dataset, prior=2)
    done = run(app, ["audit", str(tmp_path / "h36m.npz"), "--self-test"])
    assert done.exit_code != 0
    assert "plants faults in 2D labels" in str(done.exception)
