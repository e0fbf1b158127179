"""Files for animation, laboratories and animal trackers, read back."""

import csv
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.errors import DataError, MissingDependencyError
from poise.inference.lifting import SPACE_3D
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.sinks import open_sinks
from poise.inference.sinks.bvh import Skeleton, encode_bvh, joint_rotations
from poise.inference.sinks.c3d import encode_c3d
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
H36M = parse_pose_metainfo({"from_file": "configs/_base_/datasets/h36m.py"})
PICTURE = np.zeros((100, 200, 3), np.uint8)
FPS = 25.0
NAMES = [H36M["keypoint_id2name"][i] for i in range(17)]


def walking(frames=20, seed=0):
    """(T, 17, 3) of a skeleton with fixed bones that moves, and that skeleton; metres, y up."""
    rng = np.random.default_rng(seed)
    rest = np.zeros((1, 17, 3)) + rng.normal(0, 0.01, (1, 17, 1))
    skeleton = Skeleton.of(NAMES, H36M["skeleton_links"], rest + rng.normal(size=(1, 17, 3)))
    poses = np.zeros((frames, 17, 3))
    turns = np.broadcast_to(np.eye(3), (frames, 17, 3, 3)).copy()
    poses[:, 0] = np.cumsum(rng.normal(0, 0.05, (frames, 3)), 0)
    for joint in skeleton.order:
        vectors = np.cumsum(rng.normal(0, 0.1, (frames, 3)), 0) + rng.normal(0, 0.3, 3)
        parent = skeleton.parents[joint]
        own = Rotation.from_rotvec(vectors).as_matrix()
        turns[:, joint] = own if parent < 0 else turns[:, parent] @ own
        if parent >= 0:
            poses[:, joint] = poses[:, parent] + turns[:, parent] @ skeleton.offsets[joint]
    return poses, skeleton


def results(frames=6, people=2, ids=(3, 5), lifted=True, missing=()):
    rng = np.random.default_rng(0)
    poses, _ = walking(frames)
    for t in range(frames):
        here = [n for n in range(people) if (t, n) not in missing]
        points = rng.uniform(0, 90, (people, 17, 2)).astype(np.float32)[here]
        fields = InstanceData(
            keypoints=points,
            keypoint_scores=np.full((len(here), 17), 0.9, np.float32),
            bboxes=np.array([[10, 20, 50, 80]] * len(here), np.float32).reshape(-1, 4),
            bbox_scores=np.full(len(here), 0.8, np.float32),
        )
        if ids is not None:
            fields.set_field(np.array(ids)[here], "track_ids")
        result = PoseResult(
            PICTURE, fields, COCO, "clip.mp4", frame_index=t, time=t / FPS,
            source=SourceInfo("clip.mp4", "video", fps=FPS),
        )  # fmt: skip
        if lifted:
            fields.set_field(
                np.repeat(poses[t][None], people, 0).astype(np.float32)[here], "keypoints_3d"
            )
            result.metainfo_3d, result.space_3d = H36M, SPACE_3D
        yield result


def saved(kind, folder, frames):
    (sink,) = open_sinks(kind, folder)
    with sink:
        for result in frames:
            sink.write(result)
    assert not list(folder.glob(".*")), "nothing half done is left behind"
    return sink.written


def test_nothing_is_left_behind_where_the_format_cannot_hold_it(tmp_path):
    """BVH needs every joint to be linked to the first one."""
    (sink,) = open_sinks("bvh", tmp_path)
    for result in results(frames=2, people=1, ids=(1,)):
        result.metainfo_3d = {**H36M, "skeleton_links": H36M["skeleton_links"][:3]}
        sink.write(result)
    with pytest.raises(DataError, match="BVH needs a skeleton that hangs together"):
        sink.close()
    assert list(tmp_path.iterdir()) == []
    assert sink.written == []


def read_bvh(text):
    """Names, offsets, channel counts and rows of a BVH file, and joint places by its angles."""
    head, body = text.split("MOTION")
    parents, offsets, rows, stack, names = [], [], [], [], []
    for line in map(str.split, head.splitlines()):
        if line[:1] in (["ROOT"], ["JOINT"], ["End"]):
            names.append(None if line[0] == "End" else line[1])
            parents.append(stack[-1] if stack else -1)
            stack.append(len(names) - 1)
        elif line[:1] == ["OFFSET"]:
            offsets.append([float(v) for v in line[1:]])
        elif line == ["}"]:
            stack.pop()
    lines = body.strip().splitlines()
    rows = np.array([[float(v) for v in line.split()] for line in lines[2:]])
    assert lines[0] == f"Frames: {len(rows)}"
    places = np.zeros((len(rows), len(names), 3))
    turns = np.zeros((len(rows), len(names), 3, 3))
    column = 3
    for joint, parent in enumerate(parents):
        offset = np.array(offsets[joint])
        if parent < 0:
            places[:, joint] = rows[:, :3]
            above = np.eye(3)
        else:
            above = turns[:, parent]
            places[:, joint] = places[:, parent] + above @ offset
        own = np.eye(3)
        if names[joint] is not None:
            own = Rotation.from_euler("ZXY", rows[:, column : column + 3], degrees=True).as_matrix()
            column += 3
        turns[:, joint] = above @ own
    assert column == rows.shape[1]
    return names, places


@pytest.mark.parametrize("root", [False, True])
def test_bvh_of_joints_that_were_lost_has_the_others_in_place(tmp_path, root):
    (first,) = saved("bvh", tmp_path / "whole", results(people=1, ids=(3,)))
    _, expected = read_bvh(first.read_text())
    lost = list(results(people=1, ids=(3,)))
    for number, result in enumerate(lost):
        poses = result.instances.keypoints_3d
        poses[:, NAMES.index("head")] = np.nan
        if number in (2, 3):
            poses[:, NAMES.index("left_foot")] = np.nan
            poses[:, 0] = np.nan if root else poses[:, 0]
    (path,) = saved("bvh", tmp_path / "lost", lost)
    head, places = read_bvh(path.read_text())
    assert np.isfinite(places).all()
    kept = [head.index(name) for name in ("right_knee", "left_shoulder", "neck_base")]
    # a lost root follows its neighbours, whose bones turn as well
    limit = 30 if root else 1
    np.testing.assert_allclose(places[:, kept], expected[:, kept], atol=limit)


def test_bvh_gives_the_joints_back_by_forward_kinematics():
    poses, skeleton = walking()
    names, places = read_bvh(encode_bvh(skeleton, poses, FPS))
    order = skeleton.order
    np.testing.assert_allclose(places, poses[:, order], atol=2e-4)
    assert [n for n in names if n] == [NAMES[j] for j in order if skeleton.children(j)]


def test_bones_turn_the_shortest_way_and_opposite_ones_at_all():
    skeleton = Skeleton(
        ("a", "b", "c"), np.array([-1, 0, 1]), np.eye(3)[[0, 1, 1]] * [[0], [1], [1]]
    )
    pose = np.array([[[0, 0, 0], [0, -1, 0], [0, -2, 0.0]]])
    local = joint_rotations(skeleton, pose)
    np.testing.assert_allclose(local[0, 0] @ [0, 1, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(local[0, 1], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(local), 1)


def test_a_bvh_file_a_person_in_a_right_handed_space(tmp_path):
    paths = saved("bvh", tmp_path, results(missing={(2, 1)}))
    assert [p.name for p in paths] == ["clip_3.bvh", "clip_5.bvh"]
    _, places = read_bvh(paths[0].read_text())
    root = walking(6)[0][:, 0]
    # x to the left, y away, z up -> x to the right, y up, z to the viewer; centimetres
    np.testing.assert_allclose(places[:, 0], root[:, [0, 2, 1]] * [-100, 100, -100], atol=1e-2)
    assert "Frame Time: 0.04" in paths[0].read_text()


def read_c3d(data):
    """Places (T, K, 3), what was seen (T, K), frames and rate of a C3D file of floats."""
    count, _, first, last, _ = struct.unpack_from("<5H", data, 2)
    scale, start, _, rate = struct.unpack_from("<fHHf", data, 12)
    assert (data[0], data[1], scale) == (2, 0x50, -1.0)
    points = np.frombuffer(data, "<f4", offset=(start - 1) * 512)
    frames = last - first + 1
    points = points[: frames * count * 4].reshape(frames, count, 4)
    return points[..., :3], points[..., 3] >= 0, (first, last), rate


def test_c3d_holds_millimetres_and_what_was_not_seen():
    places = np.random.default_rng(0).normal(0, 500, (7, 17, 3))
    places[3, 5] = np.nan
    data = encode_c3d(places, NAMES, FPS, first=4)
    assert len(data) % 512 == 0
    found, seen, frames, rate = read_c3d(data)
    assert (frames, rate) == ((4, 10), FPS)
    assert not seen[3, 5]
    assert seen.sum() == 7 * 17 - 1
    np.testing.assert_allclose(found[seen], places[seen], rtol=1e-6)


def test_c3d_and_trc_of_a_video(tmp_path):
    frames = list(results(people=1, ids=(3,), missing={(2, 0)}))
    c3d, trc = saved("c3d", tmp_path, frames)[0], saved("trc", tmp_path, frames)[0]
    assert (c3d.name, trc.name) == ("clip.c3d", "clip.trc")
    found, seen, _, _ = read_c3d(c3d.read_bytes())
    assert seen.all(1).tolist() == [True, True, False, True, True, True]
    poses = walking(6)[0]
    np.testing.assert_allclose(found[4], poses[4] * [-1000, 1000, 1000], atol=1e-2)
    lines = trc.read_text().splitlines()
    assert lines[2].split("\t") == ["25", "25", "6", "17", "m", "25", "1", "6"]
    assert lines[3].split("\t")[2::3] == NAMES
    rows = [line.split("\t") for line in lines[6:]]
    assert rows[2] == ["3", "0.080000", *[""] * 51]
    values = np.array(rows[4][2:], float).reshape(17, 3)
    np.testing.assert_allclose(values, poses[4][:, [0, 2, 1]] * [-1, 1, -1], atol=1e-5)


def test_a_page_of_a_video_has_everybody(tmp_path):
    (path,) = saved("html", tmp_path, results(missing={(2, 1)}))
    assert path.name == "clip_3d.html"
    text = path.read_text()
    assert '"name":"person 3"' in text
    assert '"name":"person 5"' in text


@pytest.mark.parametrize("kind", ["bvh", "c3d", "trc", "html"])
def test_formats_of_3d_poses_say_that_they_need_a_lifter(kind, tmp_path):
    with pytest.raises(DataError, match="lift them with lift=MODEL"):
        saved(kind, tmp_path, results(lifted=False))


def table(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_deeplabcut_has_a_row_a_frame_and_individuals_for_several(tmp_path):
    frames = list(results(missing={(2, 1)}))
    (path,) = saved("dlc", tmp_path, frames)
    assert path.name == "clipDLC_poise.csv"
    rows = table(path)
    assert [r[0] for r in rows[:4]] == ["scorer", "individuals", "bodyparts", "coords"]
    assert rows[2][1:4] == ["nose"] * 3
    assert rows[1][52] == "individual5"
    np.testing.assert_allclose(float(rows[4][1]), frames[0].keypoints[0, 0, 0], atol=1e-3)
    assert rows[6][52:] == [""] * 51
    (path,) = saved("dlc", tmp_path, results(people=1, ids=None))
    assert [r[0] for r in table(path)[:4]] == [
        "scorer",
        "bodyparts",
        "coords",
        "0",
    ]


def test_sleap_has_the_axes_of_its_analysis_export(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    frames = list(results(missing={(2, 1)}))
    (path,) = saved("sleap", tmp_path, frames)
    with h5py.File(path) as file:
        assert file["tracks"].shape == (2, 2, 17, 6)
        assert file["track_occupancy"][()].sum(0).tolist() == [6, 5]
        np.testing.assert_allclose(file["tracks"][0, :, :, 4], frames[4].keypoints[0].T, rtol=1e-6)
        assert file["node_names"][()].astype(str).tolist()[0] == "nose"


def test_sleap_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"poise\[motion\]"):
        open_sinks("sleap", tmp_path)


def test_yolo_labels_are_parts_of_the_picture_and_unseen_keypoints_are_marked(tmp_path):
    (result,) = results(1)
    result.instances.keypoint_scores[0, 3] = 0.1
    result.instances.keypoints[1, 4] = [300, 50]
    (folder,) = saved("yolo", tmp_path, [result])
    assert folder == tmp_path / "clip"
    path = folder / "0000000.txt"
    rows = np.array([line.split() for line in path.read_text().splitlines()], float)
    assert rows.shape == (2, 5 + 51)
    np.testing.assert_allclose(rows[0, :5], [0, 0.15, 0.5, 0.2, 0.6])
    flags = rows[:, 7::3]
    assert np.argwhere(flags == 0).tolist() == [[0, 3], [1, 4]]
    np.testing.assert_allclose(rows[0, 5:7], result.keypoints[0, 0] / [200, 100], rtol=1e-5)
    import yaml

    described = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert described["kpt_shape"] == [17, 3]
    assert described["flip_idx"][:3] == [0, 2, 1]


def test_an_empty_video_leaves_no_file_and_another_model_is_told(tmp_path):
    assert saved("dlc", tmp_path, results(3, people=0, ids=())) == []
    frames = list(results(2))
    frames[1].instances = frames[1].instances[[0]]
    frames[1].instances.set_field(np.zeros((1, 5, 2), np.float32), "keypoints")
    frames[1].instances.set_field(np.ones((1, 5), np.float32), "keypoint_scores")
    with pytest.raises(DataError, match="5 keypoints, those before 17"):
        saved("dlc", tmp_path, frames)


@pytest.mark.parametrize("kind", ["dlc", "sleap"])
def test_memory_does_not_grow_with_the_number_of_people(tmp_path, kind):
    if kind == "sleap":
        pytest.importorskip("h5py", exc_type=ImportError)
    frames, people = 600, 100
    (out,) = open_sinks(kind, tmp_path)
    source = SourceInfo("crowd.mp4", "video", Path("crowd.mp4"), fps=25.0)
    for index in range(frames):
        fields = InstanceData(
            keypoints=np.full((1, 17, 2), index, np.float32),
            keypoint_scores=np.ones((1, 17), np.float32),
            bboxes=np.ones((1, 4), np.float32),
            bbox_scores=np.ones(1, np.float32),
            track_ids=np.array([index * people // frames]),
        )
        moment = {"frame_index": index, "time": index / 25, "source": source}
        out.write(PoseResult(None, fields, COCO, source.name, **moment))
    tracemalloc.start()
    out.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # everybody in every frame would be 600 x 100 x 17 x 3 numbers
    assert peak < frames * people * 17 * 3 * 4 / 3
