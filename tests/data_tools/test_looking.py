"""Opening, drawing, counting and checking data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import (
    check_data,
    data_statistics,
    draw_sheets,
    open_dataset,
    record_picture,
    reports_of,
)
from poise.data_tools.schema_pictures import draw_schema, figure_positions
from poise.errors import ConfigError, DataError, FileMissingError, UnknownNameError

run = CliRunner().invoke
GREEN, ORANGE = (0, 255, 0), (0, 128, 255)


def test_a_file_of_ones_own_opens_with_its_own_keypoints(own: Any) -> None:
    dataset = open_dataset(own())
    assert len(dataset) == 4
    assert dataset.metainfo["flip_indices"] == [0, 2, 1]
    assert Path(dataset.get_data_info(0)["img_path"]).is_file()


def test_a_mode_a_class_and_arguments_may_be_given(own: Any) -> None:
    assert len(open_dataset(own(), mode="bottomup")) == 2
    assert len(open_dataset(own(), settings={"indices": 3})) == 3
    with pytest.raises(DataError, match="17 keypoints"):
        open_dataset(own(), schema="coco")


def test_mixtures_of_configs_open_with_their_converters(own: Any, tmp_path: Path) -> None:
    meta = repr({"from_file": "configs/_base_/datasets/deepfashion_lower.py"})
    one = (
        f"dict(type='CocoDataset', ann_file={str(own())!r}, metainfo=small, pipeline=[dict("
        "type='KeypointConverter', num_keypoints=4, mapping=[(0, 2)])])"
    )
    schema = (
        "dict(dataset_name='imp', joint_weights=[1, 1, 1], sigmas=[], skeleton_info={}, "
        "keypoint_info={0: dict(name='a', id=0), 1: dict(name='b', id=1), 2: dict(name='c', id=2)})"
    )
    (tmp_path / "mix.py").write_text(
        f"small = {schema}\none = {one}\n"
        f"mix = dict(type='CombinedDataset', metainfo={meta}, datasets=[one, one], "
        "pipeline=[dict(type='LoadImage')])\n"
        "train_dataloader = dict(dataset=mix)\n"
        "val_dataloader = dict(dataset=dict(type='RepeatDataset', dataset=one, times=3))\n"
        "test_dataloader = dict(dataset=[one, one])\n"
    )
    for part, count, files in (("train", 8, 2), ("val", 4, 1), ("test", 8, 2)):
        dataset = open_dataset(tmp_path / "mix.py", part=part)
        assert (len(dataset), len(reports_of(dataset))) == (count, files)
    mixed = open_dataset(tmp_path / "mix.py")
    assert mixed[0]["keypoints"].shape == (1, 4, 2)
    assert data_statistics(mixed)["people"] == 8


def test_sources_that_are_none_are_said(own: Any, tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match="no annotation file"):
        open_dataset(tmp_path / "none.json")
    (tmp_path / "own" / "annotations").mkdir(parents=True)
    (tmp_path / "own" / "annotations" / "train.json").write_text("{}")
    with pytest.raises(FileMissingError, match=r"is a folder.*annotations/train\.json"):
        open_dataset(tmp_path / "own")
    with pytest.raises(FileMissingError, match="neither an annotation file nor a config"):
        open_dataset(tmp_path / "none.py")
    with pytest.raises(UnknownNameError, match="no data set class 'CocoDatset'.*CocoDataset"):
        open_dataset(own(), kind="CocoDatset")
    (tmp_path / "boxes.json").write_text('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]')
    with pytest.raises(DataError, match="is a list"):
        open_dataset(tmp_path / "boxes.json")
    (tmp_path / "half.py").write_text("train_dataloader = dict(dataset=dict(type='CocoDataset'))")
    with pytest.raises(ConfigError, match="no val_dataloader; it has data for train"):
        open_dataset(tmp_path / "half.py", part="val")


def test_keypoints_are_drawn_where_they_are(own: Any) -> None:
    dataset = open_dataset(own())
    record = dataset.get_data_info(0)
    picture, text = record_picture(record, dataset.metainfo, size=(160, 100), whole=True)
    assert picture.shape == (100, 160, 3)
    assert picture[60, 20].tolist() == list(GREEN)
    # not labelled
    assert picture[60, 40].tolist() == [60, 60, 60]
    assert text == "id 1  1.png"


def test_a_lost_picture_is_grey_and_said(
    own: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_dataset(own())
    (tmp_path / "images/1.png").unlink()
    picture, text = record_picture(dataset.get_data_info(0), dataset.metainfo)
    assert text.endswith("(picture not found)")
    assert (picture == np.array(GREEN)).all(axis=2).any()
    draw_sheets(dataset, tmp_path / "s.png", num=4, size=48)
    assert "pictures are not where the labels say" in caplog.text


def test_poses_in_space_get_stick_figures(own: Any) -> None:
    record = {
        "keypoints": np.ones((1, 3, 2)) * 5,
        "keypoints_visible": np.ones((1, 3)),
        "lifting_target": np.array([[[0, 0, 0], [1, 1, 1], [2, 0, 1.0]]]),
    }
    meta = open_dataset(own()).metainfo
    picture, _ = record_picture(record, meta, size=(90, 90))
    assert picture.shape[1] == 270
    assert picture[:, 90:180].max() == picture[:, 180:].max() == 255


def test_sheets_go_on_in_more_files(own: Any, tmp_path: Path) -> None:
    dataset = open_dataset(own(), settings={"indices": [0, 1, 2, 3] * 5})
    files = draw_sheets(dataset, tmp_path / "deep/s.png", num=20, size=48)
    assert [f.name for f in files] == ["s.png", "s_2.png"]
    assert cv2.imread(str(files[0])).shape[0] > 4 * 48
    with pytest.raises(
        DataError, match=r"cannot be written as '.*'; expected pixels, and .png or another"
    ):
        draw_sheets(dataset, tmp_path / "s.txt", num=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        draw_sheets(dataset, tmp_path / "file/s.png", num=1)


def test_sheets_need_a_name_of_a_picture(own: Any, tmp_path: Path) -> None:
    dataset = open_dataset(own())
    with pytest.raises(DataError, match=r"expected a picture file, such as .*drawn\.jpg"):
        draw_sheets(dataset, tmp_path / "drawn")
    with pytest.raises(DataError, match=r"expected a picture file, such as .*sheet\.jpg"):
        draw_sheets(dataset, tmp_path)
    assert not (tmp_path / "drawn").exists()


def test_the_choice_depends_on_the_seed_alone(own: Any, tmp_path: Path) -> None:
    dataset = open_dataset(own())
    one, two, three = (
        draw_sheets(dataset, tmp_path / f"{i}.png", num=2, seed=seed, size=64)[0].read_bytes()
        for i, seed in enumerate((3, 3, 4))
    )
    assert one == two
    assert one != three


def test_statistics_count_people_and_labels(own: Any) -> None:
    found = data_statistics(open_dataset(own(person4={"iscrowd": 1})))
    assert (found["people"], found["images"]) == (3, 2)
    assert found["people_per_image"] == {1: 1, 2: 1}
    assert found["keypoints"]["right_hand"] == {"labelled": 0, "share": 0.0}
    assert found["keypoints"]["nose"]["share"] == 1
    assert found["box_size"]["median"] == pytest.approx(np.sqrt(1500), abs=0.01)
    assert found["sizes"] == {"small": 0, "medium": 3, "large": 0}
    assert found["dropped"] == {"crowd": 1}


def test_a_clean_set_has_no_faults(own: Any) -> None:
    findings = check_data(open_dataset(own()), open_pictures=True)
    assert [f.about for f in findings] == ["keypoints that are labelled nowhere"]
    assert not findings[0].fault


def test_faults_are_found_with_their_ids(own: Any, tmp_path: Path) -> None:
    same = [30, 30, 2, 20, 60, 2, 40, 60, 0]
    file = own(
        person1={"keypoints": [500, 30, 2, 20, 60, 2, 40, 60, 2]},
        person2={"keypoints": [90, 40, 2, 90, 40, 2, 90, 40, 2]},
        person3={"keypoints": same},
        person4={"keypoints": same, "bbox": [15, 20, 30, 50]},
    )
    (tmp_path / "images/2.png").unlink()
    found = {f.about: f.ids for f in check_data(open_dataset(file), open_pictures=True)}
    assert found["people whose keypoints lie far outside of their box"] == [1]
    assert found["people with labelled keypoints outside of the picture"] == [1]
    assert found["people whose keypoints all lie at one place"] == [2]
    assert found["people with the very same keypoints in one picture"] == [3, 4]
    assert len(found["pictures not found"]) == 1
    (tmp_path / "images/2.png").write_bytes(b"no picture")
    found = {f.about: f.ids for f in check_data(open_dataset(file), open_pictures=True)}
    assert len(found["pictures that cannot be read"]) == 1


@pytest.mark.parametrize("name", ["coco", "h36m", "coco_wholebody", "lapa", "rhd2d", "fly", "aflw"])
def test_every_kind_of_schema_has_a_figure(name: str) -> None:
    places = figure_positions(name)
    assert np.isfinite(places).all()
    assert np.ptp(places, axis=0).min() > 0
    assert draw_schema(name, size=200).shape == (200, 200, 3)


def test_left_is_on_the_viewers_right() -> None:
    places = figure_positions("coco")
    assert places[5, 0] > places[6, 0]
    assert places[0, 1] < places[11, 1] < places[15, 1]


def test_commands_say_what_they_found(own: Any, tmp_path: Path) -> None:
    file = str(own(person4={"iscrowd": 1}))
    drawn = run(app, ["draw", file, "--out", str(tmp_path / "s.jpg"), "--size", "64"])
    assert "kept 3 of 4: 1 crowd" in drawn.output
    assert (tmp_path / "s.jpg").stat().st_size > 1000
    assert "3 people in 2 pictures" in run(app, ["stats", file]).output
    assert json.loads(run(app, ["stats", file, "--json"]).stdout)["kept"] == 3
    done = run(app, ["check", file])
    assert done.exit_code == 0
    assert "note: 1 annotation crowd: 4" in done.output
    bad = str(own(person1={"keypoints": [500, 30, 2, 20, 60, 2, 40, 60, 2]}))
    done = run(app, ["check", bad, "--json"])
    assert done.exit_code == 1
    assert [f["ids"] for f in json.loads(done.stdout) if f["fault"]] == [[1]]


def test_schemas_and_mappings_are_listed(tmp_path: Path) -> None:
    assert "coco_wholebody " in run(app, ["schemas"]).output
    assert {"name": "coco", "keypoints": 17, "links": 19, "pairs": 8, "sigmas": True} in json.loads(
        run(app, ["schemas", "--json"]).output
    )
    shown = run(app, ["schema", "ap10k", "--out", str(tmp_path / "a.png")]).output
    assert "17 links: L_Eye - R_Eye" in shown
    assert "known fault, kept: links 7 to 16" in shown
    assert (tmp_path / "a.png").is_file()
    assert "no links" in run(app, ["schema", "300w"]).output
    assert (
        "coco->h36m: 12 measured, 5 derived, 0 missing"
        in run(app, ["mappings", "coco->h36m"]).output
    )
    assert json.loads(run(app, ["mappings", "coco", "aic", "--json"]).stdout)["name"] == "coco->aic"
    listed = run(app, ["mappings"]).output
    assert "aic->coco" in listed


def test_arrays_tell_the_data_set(tmp_path):
    np.savez(tmp_path / "other.npz", pose=np.zeros(3), shape=np.zeros(2))
    with pytest.raises(DataError, match="has no array 'imgname' .it has: pose, shape"):
        open_dataset(tmp_path / "other.npz")
    np.savez(tmp_path / "h3wb.npz", train_data=np.zeros(1))
    with pytest.raises(DataError, match="H36MWholeBodyDataset: .* has no metadata, bbox"):
        open_dataset(tmp_path / "h3wb.npz")
    (tmp_path / "broken.npz").write_text("no zip")
    with pytest.raises(DataError, match="is not a readable .npz file"):
        open_dataset(tmp_path / "broken.npz")
