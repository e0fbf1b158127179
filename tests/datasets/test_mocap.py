"""Motion capture: windows on frames, videos, cameras."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import BaseMocapDataset, H36MWholeBodyDataset, Human36mDataset, UBody3dDataset
from poise.datasets.sequences import (
    multi_target_sequences,
    padded_sequences,
    random_run,
    sliding_sequences,
)
from poise.errors import DataError, FileMissingError, UnknownNameError

VIDEOS = (("S9", "Walk 1", "222", 4), ("S1", "Sit", "111", 6))
K = 3


@pytest.fixture
def capture(tmp_path: Path, schema: Any) -> Callable[..., Any]:
    """`capture(**settings)`: Human3.6M of two videos, frames 0-3 and 4-9."""
    names = [f"{s}_{a}.{c}_{i:06d}.jpg" for s, a, c, n in VIDEOS for i in range(n)]
    F = len(names)
    flat = np.arange(F, dtype=float)[:, None, None] + np.ones((1, K, 3))
    deep = np.arange(F, dtype=float)[:, None, None] * np.ones((1, K, 4))
    np.savez(tmp_path / "ann.npz", imgname=np.array(names), part=flat, S=deep)
    np.save(tmp_path / "found.npy", np.full((F, K, 3), 0.5))
    np.save(tmp_path / "factor.npy", np.arange(F))
    np.save(tmp_path / "short.npy", np.zeros((2, K, 3)))
    np.save(tmp_path / "flat.npy", np.zeros((F, K)))
    cameras = {("S9", "222"): {"w": 1, "R": np.eye(3)}, ("S1", "111"): {"w": 2, "R": np.eye(3)}}
    (tmp_path / "cameras.pkl").write_bytes(pickle.dumps(cameras))

    def make(cls: Any = Human36mDataset, **settings: Any) -> Any:
        arguments = {"ann_file": "ann.npz", "data_root": str(tmp_path), "metainfo": schema(K)}
        return cls(**{**arguments, **settings})

    return make


def frames(dataset: Any) -> list[list[int]]:
    return [record["img_ids"] for record in dataset.data_list]


def test_a_record_is_a_run_of_frames_of_one_video(capture: Any) -> None:
    dataset = capture(seq_len=3)
    # videos are sorted by subject, action, camera
    assert frames(dataset) == [[4, 5, 6], [5, 6, 7], [6, 7, 8], [7, 8, 9], [0, 1, 2], [1, 2, 3]]
    info = dataset.get_data_info(0)
    assert info["keypoints"].shape == (3, K, 2)
    assert info["keypoints"][:, 0, 0].tolist() == [5, 6, 7]
    assert info["lifting_target"].shape == (1, K, 3)
    assert info["lifting_target"][0, 0, 0] == 6
    assert info["img_paths"][0] == "S1_Sit.111_000000.jpg"
    assert info["target_img_path"].tolist() == ["S1_Sit.111_000002.jpg"]
    assert info["keypoints"].dtype == info["keypoints_3d"].dtype == np.float32
    assert info["factor"].tolist() == [0, 0, 0]
    assert info["flip_indices"] == [1, 0, 2]


def test_the_target_may_be_the_middle_frame(capture: Any) -> None:
    info = capture(seq_len=3, causal=False).get_data_info(0)
    assert info["lifting_target"][0, 0, 0] == 5


def test_padding_makes_every_frame_a_target(capture: Any) -> None:
    found = frames(capture(seq_len=3, pad_video_seq=True, causal=False))
    assert [f[1] for f in found] == [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    assert found[0] == [4, 4, 5]
    assert found[5] == [8, 9, 9]


def test_several_targets(capture: Any) -> None:
    dataset = capture(multiple_target=2)
    assert frames(dataset) == [[4, 5], [6, 7], [8, 9], [0, 1], [2, 3]]
    assert dataset.get_data_info(0)["lifting_target"].shape == (2, K, 3)
    assert len(capture(multiple_target=2, multiple_target_step=1)) == 8


def test_a_share_of_the_sequences_is_a_run_of_them(capture: Any) -> None:
    np.random.seed(0)
    found = frames(capture(seq_len=3, subset_frac=0.5))
    whole = frames(capture(seq_len=3))
    assert len(found) == 3
    assert any(whole[i : i + 3] == found for i in range(4))


def test_sequences_are_not_written_out(capture: Any) -> None:
    short, long = capture(seq_len=1), capture(seq_len=3, pad_video_seq=True)
    # three times the frames in each record, but the arrays are the same
    assert long.data_list.nbytes < 1.5 * short.data_list.nbytes


def test_cameras_are_found_by_the_name_of_the_frame(capture: Any) -> None:
    dataset = capture(camera_param_file="cameras.pkl")
    assert [r["camera_param"]["w"] for r in dataset.data_list] == [2] * 6 + [1] * 4


def test_an_unknown_camera_is_named(capture: Any, tmp_path: Path) -> None:
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({("S9", "222"): {}}))
    with pytest.raises(UnknownNameError, match="has no camera 111 of subject S1"):
        capture(camera_param_file="other.pkl")


def test_detected_keypoints_and_factors_replace_annotated_ones(capture: Any) -> None:
    info = capture(
        keypoint_2d_src="detection", keypoint_2d_det_file="found.npy", factor_file="factor.npy"
    ).get_data_info(0)
    assert (info["keypoints"] == 0.5).all()
    assert info["factor"].tolist() == [4]


def test_sequences_without_keypoints_are_left_out(capture: Any, tmp_path: Path) -> None:
    content = dict(np.load(tmp_path / "ann.npz"))
    content["part"][4:7] = 0
    np.savez(tmp_path / "ann.npz", **content)
    dataset = capture(seq_len=2)
    assert [5, 6] not in frames(dataset)
    assert [6, 7] in frames(dataset)
    assert dataset.report.dropped == {"without keypoints in the picture": 2}


def test_a_subclass_may_group_frames_itself(capture: Any) -> None:
    class Pairs(BaseMocapDataset):
        def get_sequence_indices(self) -> list[list[int]]:
            return [[0, 9], [3, 4]]

    assert frames(capture(Pairs, seq_len=2)) == [[0, 9], [3, 4]]
    with pytest.raises(DataError, match="a sequence has 2 frames, expected 3"):
        capture(Pairs, seq_len=3)


def test_a_subclass_may_change_the_parsed_sequences(capture: Any) -> None:
    class Marked(Human36mDataset):
        def _load_annotations(self) -> tuple[list[dict], list[dict]]:
            instances, images = super()._load_annotations()
            for instance in instances:
                instance["mark"] = instance["id"] * 2
            return instances, images

    assert [r["mark"] for r in capture(Marked, seq_len=3).data_list] == [0, 2, 4, 6, 8, 10]


def test_the_base_knows_no_videos(capture: Any) -> None:
    assert len(capture(BaseMocapDataset)) == 10
    assert len(capture(BaseMocapDataset, multiple_target=3)) == 3
    with pytest.raises(NotImplementedError, match="seq_len must be 1, got 3"):
        capture(BaseMocapDataset, seq_len=3)


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"seq_len": 3, "multiple_target": 2}, DataError, "only supports seq_len=1"),
        ({"subset_frac": 0}, DataError, r"Supported range is \(0, 1\]"),
        ({"subset_frac": 1.5}, DataError, "Unsupported `subset_frac` 1.5"),
        ({"data_mode": "video"}, DataError, "invalid data_mode: video"),
        ({"keypoint_2d_src": "detections"}, DataError, "did you mean 'detection'"),
        ({"ann_file": "none.npz"}, FileMissingError, "`ann_file` does not exist"),
        ({"ann_file": "factor.npy"}, DataError, "not a readable .npz file"),
        ({"camera_param_file": "none.pkl"}, FileMissingError, "`camera_param_file` does not exist"),
        ({"factor_file": "none.npy"}, FileMissingError, "`factor_file` does not exist"),
        ({"factor_file": "short.npy"}, DataError, "`factor_file` has 2 frames, .* has 10"),
        (
            {"keypoint_2d_src": "detection"},
            FileMissingError,
            "needs the file `keypoint_2d_det_file`",
        ),
        (
            {"keypoint_2d_src": "detection", "keypoint_2d_det_file": "flat.npy"},
            DataError,
            r"expected \(frames, 3 keypoints of the schema, 3\)",
        ),
        ({"factor_file": "cameras.pkl"}, DataError, r"cameras\.pkl is not a readable \.npy file"),
        ({"seq_len": 0}, DataError, "seq_len is at least 1 frame, got 0"),
        ({"seq_step": 0}, DataError, "seq_step is at least 1 frame, got 0"),
        ({"seq_len": 50}, DataError, "no sequence of 50 frames is left"),
    ],
)
def test_wrong_settings_and_files_are_refused(
    capture: Any, settings: dict[str, Any], kind: type, text: str
) -> None:
    with pytest.raises(kind, match=text):
        capture(**settings)


def test_a_name_of_another_form_is_refused(capture: Any, tmp_path: Path) -> None:
    content = dict(np.load(tmp_path / "ann.npz"))
    content["imgname"] = np.array(["frame.jpg"] * 10)
    np.savez(tmp_path / "ann.npz", **content)
    with pytest.raises(DataError, match=r"frame\.jpg is not a Human3\.6M name"):
        capture()


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("part", (10, K + 1, 3), "(10, 3, 3)"),
        ("part", (9, K, 3), "(10, 3, 3)"),
        ("S", (10, K, 3), "(10, 3, 4)"),
        ("scale", (9,), "(10,)"),
        ("center", (9, 2), "(10, 2)"),
    ],
)
def test_arrays_of_another_shape_are_refused(
    capture: Any, tmp_path: Path, name: str, shape: tuple[int, ...], expected: str
) -> None:
    np.savez(tmp_path / "ann.npz", **{**np.load(tmp_path / "ann.npz"), name: np.ones(shape)})
    text = f"`{name}` has the shape {shape}, expected {expected}, for 10 frames"
    with pytest.raises(DataError, match=re.escape(text)):
        capture()


def test_padded_sequences_may_be_even(capture: Any) -> None:
    dataset = capture(seq_len=2, causal=False, pad_video_seq=True)
    assert frames(dataset)[:3] == [[4, 4], [4, 5], [5, 6]]
    assert [record["target_img_path"][0][-10:] for record in dataset.data_list][:2] == [
        "000000.jpg",
        "000001.jpg",
    ]


# which frames ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("causal", [True, False])
def test_padded_sequences_keep_inner_frames_and_fill_the_ends(
    size: int, length: int, step: int, causal: bool
) -> None:
    video = list(range(100, 100 + size))
    found = padded_sequences(video, length, step, causal=causal)
    target = length - 1 if causal else length // 2
    assert [f[target] for f in found] == video
    for i, run in enumerate(found):
        for place, frame in enumerate(run):
            wanted = 100 + i + (place - target) * step
            assert frame == min(max(wanted, 100), 100 + size - 1)


@pytest.mark.parametrize(("length", "step", "count"), [(1, 1, 6), (3, 1, 4), (3, 2, 2), (4, 2, 0)])
def test_sliding_sequences_lie_inside(length: int, step: int, count: int) -> None:
    found = sliding_sequences(range(6), length, step)
    assert len(found) == count
    assert all(np.diff(run).tolist() == [step] * (length - 1) for run in found)


@pytest.mark.parametrize(
    ("targets", "every", "count"), [(2, 2, 2), (2, 1, 4), (5, 5, 1), (6, 1, 0)]
)
def test_runs_of_targets_are_whole(targets: int, every: int, count: int) -> None:
    found = multi_target_sequences(range(5), targets, every, 1)
    assert [len(run) for run in found] == [targets] * count


def test_a_random_run_of_everything_is_everything() -> None:
    assert random_run([[1], [2]], 1.0) == [[1], [2]]


# whole bodies ------------------------------------------------------------------------------


def test_ubody_reads_sequences_from_coco_files(tmp_path: Path, schema: Any) -> None:
    images = [
        {"id": i, "file_name": f"Movie/Trim{i // 3}/{i:04d}.png", "width": 9, "height": 9}
        for i in range(5)
    ]
    anns = [
        {
            "id": 10 + i,
            "image_id": i,
            "category_id": 1,
            "keypoints": [[i + 1.0, 2.0]] * 133,
            "keypoints_3d": [[i, 2.0, 3.0]] * 133,
            "keypoints_valid": [1] * 133,
            "bbox": [1, 2, 3, 4],
            "camera_param": {"focal": [5, 6], "princpt": [7, 8]},
        }
        for i in range(5)
    ]
    content = {"images": images, "annotations": anns, "categories": []}
    (tmp_path / "ubody.json").write_text(json.dumps(content))
    settings = {"ann_file": "ubody.json", "data_root": str(tmp_path), "metainfo": schema(137)}
    dataset = UBody3dDataset(seq_len=2, **settings)
    assert frames(dataset) == [[0, 1], [1, 2], [3, 4]]
    info = dataset.get_data_info(2)
    assert info["lifting_target"][0, 0].tolist() == [4, 2, 3]
    assert info["camera_param"] == [{"f": [5, 6], "c": [7, 8]}]
    assert info["img_path"] == f"{tmp_path}/images/Movie/Trim1/0004.png"
    anns[0]["keypoints"] = [[1, 2]]
    (tmp_path / "ubody.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"`keypoints` of the annotations \[10\]"):
        UBody3dDataset(**settings)
    anns[1]["id"] = 10
    (tmp_path / "ubody.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"1 annotation ids occur more than once .*\(10\)"):
        UBody3dDataset(**settings)
    del anns[0]
    anns[1].pop("camera_param")
    (tmp_path / "ubody.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"one of the annotations \[12\] has no `camera_param`"):
        UBody3dDataset(**settings)


def test_h3wb_uses_other_subjects_for_tests(tmp_path: Path, schema: Any) -> None:
    def video() -> dict[str, Any]:
        poses = {"pose_2d": np.ones((3, 133, 2)), "camera_3d": np.full((3, 133, 3), 2000.0)}
        return {"Sit": {"frame_id": [0, 5, 10], "54138969": poses}}

    camera = {
        "K": np.array([[[1.0, 0, 0.5], [0, 2.0, 0.25], [0, 0, 1]]]),
        "R": np.eye(3)[None],
        "T": np.zeros(3),
        "Distortion": np.zeros((1, 5)),
    }
    box = {"x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}
    subjects = ("S1", "S7")
    np.savez(
        tmp_path / "h3wb.npz",
        train_data=np.array({s: video() for s in subjects}, dtype=object),
        metadata=np.array({s: {"54138969": camera} for s in subjects}, dtype=object),
        bbox=np.array(
            {(s, "Sit", "54138969", f): box for s in subjects for f in (0, 5, 10)}, dtype=object
        ),
    )
    settings = {"ann_file": "h3wb.npz", "data_root": str(tmp_path), "metainfo": schema(133)}
    train, test = (H36MWholeBodyDataset(test_mode=t, **settings) for t in (False, True))
    assert len(train) == len(test) == 3
    assert "/S1/" in train.get_data_info(0)["img_path"]
    info = test.get_data_info(1)
    assert info["img_path"] == f"{tmp_path}/original/S7/Images/Sit.54138969/frame_5.jpg"
    # metres
    assert info["keypoints_3d"].max() == info["lifting_target"].max() == 2
    assert info["camera_param"][0]["f"] == (1000, 2000)
    assert info["camera_param"][0]["c"] == (500, 250)
    assert info["bbox"].tolist() == [[1, 2, 3, 4]]
    np.savez(tmp_path / "h3wb.npz", train_data=np.zeros(1))
    with pytest.raises(DataError, match=r"has no metadata, bbox \(it has: train_data\)"):
        H36MWholeBodyDataset(**settings)


# numbers that are none ---------------------------------------------------------------------


def spoil(path: Path, name: str, frame: int, value: float) -> None:
    """Put a number into an array of the annotation file, or of a file of arrays."""
    if path.suffix == ".npy":
        array = np.load(path).astype(float)
        array[frame] = value
        np.save(path, array)
        return
    content = dict(np.load(path))
    content[name][frame, 0, 0] = value
    np.savez(path, **content)


@pytest.mark.parametrize(
    ("file", "array", "part", "settings"),
    [
        ("ann.npz", "part", "keypoints", {}),
        ("ann.npz", "S", "keypoints_3d", {}),
        ("ann.npz", "S", "keypoints_3d", {"data_mode": "bottomup"}),
        (
            "found.npy",
            "",
            "keypoints",
            {"keypoint_2d_src": "detection", "keypoint_2d_det_file": "found.npy"},
        ),
        ("factor.npy", "", "factor", {"factor_file": "factor.npy"}),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_told_or_left_out(
    capture: Any, tmp_path: Path, file: str, array: str, part: str, settings: Any, value: float
) -> None:
    spoil(tmp_path / file, array, 5, value)
    with pytest.raises(
        DataError, match=rf"NaN or infinity in 2 sequences .* first in {part} of S1_Sit"
    ):
        capture(seq_len=3, **settings)
    dataset = capture(seq_len=3, filter_cfg={"on_bad": "skip"}, **settings)
    assert frames(dataset) == [[6, 7, 8], [7, 8, 9], [0, 1, 2], [1, 2, 3]]
    assert dataset.report.dropped["with NaN"] == 2
    assert dataset.report.kept == 4
    kept = capture(seq_len=3, filter_cfg={"on_bad": "keep"}, **settings)
    assert len(kept) == 6
    assert "2 sequences have NaN or infinity" in str(kept.report)
