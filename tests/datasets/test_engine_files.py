"""`BaseDataset` reads files of facts and records, MMEngine's own format."""

import json

import pytest

from poise.datasets import BaseDataset
from poise.errors import ArgumentError, DataError


class Kinds(BaseDataset):
    METAINFO = {"classes": ("cat",), "task": "kinds"}


@pytest.fixture
def write(tmp_path):
    def file(**content):
        content = {"metainfo": {}, "data_list": [{"img_path": "1.jpg", "label": 3}]} | content
        (tmp_path / "facts.json").write_text(json.dumps(content))
        return {"ann_file": "facts.json", "data_root": str(tmp_path)}

    return file


@pytest.mark.parametrize("serialize", [False, True])
def test_records_get_their_folders(write, tmp_path, serialize):
    dataset = Kinds(**write(), data_prefix={"img_path": "pics"}, serialize_data=serialize)
    path = str(tmp_path / "pics" / "1.jpg")
    assert [dict(dataset.get_data_info(i)) for i in (0, -1)] == [
        {"img_path": path, "label": 3, "sample_idx": 0}
    ] * 2
    with pytest.raises(DataError, match="`data_prefix` has `seg`, but an entry.*img_path, label"):
        Kinds(**write(), data_prefix={"seg": "masks"})


def test_facts_of_the_file_come_after_those_of_class_and_argument(write, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("paw\ntail\n")
    own = {"keypoints": str(names), "task": "mine"}
    file = write(metainfo={"task": "theirs", "classes": ["dog"], "year": 2026})
    assert Kinds(**file, metainfo=own).metainfo == {
        "classes": ("cat",), "task": "mine", "keypoints": ["paw", "tail"], "year": 2026
    }  # fmt: skip
    assert Kinds.METAINFO == {"classes": ("cat",), "task": "kinds"}
    with pytest.raises(ArgumentError, match="`metainfo` must be a dict, got str"):
        Kinds(**file, metainfo="names.txt")


def test_an_entry_may_become_several_records(write, monkeypatch):
    made = [[{"n": 1}, {"n": 2}], {"n": 3}]
    monkeypatch.setattr(Kinds, "parse_data_info", lambda self, raw: made[raw["label"]])
    file = write(data_list=[{"label": 0}, {"label": 1}])
    assert [record["n"] for record in Kinds(**file).data_list] == [1, 2, 3]
    for bad, kind in ((None, "NoneType"), ([{"n": 1}, 5], "int"), ("x", "str")):
        made[1] = bad
        with pytest.raises(ArgumentError, match=f"must return a dict.* returned {kind}"):
            Kinds(**file)


@pytest.mark.parametrize(
    ("content", "found"),
    [({"images": []}, "images"), ([1], "list"), ({"metainfo": {}}, "metainfo")],
)
def test_another_format_is_told(tmp_path, content, found):
    (tmp_path / "facts.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"`metainfo` and `data_list`, found: {found}; other"):
        Kinds(ann_file="facts.json", data_root=str(tmp_path))


def test_a_long_text_is_no_file(write):
    facts = Kinds(**write(data_list=[]), metainfo={"note": "x" * 500}, lazy_init=True)
    assert facts.metainfo["note"] == "x" * 500
