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


def damaged(kind, change):
    def damage(tree):
        tree[kind][1] = change(tree[kind][1])

    return damage


def without(key):
    return lambda row: {k: v for k, v in row.items() if k != key}


ENTRIES = {
    "a list": (damaged("annotations", lambda row: [1]), "entry 1 of `annotations` is a list"),
    "null": (damaged("images", lambda row: None), "entry 1 of `images` is a NoneType"),
    "no file": (damaged("images", without("file_name")), "entry 1 of `images` has no `file_name`"),
    "no image": (
        damaged("annotations", without("image_id")),
        "entry 1 of `annotations` has no `image_id`",
    ),
}


@pytest.mark.parametrize("command", [("stats",), ("convert", "--out", "yolo/data.yaml")])
@pytest.mark.parametrize(("damage", "text"), ENTRIES.values(), ids=ENTRIES)
def test_an_entry_that_is_none_is_named_by_each_command(
    project, annotations, command, damage, text
):
    tree = annotations()
    damage(tree)
    project.annotate(tree)
    assert text in project.fails("data", command[0], "data/train.json", *command[1:])


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("bbox", "abc", "annotation 2: bbox needs 4 finite numbers, got 'abc'"),
        ("bbox", [1, 2, 3], "annotation 2: bbox needs 4 finite numbers, got [1, 2, 3]"),
        ("keypoints", [float("nan")] * 51, "annotation 2: keypoints needs triples of finite"),
    ],
)
def test_conversion_refuses_what_is_no_number(project, annotations, key, value, text):
    tree = annotations()
    tree["annotations"][1][key] = value
    project.annotate(tree)
    assert text in project.fails("data", "convert", "data/train.json", "--out", "out.jsonl")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (
            ("draw", "--part", "foo"),
            "a part of a config must be one of 'train', 'val', 'test', got 'foo'",
        ),
        (("draw", "--images", "none"), "there is no folder of pictures none"),
        (("draw", "--schema", "coc"), "there is no keypoint schema 'coc'; `poise data schemas`"),
        (("split", "--out", "o", "--group-by", "("), "--group-by '(' is neither a field nor a"),
        (("split", "--out", "o", "--share", "train=nan"), "shares are above 0"),
    ],
)
def test_wrong_options_of_data_commands_are_named(project, args, text):
    assert text in project.fails("data", args[0], "data/train.json", *args[1:])


def test_conversion_to_yolo_says_where_the_pictures_belong(project):
    status, said = project.poise("data", "convert", "data/train.json", "--out", "y", "--to", "yolo")
    assert status == 0
    assert "the pictures belong into y/images" in said
