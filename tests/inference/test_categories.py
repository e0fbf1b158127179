"""Boxes that say what is in them, on their way into results and files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from poise.inference import Inferencer, open_sinks, read_results
from poise.structures import parse_pose_metainfo

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"
DOG, HEN = 3, 5
OF_DOG, OF_HEN = list(range(9)), [0, *range(9, 17)]
BOXES = [[60, 0, 420, 512, 0.9, DOG], [100, 20, 380, 400, 0.8, HEN], [0, 0, 512, 512, 0.7, 99]]


@pytest.fixture(scope="module")
def inferencer():
    """A model of dogs and hens, whose keypoints are some of people's."""
    model = Inferencer("movenet-lightning", device="cpu", covariances=True)
    names = model.metainfo["keypoint_id2name"]
    kinds = [
        {"id": number, "name": name, "keypoints": [names[k] for k in own]}
        for number, name, own in ((DOG, "dog", OF_DOG), (HEN, "hen", OF_HEN))
    ]
    raw = {"keypoint_info": {k: dict(name=n) for k, n in names.items()}, "skeleton_info": {}}
    raw |= {"dataset_name": "dog+hen", "joint_weights": [], "sigmas": [], "categories": kinds}
    model.metainfo = parse_pose_metainfo(raw)
    return model


@pytest.fixture(scope="module")
def found(inferencer):
    (result,) = inferencer(PHOTO, boxes=BOXES)
    return result


def test_everybody_has_the_keypoints_of_the_own_category(inferencer, found):
    assert found.categories.tolist() == [DOG, HEN, 99]
    for row, own in ((0, OF_DOG), (1, OF_HEN), (2, range(17))):
        there = np.isfinite(found.keypoints[row]).all(-1)
        assert np.flatnonzero(there).tolist() == list(own)
        assert (found.keypoint_scores[row][~there] == 0).all()
        assert np.isnan(found.keypoint_covariances[row][~there]).all()
    (plain,) = inferencer(PHOTO, boxes=[box[:5] for box in BOXES])
    assert plain.categories is None
    np.testing.assert_array_equal(plain.keypoints[0, OF_DOG], found.keypoints[0, OF_DOG])
    assert "category_id" not in plain.to_dict()["instances"][0]
    assert "category_id" not in plain.row_keys


def test_files_tell_categories(found, tmp_path):
    for sink in open_sinks("jsonl,csv,coco,image", tmp_path):
        with sink:
            sink.write(found)
    (entry,) = map(json.loads, (tmp_path / "poses.jsonl").read_text().splitlines())
    assert [person["category_id"] for person in entry["instances"]] == [DOG, HEN, 99]
    assert entry["instances"][1]["keypoints"][1] == [None, None]
    (again,) = read_results(tmp_path / "poses.jsonl")
    assert again.categories.tolist() == [DOG, HEN, 99]
    with (tmp_path / "poses.csv").open() as file:
        assert [row["category_id"] for row in csv.DictReader(file)] == ["3", "5", "99"]
    coco = json.loads((tmp_path / "poses_coco.json").read_text())
    assert [person["category_id"] for person in coco] == [DOG, HEN, 99]
    assert coco[1]["keypoints"][3:6] == [0, 0, 0]
    # MMPose's layout has no word for it, and stays what JSON can hold
    json.dumps(found.to_mmpose(), allow_nan=False)


def test_a_coco_file_and_a_callable_give_categories_too(inferencer, found, tmp_path):
    path = tmp_path / "boxes.json"
    anns = [
        {"image_id": 1, "bbox": [x, y, u - x, v - y], "category_id": c}
        for x, y, u, v, _, c in BOXES
    ]
    images = [{"id": 1, "file_name": PHOTO.name}]
    path.write_text(json.dumps({"images": images, "annotations": anns}))
    (of_file,) = inferencer(PHOTO, boxes=path)
    np.testing.assert_array_equal(of_file.keypoints, found.keypoints)
    assert of_file.categories.tolist() == [DOG, HEN, 99]
    # with annotations that do not say it, nobody does
    del anns[0]["category_id"]
    path.write_text(json.dumps({"images": images, "annotations": anns}))
    assert inferencer(PHOTO, boxes=path)[0].categories is None
    asking = Inferencer("movenet-lightning", device="cpu", detector=lambda image: BOXES[:2])
    assert asking(PHOTO)[0].categories.tolist() == [DOG, HEN]
