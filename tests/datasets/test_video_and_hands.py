"""PoseTrack18 as video, InterHand2.6M."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import (
    InterHand2DDoubleDataset,
    InterHand3DDataset,
    PoseTrack18VideoDataset,
    cache,
)
from poise.errors import ArgumentError, DataError, FileMissingError


@pytest.fixture
def video(tmp_path: Path, person: Any, schema: Any) -> Callable[..., PoseTrack18VideoDataset]:
    """A data set of frame 0 and frame 5 of a video of 8 frames."""
    images = [
        {
            "id": i,
            "file_name": f"val/a/{i:06d}.jpg",
            "frame_id": 100 + i,
            "nframes": 8,
            "width": 100,
            "height": 80,
        }
        for i in (0, 5)
    ]
    people = [person(1, image=0), person(2, image=5), person(3, image=5, keypoints=[0] * 9)]
    path = tmp_path / "video.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))

    def make(**settings: Any) -> PoseTrack18VideoDataset:
        return PoseTrack18VideoDataset(str(path), metainfo=schema(), **settings)

    return make


@pytest.fixture
def keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of parsed annotations that takes files of any size."""
    monkeypatch.setattr(cache, "LEAST_BYTES", 0)
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("POISE_CACHE", raising=False)


FIXED = {
    "frame_sampler_mode": "fixed",
    "frame_indices": [1, -2, 0],
    "frame_weights": (0.5, 0.25, 0.25),
}


def names(info: dict[str, Any]) -> list[int]:
    return [int(Path(p).stem) for p in info["img_path"]]


def test_keypoints_are_counted_where_the_file_does_not(video: Any) -> None:
    dataset = video(**FIXED)
    path = Path(dataset.ann_file)
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation.pop("num_keypoints", None)
    path.write_text(json.dumps(content))
    info = video(**FIXED).get_data_info(0)
    assert info["num_keypoints"] == np.count_nonzero(info["keypoints_visible"])


@pytest.mark.usefixtures("keeps")
def test_kept_annotations_have_the_neighbours_that_are_asked_for(video: Any, schema: Any) -> None:
    path = Path(video(**FIXED).ann_file)

    def neighbours(**settings: Any) -> list[int]:
        dataset = PoseTrack18VideoDataset(str(path), metainfo=schema(), **settings)
        return names(dataset.get_data_info(1))

    assert neighbours(**FIXED) == [5, 3, 5, 6]
    assert neighbours(**{**FIXED, "frame_indices": [2, -1, 0]}) == [5, 4, 5, 7]
    assert neighbours(**FIXED) == [5, 3, 5, 6]


@pytest.mark.usefixtures("keeps")
def test_drawn_neighbours_are_not_kept(video: Any) -> None:
    dataset = video(frame_range=2, num_sampled_frame=1)
    draws = set()
    for seed in range(8):
        np.random.seed(seed)
        draws.update(names(record)[1] for record in dataset.load_data_list()[1:])
    assert len(draws) > 1


def test_fixed_neighbours_are_cut_to_the_video(video: Any) -> None:
    dataset = video(**FIXED, data_prefix={"img": "root"})
    assert names(dataset.get_data_info(0)) == [0, 0, 0, 1]
    assert names(dataset.get_data_info(1)) == [5, 3, 5, 6]
    assert dataset.get_data_info(1)["img_path"][0] == "root/val/a/000005.jpg"
    assert dataset.get_data_info(1)["img_id"] == 105
    assert dataset.get_data_info(1)["frame_weights"].tolist() == [0.5, 0.25, 0.25]


def test_a_test_does_not_repeat_the_frame_itself(video: Any) -> None:
    assert names(video(**FIXED, test_mode=True).get_data_info(1)) == [5, 3, 6]


def test_people_without_keypoints_are_left_out(video: Any) -> None:
    assert len(video(**FIXED)) == 2


def test_random_neighbours_come_from_the_range(video: Any) -> None:
    settings = {"frame_range": 2, "num_sampled_frame": 1, "frame_weights": (0.0, 1.0)}
    np.random.seed(0)
    drawn = {names(video(**settings).get_data_info(1))[1] for _ in range(40)}
    assert drawn == {3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"frame_weights": (0.5, 0.4)}, DataError, "should sum to 1.0"),
        ({"frame_weights": (1.5, -0.5)}, DataError, "can not be a negative value"),
        ({"frame_sampler_mode": "all"}, DataError, 'Should be "fixed" or "random"'),
        ({}, DataError, "please specify `frame_range`"),
        ({"frame_range": "ab"}, ArgumentError, "must be int or Sequence"),
        ({"frame_range": [1, 2]}, DataError, "Invalid `frame_range`"),
        ({"frame_range": [-2, 5.5]}, DataError, "Invalid `frame_range`"),
        ({"frame_range": [0, 0]}, DataError, "Invalid `frame_range`"),
        ({"frame_range": [-1, 0, 1]}, DataError, "Invalid `frame_range`"),
        ({"frame_range": 2}, DataError, "please specify `num_sampled_frame`"),
        ({"frame_range": 2, "num_sampled_frame": 3}, DataError, "has 2 entries.*asks for 4"),
        ({"frame_sampler_mode": "fixed"}, DataError, "please specify `frame_indices`"),
        (
            {"frame_sampler_mode": "fixed", "frame_indices": [0]},
            DataError,
            "has 2 entries, `frame_indices` asks for 1",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    video: Any, settings: dict[str, Any], kind: type, text: str
) -> None:
    with pytest.raises(kind, match=text):
        video(**settings)


def test_boxes_of_a_detector_name_frames_by_id_or_name(video: Any, tmp_path: Path) -> None:
    common = {"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    boxes = [
        {**common, "image_id": 5},
        {**common, "image_id": 7, "image_name": "val/a/000000.jpg"},
        {**common, "image_id": 9, "image_name": "val/b/000002.jpg", "nframes": 3},
        {**common, "image_id": 5, "category_id": 2},
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(boxes))
    dataset = video(**FIXED, bbox_file=str(path), test_mode=True)
    assert [names(r) for r in dataset.data_list] == [[5, 3, 6], [0, 0, 1], [2, 0, 2]]
    assert dataset.get_data_info(0)["keypoints"].shape == (1, 3, 2)


@pytest.fixture
def hands(tmp_path: Path, schema: Any) -> Callable[..., Any]:
    """`hands(cls)`: both hands straight before a camera, the left wrist 100 mm farther."""
    world = np.zeros((42, 3))
    world[:, 2] = 1000
    world[21:, 2] = 1100
    world[:, 0] = np.arange(42)
    files = {
        "camera": {
            "0": {
                "campos": {"c": [0, 0, 0]},
                "camrot": {"c": np.eye(3).tolist()},
                "focal": {"c": [500, 500]},
                "princpt": {"c": [64, 64]},
            }
        },
        "joint": {"0": {"9": {"world_coord": world.tolist()}}},
        "root": [{"annot_id": 3, "bbox": [5, 6, 7, 8], "abs_depth": [1.5, 2.5]}],
    }
    ann = {
        "id": 3,
        "image_id": 1,
        "bbox": [1, 2, 30, 40],
        "joint_valid": [[1]] * 41 + [[0]],
        "hand_type": "interacting",
        "hand_type_valid": 1,
    }

    def make(
        cls: Any,
        hand_type: str = "interacting",
        *,
        people: Any = ({},),
        pictures: int = 1,
        **settings: Any,
    ) -> Any:
        image = {"file_name": "1.jpg", "capture": 0, "camera": "c", "frame_idx": 9}
        annotations = [{**ann, "hand_type": hand_type, **fields} for fields in people]
        images = [{"id": i, **image} for i in range(1, pictures + 1)]
        files["ann"] = {"images": images, "annotations": annotations}
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        arguments = {"camera_param_file": "camera.json", "joint_file": "joint.json", **settings}
        root = str(tmp_path)
        return cls("ann.json", data_root=root, metainfo=schema(42), **arguments)

    return make


def test_hands_in_3d_are_relative_to_their_wrists(hands: Any) -> None:
    info = hands(InterHand3DDataset).get_data_info(0)
    assert info["keypoints"].shape == (1, 42, 3)
    assert info["keypoints"][0, 10].tolist() == [10 / 1000 * 500 + 64, 64, 0]
    assert info["keypoints_cam"][0, :, 2].tolist() == [1000] * 21 + [1100] * 21
    assert info["rel_root_depth"] == 100
    assert info["rel_root_valid"] == 0
    assert info["abs_depth"] == [1000, 1100]
    # without its wrist the left hand is not valid
    assert info["keypoints_visible"][0].tolist() == [1] * 21 + [0] * 21
    assert info["bbox"].tolist() == [[1, 2, 31, 42]]
    assert info["hand_type"].tolist() == [[1, 1]]


def test_hands_in_2d_have_pixels_only(hands: Any) -> None:
    info = hands(InterHand2DDoubleDataset).get_data_info(0)
    assert info["keypoints"].shape == (1, 42, 2)
    assert "abs_depth" not in info


@pytest.mark.parametrize(("name", "code"), [("right", [1, 0]), ("left", [0, 1])])
def test_hand_types_are_two_flags(hands: Any, name: str, code: list[int]) -> None:
    assert hands(InterHand3DDataset, name).get_data_info(0)["hand_type"].tolist() == [code]


def test_depth_may_come_from_a_network(hands: Any) -> None:
    settings = {"use_gt_root_depth": False, "rootnet_result_file": "root.json"}
    info = hands(InterHand3DDataset, **settings).get_data_info(0)
    assert info["abs_depth"] == [1.5, 2.5]
    assert info["bbox"].tolist() == [[5, 6, 12, 14]]


@pytest.mark.usefixtures("keeps")
def test_kept_hands_belong_to_their_files_and_settings(hands: Any, schema: Any) -> None:
    root = Path(hands(InterHand3DDataset).ann_file).parent
    files = {"camera_param_file": "camera.json", "joint_file": "joint.json"}

    def depths(**settings: Any) -> Any:
        dataset = InterHand3DDataset(
            "ann.json", data_root=str(root), metainfo=schema(42), **files, **settings
        )
        return dataset.get_data_info(0)["abs_depth"]

    assert depths() == [1000, 1100]
    assert depths(use_gt_root_depth=False, rootnet_result_file="root.json") == [1.5, 2.5]
    joints = json.loads((root / "joint.json").read_text())
    for point in joints["0"]["9"]["world_coord"]:
        point[2] += 500
    (root / "joint.json").write_text(json.dumps(joints))
    assert depths() == [1500, 1600]


@pytest.mark.parametrize("cls", [InterHand3DDataset, InterHand2DDoubleDataset])
def test_missing_files_and_settings_are_named(hands: Any, cls: Any) -> None:
    with pytest.raises(FileMissingError, match="`joint_file` does not exist"):
        hands(cls, joint_file="none.json")
    with pytest.raises(FileMissingError, match="needs the file `camera_param_file`"):
        hands(cls, camera_param_file="")
    with pytest.raises(DataError, match="`rootnet_result_file`, which is not given"):
        hands(cls, use_gt_root_depth=False)
    with pytest.raises(DataError, match="Not support hand type: foot; expected one of right"):
        hands(cls, "foot")


def test_hands_that_cannot_be_read_are_named(hands: Any) -> None:
    with pytest.raises(DataError, match=r"annotation 3 cannot be read: "):
        hands(InterHand3DDataset, people=[{"joint_valid": [1, 1]}])
    with pytest.raises(DataError, match=r"annotation 3 cannot be read: "):
        hands(InterHand3DDataset, people=[{"bbox": [1, 2]}])
    with pytest.raises(DataError, match=r"NaN.*\(id 3\)"):
        hands(InterHand3DDataset, people=[{"bbox": [1, 2, math.nan, 4]}])
    with pytest.raises(DataError, match=r"1 annotation ids occur more than once \(3\)"):
        hands(InterHand3DDataset, people=[{}, {}])
    skips = {"on_bad": "skip"}
    dataset = hands(InterHand3DDataset, people=[{}, {}], filter_cfg=skips)
    assert dataset.report.dropped == {"with a duplicated id": 1}


def test_hands_that_are_left_out_are_counted_by_reason(hands: Any) -> None:
    people = [
        {"id": 10},
        {"id": 11},
        {"id": 20, "image_id": 2},
        {"id": 50, "image_id": 5},
    ]
    every = hands(InterHand3DDataset, people=people, pictures=5)
    assert [record["id"] for record in every.data_list] == [10, 20, 50]
    assert every.report.dropped == {"of an image that has one already": 1}
    second = hands(InterHand2DDoubleDataset, people=people, pictures=5, sample_interval=2)
    assert [record["id"] for record in second.data_list] == [10, 50]
    assert second.report.dropped["outside sample_interval=2"] == 1
    assert second.report.images == 3


def test_a_video_frame_that_cannot_be_read_is_named(video: Any, tmp_path: Path) -> None:
    path = tmp_path / "video.json"
    path.write_text(path.read_text().replace('"nframes"', '"frames"'))
    with pytest.raises(DataError, match="annotation 1 has no `nframes`"):
        video(**FIXED)
