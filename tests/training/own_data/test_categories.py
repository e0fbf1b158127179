"""Annotation files of categories with different keypoints: one model over all, or one category."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.check.categories import has_several_sets, join_names, one_set, use_one_set
from poise.cli.main import app
from poise.data_tools import examine_predictions, open_dataset
from poise.data_tools.formats import Reading, convert_annotations
from poise.errors import ConfigError, DataError
from poise.structures import parse_pose_metainfo
from poise.training.own_data import OwnData, describe_keypoints, hold_out, prepare
from poise.zoo import load_config

RTMPOSE = "rtmpose-t_8xb256-420e_coco-256x192"
DOG = ["nose", "left_ear", "right_ear", "tail", "p1"]
HEN = ["beak", "tail", "p1"]
UNION = ["nose", "left_ear", "right_ear", "tail", "dog_p1", "beak", "hen_p1"]
OF_HEN = ["beak", "tail", "hen_p1"]

run = CliRunner().invoke


def write(folder: Path, name: str = "train", **changes: Any) -> Path:
    """A file with a dog and a hen in each of eight pictures."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, anns = [], []
    for number in range(1, 9):
        file = f"{number}.png"
        picture = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / file), picture)
        images.append({"id": number, "file_name": file, "width": 96, "height": 64})
        for category, names in ((3, DOG), (5, HEN)):
            points = [[int(x), int(y), 2] for x, y in rng.integers(10, 50, (len(names), 2))]
            ann = {"id": len(anns) + 1, "image_id": number, "category_id": category, "iscrowd": 0}
            ann |= {"bbox": [5, 5, 50, 50], "area": 2500, "num_keypoints": len(names)}
            anns.append(ann | {"keypoints": [value for point in points for value in point]})
    categories = [
        {"id": 3, "name": "dog", "keypoints": DOG, "skeleton": [[1, 2], [1, 4]]},
        {"id": 5, "name": "hen", "keypoints": HEN, "skeleton": [[1, 2]]},
    ]
    content = {"images": images, "annotations": anns, "categories": categories}
    content["info"] = {"flip_indices": [0, 2, 1, 3, 4]}
    path = folder / "annotations" / f"{name}.json"
    path.write_text(json.dumps(content | changes))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "farm")


def test_equal_names_are_one_keypoint_and_numbers_are_of_their_category():
    joined = join_names({"dog": DOG, "hen": HEN})
    assert joined.names == UNION
    assert joined.own == {"dog": UNION[:5], "hen": ["beak", "tail", "hen_p1"]}
    for numbered in ("keypoint_3", "kpt12", "Point 1", "7", "lm-2", "joint4"):
        assert join_names({"a": [numbered]}).names == [f"a_{numbered}"]
    for named in ("p1_left", "paw2", "c1_kpt1", "neck"):
        assert join_names({"a": [named]}).names == [named]


def test_annotations_leave_the_keypoints_of_others_unlabelled(file):
    content = json.loads(file.read_text())
    found, (said,) = one_set(content, source=file)
    assert "dog (5 keypoints) and hen (3 keypoints): one set of 7" in said
    assert "--category NAME" in said
    hen = np.reshape(found["annotations"][1]["keypoints"], (7, 3))
    own = np.reshape(content["annotations"][1]["keypoints"], (3, 3))
    assert np.array_equal(hen[[5, 3, 6]], own)
    assert not hen[[0, 1, 2, 4]].any()
    assert [c["own_keypoints"] for c in found["categories"]] == [
        UNION[:5],
        ["beak", "tail", "hen_p1"],
    ]
    assert found["categories"][0]["skeleton"] == [[1, 2], [1, 4], [6, 4]]
    assert "flip_indices" not in found["info"]
    assert has_several_sets(content)
    assert not has_several_sets(found)
    # nothing to do for a second time
    assert one_set(found, source=file) == (found, [])


def test_the_schema_says_which_keypoints_are_whose(file, tmp_path):
    ([joined], _) = use_one_set([file], tmp_path / "new")
    parsed = parse_pose_metainfo(describe_keypoints(joined).metainfo)
    assert parsed["categories"] == [
        {"id": 3, "name": "dog", "keypoints": [0, 1, 2, 3, 4]},
        {"id": 5, "name": "hen", "keypoints": [5, 3, 6]},
    ]
    ([alone], _) = use_one_set([file], tmp_path / "new", "hen")
    assert "categories" not in describe_keypoints(alone).metainfo


def test_one_category_is_chosen(file, tmp_path):
    ([new], [said]) = use_one_set([file], tmp_path / "new", "HEN")
    assert said == "category: HEN alone"
    content = json.loads(new.read_text())
    assert {a["category_id"] for a in content["annotations"]} == {5}
    assert describe_keypoints(new).names == HEN
    with pytest.raises(DataError, match=r"no category 'dgo'; did you mean 'dog'\?.* dog, hen"):
        use_one_set([file], tmp_path / "new", "dgo")
    write(tmp_path / "farm", annotations=json.loads(file.read_text())["annotations"][:1])
    with pytest.raises(DataError, match="no annotation of the category 'hen'"):
        use_one_set([file], tmp_path / "new", "hen")


def test_annotations_that_do_not_fit_their_category_are_named(file, tmp_path):
    content = json.loads(file.read_text())
    content["annotations"][3]["keypoints"] += [1, 1, 2]
    with pytest.raises(DataError, match="annotation 4 has 12 numbers in keypoints, expected 9"):
        one_set(content, source=file)
    with pytest.raises(DataError, match="poise train and poise data join them"):
        describe_keypoints(file)


def test_training_and_validation_get_the_same_keypoints(tmp_path):
    train = write(tmp_path / "farm")
    # hens first, and only two of them
    content = json.loads(train.read_text())
    hens = [a for a in content["annotations"] if a["category_id"] == 5][:2]
    val = write(tmp_path / "farm", "val", annotations=hens, categories=content["categories"][::-1])
    data = OwnData(train_ann=train, val_ann=val, train_images=tmp_path / "farm/images")
    cfg, said = prepare(
        load_config(RTMPOSE), data, name=RTMPOSE, work_dir=tmp_path / "run", weights="none"
    )
    assert any("one set of 7" in line for line in said)
    assert cfg.model.head.out_channels == 7
    for part in ("train", "val"):
        content = json.loads(Path(cfg[f"{part}_dataloader"].dataset.ann_file).read_text())
        assert content["categories"][0]["keypoints"] == UNION
    meta = cfg.train_dataloader.dataset.metainfo
    assert meta["dataset_name"] == "dog+hen"
    data = OwnData(train_ann=train, train_images=tmp_path / "farm/images", category="hen")
    cfg, said = prepare(
        load_config(RTMPOSE), data, name=RTMPOSE, work_dir=tmp_path / "hens", weights="none"
    )
    assert cfg.model.head.out_channels == 3
    assert "category: hen alone" in said


def test_data_commands_join_or_choose(file, tmp_path):
    dataset = open_dataset(file)
    assert len(dataset) == 16
    assert dataset.get_data_info(1)["keypoints_visible"].sum() == 3
    copy = Path(dataset.ann_file)
    del dataset
    assert not copy.exists()
    assert len(open_dataset(file, category="dog")) == 8
    for options in ([], ["--category", "hen"]):
        done = run(app, ["data", "draw", str(file), "-o", str(tmp_path / "s.png"), *options])
        assert done.exit_code == 0, done.output
        assert ("one set of 7" if not options else "category: hen alone") in done.stderr
        done = run(app, ["data", "check", str(file), "--open-pictures", *options])
        assert done.exit_code == 0, done.output
    with pytest.raises(ConfigError, match="--category chooses from an annotation file"):
        open_dataset(RTMPOSE, category="dog")


def test_conversion_joins_or_chooses(file, tmp_path):
    found, [new] = convert_annotations(file, tmp_path / "new.json")
    assert found.names == UNION
    assert "one set of 7" in found.said[0]
    assert describe_keypoints(new).names == UNION
    found, _ = convert_annotations(file, tmp_path / "hen.json", Reading(category="hen"))
    assert (found.names, found.kept) == (HEN, 8)


def test_skeletons_of_a_tool_are_joined(tmp_path):
    def skeleton(label: str, names: list[str]) -> str:
        points = "".join(
            f'<points label="{n}" outside="0" occluded="0" points="{9 + k},{20 + k}"/>'
            for k, n in enumerate(names)
        )
        return f'<skeleton label="{label}">{points}</skeleton>'

    labels = "".join(
        f"<label><name>{n}</name><parent>{parent}</parent></label>"
        for parent, names in (("dog", DOG), ("hen", HEN))
        for n in names
    )
    body = skeleton("dog", DOG) + skeleton("hen", HEN)
    (tmp_path / "annotations.xml").write_text(
        f"<annotations><meta>{labels}</meta>"
        f'<image id="0" name="a.png" width="96" height="64">{body}</image></annotations>'
    )
    found, [new] = convert_annotations(tmp_path, tmp_path / "new.json")
    assert found.names == UNION
    dog, hen = (np.reshape(person["keypoints"], (7, 3)) for person in found.people)
    assert dog[:, 2].tolist() == [2, 2, 2, 2, 2, 0, 0]
    assert hen[[5, 3, 6], 0].tolist() == [9, 10, 11]
    assert json.loads(new.read_text())["categories"][1]["own_keypoints"] == [
        "beak",
        "tail",
        "hen_p1",
    ]


@pytest.mark.slow
def test_one_model_is_trained_and_evaluated_by_category(file, tmp_path):
    work = tmp_path / "run"
    options = ["--epochs", "1", "--weights", "none", "--batch-size", "4", "-w", str(work)]
    small = [
        f"--set={loader}_dataloader.{key}"
        for loader in ("train", "val", "test")
        for key in ("num_workers=0", "persistent_workers=False")
    ]
    root = str(file.parents[1])
    done = run(app, ["train", RTMPOSE, "--data-root", root, *options, *small])
    assert done.exit_code == 0, done.output
    assert "one set of 7" in done.output
    dump = tmp_path / "p.jsonl"
    written = [str(work / f"{RTMPOSE}.py"), str(work / "epoch_1.pth")]
    done = run(app, ["test", *written, "-w", str(tmp_path), "--dump", str(dump), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    found = examine_predictions(dump, ["PCKAccuracy,thr=0.2"], by=["category"])
    ((table,),) = found.tables.values()
    assert [name for name, _ in table.rows] == ["dog", "hen"]
    assert [values[0] for _, values in table.rows] == [1, 1]
    done = run(app, ["eval", str(dump), "--by", "category", "-m", "EPE"])
    assert done.exit_code == 0, done.output
    assert "hen" in done.output


def test_a_folder_that_takes_no_file_is_named(file, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*taken.train_joined.json: "):
        use_one_set([file], tmp_path / "taken")
    with pytest.raises(DataError, match=r"cannot write .*taken.train_train.json: "):
        hold_out(file, tmp_path / "taken")
