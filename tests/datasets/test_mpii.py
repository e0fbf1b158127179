"""MPII: centre and scale, head boxes, coordinates from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from poise.datasets import MpiiDataset, MpiiTrbDataset
from poise.errors import DataError, FileMissingError


@pytest.fixture
def people(tmp_path: Path) -> str:
    """Annotation file of two people in one picture and one in another."""
    rows = [
        {
            "image": f"{image}.jpg",
            "center": center,
            "scale": 0.5,
            "joints": [[10, 20], [30, 40], [50, 60]],
            "joints_vis": [1, 0, 1],
        }
        for image, center in (("005", [100, 200]), ("005", [-1, -1]), ("123", [50, 60]))
    ]
    (tmp_path / "mpii.json").write_text(json.dumps(rows))
    return str(tmp_path / "mpii.json")


def test_the_centre_moves_down_and_counts_from_zero(people: str, schema: Any) -> None:
    info = MpiiDataset(people, metainfo=schema(), data_prefix={"img": "pics"}).get_data_info(0)
    # 15 pixels for a scale of 1, here half of it; then one less for both
    assert info["bbox_center"].tolist() == [[99, 206.5]]
    assert info["bbox_scale"].tolist() == [[100, 100]]
    assert info["bbox"].tolist() == [[49, 156.5, 149, 256.5]]
    assert info["img_path"] == "pics/005.jpg"
    assert info["img_id"] == 5
    assert info["keypoints"].tolist() == [[[10, 20], [30, 40], [50, 60]]]
    assert info["keypoints_visible"].tolist() == [[1, 0, 1]]
    assert info["category_id"] == [1]
    assert info["area"].tolist() == [np.float32(100 * 100 * np.float32(0.53))]


def test_a_missing_centre_is_not_moved_down(people: str, schema: Any) -> None:
    info = MpiiDataset(people, metainfo=schema()).get_data_info(1)
    assert info["bbox_center"].tolist() == [[-2, -2]]


def test_bottom_up_mode_joins_the_people_of_a_picture(people: str, schema: Any) -> None:
    dataset = MpiiDataset(people, metainfo=schema(), data_mode="bottomup")
    assert [r["keypoints"].shape for r in dataset.data_list] == [(2, 3, 2), (1, 3, 2)]


@pytest.fixture
def heads(tmp_path: Path) -> str:
    """Head boxes with diagonals of 5, 10 and 13 pixels."""
    corners = np.zeros((2, 2, 3))
    corners[1] = [[3, 6, 5], [4, 8, 12]]
    savemat(tmp_path / "heads.mat", {"headboxes_src": corners})
    return str(tmp_path / "heads.mat")


def test_the_head_size_is_a_share_of_the_diagonal(people: str, heads: str, schema: Any) -> None:
    dataset = MpiiDataset(people, headbox_file=heads, test_mode=True, metainfo=schema())
    sizes = [r["head_size"] for r in dataset.data_list]
    assert sizes[0].shape == (1, 1)
    np.testing.assert_allclose(np.ravel(sizes), [3, 6, 7.8])


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"data_mode": "bottomup", "test_mode": True}, ValueError, "supported in topdown mode"),
        ({"test_mode": False}, ValueError, "supported when test_mode=True"),
        ({}, ValueError, "supported when test_mode=True"),
        (
            {"headbox_file": "heads.json", "test_mode": True},
            KeyError,
            "The head boxes file type son is not supported. Should be `mat`",
        ),
    ],
)
def test_head_boxes_are_for_top_down_tests(
    people: str, heads: str, schema: Any, arguments: dict[str, Any], kind: type, text: str
) -> None:
    settings = {"headbox_file": heads, "metainfo": schema(), **arguments}
    with pytest.raises(kind, match=text):
        MpiiDataset(people, **settings)


def test_missing_head_boxes_are_named(people: str, schema: Any) -> None:
    with pytest.raises(FileMissingError, match="`headbox_file` does not exist: none.mat"):
        MpiiDataset(people, headbox_file="none.mat", test_mode=True, metainfo=schema())


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.write_bytes(b"junk"), "cannot be read as a file of Matlab"),
        (lambda path: savemat(path, {"x": 1}), "has no `headboxes_src`"),
    ],
)
def test_broken_head_boxes_are_named(
    people: str, tmp_path: Path, schema: Any, spoil: Any, text: str
) -> None:
    spoil(tmp_path / "other.mat")
    with pytest.raises(DataError, match=rf"other\.mat {text}"):
        MpiiDataset(
            people, headbox_file=str(tmp_path / "other.mat"), test_mode=True, metainfo=schema()
        )


def test_head_boxes_of_another_split_are_refused(people: str, tmp_path: Path, schema: Any) -> None:
    savemat(tmp_path / "other.mat", {"headboxes_src": np.zeros((2, 2, 9))})
    other = str(tmp_path / "other.mat")
    with pytest.raises(DataError, match=r"has 9 head boxes, .*mpii\.json has 3 people"):
        MpiiDataset(people, headbox_file=other, test_mode=True, metainfo=schema())


def test_another_number_of_joints_is_refused(people: str, schema: Any) -> None:
    with pytest.raises(DataError, match="person 0 has 3 joints, expected 16"):
        MpiiDataset(people, metainfo=schema(16))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("center", None, "person 1 has no `center`"),
        ("scale", "big", "person 1 cannot be read: .*big"),
        ("joints", [[1, 2], [3]], "person 1 cannot be read"),
        ("joints", [[np.nan, 2], [3, 4], [5, 6]], r"NaN.*1 annotation \(id 1\)"),
        ("joints_vis", [1], "person 1 has 1 numbers in `joints_vis`, expected 3"),
    ],
)
def test_a_person_that_cannot_be_read_is_named(
    people: str, schema: Any, field: str, value: Any, text: str
) -> None:
    rows = json.loads(Path(people).read_text())
    rows[1] = {k: v for k, v in {**rows[1], field: value}.items() if v is not None}
    Path(people).write_text(json.dumps(rows))
    with pytest.raises(DataError, match=text):
        MpiiDataset(people, metainfo=schema())


def test_a_file_of_another_form_is_refused(people: str, schema: Any) -> None:
    Path(people).write_text('{"images": []}')
    with pytest.raises(DataError, match=r"holds a dict, expected a list of people \(MPII's"):
        MpiiDataset(people, metainfo=schema())


@pytest.fixture
def trb(tmp_path: Path, schema: Any) -> Callable[..., MpiiTrbDataset]:
    """`trb(fields of each person, **arguments)`: a data set of people in picture 7."""

    def make(*people: dict[str, Any], **arguments: Any) -> MpiiTrbDataset:
        ann = {
            "image_id": 7,
            "center": [50, 60],
            "scale": 0.5,
            "keypoints": [1, 2, 2] * 3,
            "num_joints": 3,
            "iscrowd": 0,
            "headbox": [1, 2, 3, 4],
        }
        images = [{"id": 7, "file_name": "7.jpg"}]
        content = {"images": images, "annotations": [{**ann, **fields} for fields in people]}
        path = tmp_path / "trb.json"
        path.write_text(json.dumps(content))
        return MpiiTrbDataset(str(path), metainfo=schema(), **arguments)

    return make


def test_trb_is_sorted_by_id_and_has_head_boxes(trb: Callable[..., MpiiTrbDataset]) -> None:
    dataset = trb({"id": 5}, {"id": 2})
    assert [r["id"] for r in dataset.data_list] == [2, 5]
    assert dataset[0]["bbox"].tolist() == [[0, 10, 100, 110]]
    assert dataset[0]["headbox"].tolist() == [1, 2, 3, 4]


def test_trb_counts_people_of_no_picture_and_names_bad_ones(
    trb: Callable[..., MpiiTrbDataset],
) -> None:
    dataset = trb({"id": 1}, {"id": 2, "image_id": 9})
    assert dataset.report.dropped == {"of an image that is not listed": 1}
    with pytest.raises(DataError, match=r"1 annotation ids occur more than once \(1\)"):
        trb({"id": 1}, {"id": 1})
    dataset = trb({"id": 1}, {"id": 1}, filter_cfg={"on_bad": "skip"})
    assert dataset.report.dropped == {"with a duplicated id": 1}
    with pytest.raises(DataError, match="annotation 1 has 2 keypoints, expected 3"):
        trb({"id": 1, "keypoints": [1, 2, 2] * 2})
    with pytest.raises(DataError, match=r"annotation 1 cannot be read: .*x"):
        trb({"id": 1, "center": "x"})
    with pytest.raises(DataError, match=r"NaN.*\(id 1\)"):
        trb({"id": 1, "keypoints": [np.nan, 2, 2] * 3})
