"""What damaged annotations and pictures say: an error, or a skip that is counted."""

import json
import shutil

import pytest


def drop_keypoints(tree):
    for row in tree["annotations"]:
        del row["keypoints"]


def share_an_id(tree):
    tree["annotations"][2]["id"] = 2


def flatten_all_boxes(tree):
    for row in tree["annotations"]:
        row["bbox"] = [2, 2, 0, 0]


def spoil_a_keypoint(tree):
    tree["annotations"][2]["keypoints"][0] = float("nan")


def lose_a_keypoint(tree):
    tree["annotations"][2]["keypoints"] = tree["annotations"][2]["keypoints"][:48]


def forget_everybody(tree):
    tree["annotations"].clear()


@pytest.mark.parametrize(
    ("damage", "texts"),
    [
        (drop_keypoints, ["no annotation of", "has `keypoints`", "person_keypoints_*.json"]),
        (share_an_id, ["1 annotation ids occur more than once (2)", 'on_bad="skip"']),
        (flatten_all_boxes, ["nothing is left to use", "kept 0 of 4: 4 zero-size box"]),
        (spoil_a_keypoint, ["NaN", "(id 3)", 'on_bad="skip"']),
        (lose_a_keypoint, ["annotation 3: 48 numbers in `keypoints`, expected 51 (17 keypoints"]),
        (forget_everybody, ["kept 0 of 0", "the file lists no people"]),
    ],
)
def test_damaged_annotations_name_the_file_and_the_entry(project, annotations, damage, texts):
    tree = annotations()
    damage(tree)
    project.annotate(tree)
    text = project.train_fails()
    assert "data/train.json" in text
    assert all(t in text for t in texts), text


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("", ["is empty", "expected JSON"]),
        (None, ["is not valid JSON", "line 1, column", "the file seems cut short: fetch it again"]),
        ("[]", ["holds a list, expected an object with `images` and `annotations`"]),
    ],
)
def test_a_file_that_is_no_annotation_file_says_so(project, annotations, content, texts):
    project.annotate(json.dumps(annotations())[:700] if content is None else content)
    text = project.train_fails()
    assert "data/train.json" in text
    assert f"cfg.py, line {project.line('CocoDataset')}" in text
    assert all(t in text for t in texts), text


def test_a_missing_annotation_file_names_the_setting(project):
    (project.folder / "data" / "train.json").unlink()
    text = project.train_fails()
    assert "train_dataloader: CocoDataset: `ann_file` does not exist: data/train.json" in text
    assert "--set train_dataloader.dataset.data_root=FOLDER" in text


def test_boxes_of_no_size_are_left_out_and_counted(project, annotations):
    tree = annotations()
    tree["annotations"][0]["bbox"] = [2, 2, 0, 0]
    project.annotate(tree)
    status, text = project.train("--no-validate")
    assert status == 0
    assert "data/train.json: kept 3 of 4: 1 zero-size box" in text


def test_an_unreadable_picture_is_named_and_training_goes_on(project):
    (project.folder / "data" / "images" / "2.png").write_bytes(b"junk")
    status, text = project.train("--no-validate")
    assert status == 0
    assert text.count("image data/images/2.png cannot be decoded; it is skipped") == 1


def test_an_unreadable_picture_of_a_test_stops_it_and_says_why(project, save):
    (project.folder / "data" / "images" / "2.png").write_bytes(b"junk")
    text = project.fails("test", "cfg.py", save())
    assert "picture 'data/images/2.png' cannot be read" in text
    assert "take it out of data/train.json" in text


@pytest.mark.parametrize("workers", [0, 1])
def test_missing_pictures_end_in_one_text(project, workers):
    project.config(("num_workers=0", f"num_workers={workers}"))
    shutil.rmtree(project.folder / "data" / "images")
    text = project.train_fails("--no-validate")
    assert text.startswith("CocoDataset: no usable sample")
    assert "which does not exist: see `data_root`, `data_prefix`" in text


def test_many_unreadable_pictures_stop_at_the_limit(project, monkeypatch):
    from poise.datasets import CocoDataset

    monkeypatch.setattr(CocoDataset, "max_unreadable", 1)
    for i in (1, 2, 3, 4):
        (project.folder / "data" / "images" / f"{i}.png").write_bytes(b"junk")
    text = project.train_fails("--no-validate")
    assert "2 images are unreadable, more than the limit of 1 (`max_unreadable`)" in text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[]", "kept 0 of 0; the file lists no people (or detections)"),
        (None, "test_dataloader: CocoDataset: `bbox_file` does not exist: data/boxes.json"),
    ],
)
def test_detections_that_are_not_there_are_said(project, save, content, text):
    project.config(("test_mode=True", "bbox_file='data/boxes.json', test_mode=True"))
    if content is not None:
        (project.folder / "data" / "boxes.json").write_text(content)
    assert text in project.fails("test", "cfg.py", save())


def test_a_metric_of_another_file_names_the_images(project, annotations, save):
    tree = annotations()
    for row in tree["images"]:
        row["id"] += 100
    for row in tree["annotations"]:
        row["image_id"] += 100
    (project.folder / "other.json").write_text(json.dumps(tree))
    project.config(("ann_file=data_root + 'train.json'", "ann_file='other.json'"))
    text = project.fails("test", "cfg.py", save())
    assert "4 images with predictions are not in the annotations, such as [1, 2, 3]" in text
