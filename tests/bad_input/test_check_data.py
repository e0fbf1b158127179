"""`poise check` on a data set with faults: every kind is counted and named, with ids."""

from __future__ import annotations

import json
import sys

import pytest

from poise.registry import DATASETS
from poise.structures.metainfo import parse_pose_metainfo

METAINFO = {"from_file": "configs/_base_/datasets/coco.py"}


def check(project, *options):
    return project.poise("check", "cfg.py", "--part", "train", *options)


def test_good_data_are_part_of_what_fits(project):
    status, text = check(project)
    assert status == 0, text
    assert "config and data fit together: 0 errors, 0 warnings, 0 notes" in text


def test_a_validation_on_what_was_trained_is_a_warning(project):
    status, text = project.poise("check", "cfg.py")
    assert status == 0, text
    assert "4 of the 4 pictures of data/train.json are trained on, too" in text
    assert "1 warning" in text


def test_missing_annotations_are_an_error_with_the_setting_to_change(project):
    (project.folder / "data" / "train.json").unlink()
    status, text = check(project)
    assert status == 1
    assert "there is no annotation file data/train.json" in text
    assert "--set train_dataloader.dataset.data_root=FOLDER" in text
    assert "1 error" in text


def test_data_of_a_released_model_need_not_be_there(project):
    status, text = project.poise("check", "rtmpose-t_8xb256-420e_coco-256x192", "--part", "val")
    assert status == 0, text
    assert "the data of this config are not on this machine" in text


def test_a_released_model_is_checked_with_own_data(project, annotations):
    content = annotations(5)
    names = ["nose", "left_ear", "right_ear", "tail", "back"]
    content["categories"] = [{"id": 1, "name": "mouse", "keypoints": names, "skeleton": []}]
    project.annotate(content)
    model = "rtmpose-t_8xb256-420e_coco-256x192"
    status, text = project.poise("check", model, "--data-root", "data")
    assert status == 0, text
    assert "head: 5 keypoints instead of 17" in text
    assert "config and data fit together" in text
    del content["images"]
    (project.folder / "other.json").write_text(json.dumps(content))
    status, text = project.poise("check", model, "--train-ann", "other.json")
    assert status == 1
    assert "no COCO-style annotation file: it has no images" in text


def test_other_keypoints_than_the_configs_are_one_clear_error(project, annotations):
    project.annotate(annotations(22))
    status, text = check(project)
    assert status == 1
    assert "the config says 17 keypoints (metainfo of coco), annotations have 22 (id 1, 2" in text
    assert "metainfo=dict(from_file=FILE) that describes these 22 keypoints" in text
    assert "1 error" in text


class Spoils:
    """Changes of the annotations."""

    def no_boxes(c):
        for a in c["annotations"][:2]:
            del a["bbox"]

    def no_box_at_all(c):
        for a in c["annotations"]:
            del a["bbox"]

    def unlabelled(c):
        for a in c["annotations"]:
            a["keypoints"][2::3] = [0] * 17

    def twice(c):
        c["annotations"][1]["id"] = 1

    def nan(c):
        c["annotations"][2]["keypoints"][0] = float("nan")

    def normalised(c):
        for a in c["annotations"]:
            a["keypoints"] = [v / 64 if i % 3 < 2 else v for i, v in enumerate(a["keypoints"])]

    def outside(c):
        c["annotations"][3]["keypoints"][0] = 640

    def pictures(c):
        c["images"][0]["file_name"] = "gone.png"

    def unlisted(c):
        c["annotations"][0]["image_id"] = 99

    def counts(c):
        for a in c["annotations"][:3]:
            a["num_keypoints"] = 0

    def category(c):
        c["annotations"][2]["category_id"] = 7

    def no_category(c):
        for a in c["annotations"]:
            a["category_id"] = 0

    def texts(c):
        for a in c["annotations"]:
            a["image_id"] = str(a["image_id"])

    def corners(c):
        for a in c["annotations"]:
            x, y, width, height = a["bbox"]
            a["bbox"] = [x + 20, y + 20, x + width, y + height]

    def small_boxes(c):
        for a in c["annotations"]:
            a["bbox"] = [v / 64 for v in a["bbox"]]

    def half_a_box(c):
        c["annotations"][1]["bbox"] = [1, 2]

    def exchanged(c):
        for a in c["annotations"]:
            a["bbox"] = [1, 40, 60, 20]
            a["keypoints"] = [50, 20, 2] * 17

    def one_astray(c):
        c["annotations"][1]["bbox"] = [1, 1, 5, 5]

    def flags(c):
        c["annotations"][0]["keypoints"][2] = 3

    def pairs(c):
        for a in c["annotations"]:
            a["keypoints"] = [1, 2] * 17

    def order(c):
        names = list(parse_pose_metainfo(METAINFO)["keypoint_name2id"])
        names[:2] = names[1::-1]
        c["categories"][0]["keypoints"] = names


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ("no_boxes", 0, "warning: .* 2 of 4 annotations have no `bbox` (id 1, 2)"),
        ("no_box_at_all", 1, "4 of 4 annotations have no `bbox`"),
        ("unlabelled", 1, "every keypoint has the visibility 0"),
        ("twice", 1, "1 annotation ids occur more than once (1)"),
        ("nan", 1, "NaN, null or infinity in the keypoints of 1 annotation (id 3)"),
        ("normalised", 1, "all keypoints lie between 0 and 1: COCO's keypoints are in pixels"),
        ("outside", 0, "labelled keypoints outside of their picture in 25.0%, 1 annotation (id 4)"),
        ("pictures", 1, "1 of 4 pictures are not there, such as data/images/gone.png"),
        ("counts", 0, "num_keypoints=0, but labelled keypoints, in 3 annotations (id 1, 2, 3)"),
        ("category", 0, "1 annotation that is of a category not listed (id 3)"),
        ("no_category", 1, "4 annotations that are of a category not listed (id 1, 2, 3, 4)"),
        ("texts", 1, "write ids of pictures and image_id alike, both as numbers or both as texts"),
        ("corners", 1, "`bbox` seems to be left, top, right, bottom: as x, y, width, height 100%"),
        ("small_boxes", 1, "all boxes lie between 0 and 1: COCO's boxes are in pixels"),
        ("half_a_box", 1, "1 annotation whose `bbox` is not four numbers (id 2)"),
        ("exchanged", 1, "x and y of the keypoints seem to be exchanged: 0% of them lie in their"),
        ("one_astray", 0, "1 person whose keypoints lie far outside of their box: 2"),
        ("flags", 0, "visibilities other than 0, 1 and 2 in 1 annotation (id 1)"),
        ("pairs", 1, "`poise data convert FILE -o NEW.json` makes triples of pairs"),
        ("order", 1, "number 0 is left_eye in the file and nose in the metainfo"),
        ("unlisted", 0, "1 annotation that is of a picture not listed (id 1)"),
    ],
)
def test_a_fault_of_the_annotations_is_counted(project, annotations, change, status, said):
    content = annotations()
    getattr(Spoils, change)(content)
    project.annotate(content)
    came, text = check(project)
    assert came == status, text
    assert said.rpartition(".* ")[2] in text


def test_all_faults_of_a_file_are_found_at_once(project, annotations):
    content = annotations(14)
    for change in ("no_boxes", "twice", "pictures"):
        getattr(Spoils, change)(content)
    project.annotate(content)
    status, text = check(project)
    assert status == 1
    assert "annotations have 14" in text
    assert "have no `bbox`" in text
    assert "occur more than once" in text
    assert "gone.png" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ('{"images": [', "is not valid JSON"),
        ("[1, 2]", "is no annotation file of COCO's form"),
        (json.dumps({"images": [], "annotations": []}), "it lists no pictures"),
        (
            json.dumps({"images": [{"id": 1, "file_name": "1.png"}], "annotations": []}),
            "it has no annotations",
        ),
    ],
)
def test_a_file_of_something_else_is_told_apart(project, content, said):
    project.annotate(content)
    status, text = check(project)
    assert status == 1
    assert said in text


def test_pictures_elsewhere_are_one_error_with_the_setting(project):
    project.config(
        (
            "data_prefix=dict(img='images/'), pipeline=train_pipeline",
            "data_prefix=dict(img='imgs/'), pipeline=train_pipeline",
        )
    )
    status, text = check(project)
    assert status == 1
    assert "4 of 4 pictures are not there" in text
    assert f"data_prefix=dict(img='{project.folder}/data/images/'), where they are" in text
    for picture in (project.folder / "data/images").iterdir():
        picture.unlink()
    assert "data_prefix=dict(img=FOLDER)" in check(project)[1]


def test_annotations_elsewhere_are_one_error_with_the_setting(project):
    file = project.folder / "data/train.json"
    (project.folder / "data/labels").mkdir()
    file.rename(project.folder / "data/labels/train.json")
    status, text = check(project)
    assert status == 1
    assert "--set train_dataloader.dataset.ann_file=labels/train.json" in text


def test_a_metric_of_another_file_is_named(project):
    (project.folder / "data" / "other.json").write_text(
        (project.folder / "data" / "train.json").read_text()
    )
    project.config(("ann_file=data_root + 'train.json'", "ann_file=data_root + 'other.json'"))
    _, text = project.poise("check", "cfg.py", "--part", "val")
    assert "CocoMetric judges by another file than the data are of" in text
    assert "expected data/train.json, found data/other.json" in text


OWN_CLASS = """
from pathlib import Path
import numpy as np
from poise.datasets.base import BaseCocoStyleDataset
from poise.registry import DATASETS

@DATASETS.register_module()
class ListDataset(BaseCocoStyleDataset):
    METAINFO = dict(from_file="configs/_base_/datasets/coco.py")

    def _load_annotations(self):
        people, pictures = [], []
        for i, line in enumerate(Path(self.ann_file).read_text().splitlines()):
            name, *numbers = line.split()
            points = np.array(numbers, np.float32).reshape(1, -1, 2)
            people.append(dict(
                img_id=i, img_path=f"data/images/{name}", id=i, keypoints=points,
                bbox=np.array([[2, 2, 60, 60]], np.float32), bbox_score=np.ones(1, np.float32),
                keypoints_visible=np.ones(points.shape[:2], np.float32), num_keypoints=17))
            pictures.append(dict(img_id=i, img_path=f"data/images/{name}"))
        return people, pictures
"""


@pytest.mark.parametrize("points", [17, 14])
def test_a_class_that_reads_its_own_format_is_tried_with_the_real_data(
    project, points, monkeypatch
):
    # what is registered ends with the test, and the next one imports the module anew
    monkeypatch.setattr(DATASETS, "_added", dict(DATASETS._added))
    monkeypatch.delitem(sys.modules, "list_dataset", raising=False)
    (project.folder / "list_dataset.py").write_text(OWN_CLASS)
    numbers = " ".join(["20 30"] * points)
    rows = "".join(f"{i}.png {numbers}\n" for i in range(1, 5))
    (project.folder / "data" / "list.json").write_text(rows)
    train = "type='CocoDataset', data_root=data_root, data_mode='topdown', ann_file='train.json',\n"
    train += "        data_prefix=dict(img='images/'), pipeline=train_pipeline"
    own = train.replace("CocoDataset", "ListDataset").replace("train.json", "list.json")
    imports = "custom_imports = dict(imports=['list_dataset'])\ntrain_cfg ="
    project.config((train, own), ("train_cfg =", imports))
    status, text = check(project)
    assert "ListDataset reads a format of its own, so no data are made up" in text
    assert (status == 0) == (points == 17), text
    if points == 14:
        assert "HeatmapHead(out_channels=17) predicts 17 channels" in text
        assert "-> model.head: out_channels=14" in text
