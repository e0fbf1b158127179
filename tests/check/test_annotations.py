"""Faults of an annotation file, told without a schema, too."""

import json

import pytest

from poise.check.annotations import AnnotationFile
from poise.check.keypoints import describe_keypoints
from poise.datasets.instances import InstanceRule
from poise.errors import DataError


def test_different_numbers_of_keypoints_are_told_without_a_schema(tmp_path):
    people = [
        {"id": n, "image_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 2, 2] * count}
        for n, count in enumerate((3, 3, 2), 1)
    ]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"images": [{"id": 1}], "annotations": people}))
    texts = [fault.text for fault in AnnotationFile(str(file), InstanceRule(), None, "").faults()]
    (told,) = [text for text in texts if "keypoints" in text]
    assert told.startswith("2 keypoints in 1 annotation (id 3), 3 in the others")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (("images",), 5, "`images`"),
        (("annotations",), True, "`annotations` should be a list, got True"),
        (("images", 0, "id"), [1], r"images\[0\] .* should be a number, got \[1\]"),
        (("annotations", 1, "category_id"), {}, r"`category_id` of annotations\[1\] \(id 2\)"),
        (("annotations", 0, "keypoints"), 1.5, r"`keypoints` of annotations\[0\] \(id 1\)"),
        (("categories", 0, "keypoints"), 5, r"categories\[0\] \(id 1\) should be a list of names"),
        (("categories", 0, "skeleton"), [[1]], r"a list of pairs of numbers, got \[\[1\]\]"),
    ],
)
def test_what_is_no_list_or_number_is_named(tmp_path, place, value, text):
    person = {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}
    content = {
        "images": [{"id": 1, "width": "wide"}],
        "annotations": [{"id": n, **person} for n in (1, 2)],
        "categories": [{"id": 1, "name": "a", "keypoints": ["nose"], "skeleton": [[1, 1]]}],
    }
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    # a width that is none says nothing about the keypoints
    assert list(AnnotationFile(str(file), InstanceRule(), None, "").faults())
    assert describe_keypoints(file).names == ["nose"]
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=text):
        AnnotationFile(str(file), InstanceRule(), None, "")
    with pytest.raises(DataError, match=text):
        describe_keypoints(file)


def test_pictures_are_not_looked_for_where_nobody_may_look(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError("not yours")

    file = tmp_path / "own.json"
    person = {"id": 1, "image_id": 1, "bbox": [1, 1, 5, 5], "keypoints": [1, 2, 2]}
    image = {"id": 1, "file_name": "a.png"}
    file.write_text(json.dumps({"images": [image], "annotations": [person]}))
    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    (fault,) = AnnotationFile(str(file), InstanceRule(), None, str(tmp_path)).faults()
    assert fault.fix == "correct data_root, or data_prefix=dict(img=FOLDER)"
