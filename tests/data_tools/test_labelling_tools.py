"""Annotations of labelling tools come with names, sides, boxes and hidden keypoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset
from poise.data_tools.formats import Reading, convert_annotations, find_form, read_annotations
from poise.errors import ArgumentError, DataError, FileMissingError

run = CliRunner().invoke


def picture(path: Path, width: int = 160, height: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 60, np.uint8))
    return path


def triples(person: dict[str, Any]) -> np.ndarray:
    return np.array(person["keypoints"], float).reshape(-1, 3)


class TestLabelme:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Callable[..., Path]:
        def write(*shapes: dict[str, Any], name: str = "a", **more: Any) -> Path:
            place = tmp_path / "labels"
            picture(place / f"{name}.png")
            content = {
                "version": "5.5.0",
                "flags": {},
                "shapes": list(shapes),
                "imagePath": f"{name}.png",
                "imageData": None,
                "imageHeight": 100,
                "imageWidth": 160,
            }
            (place / f"{name}.json").write_text(json.dumps({**content, **more}))
            return place

        return write

    @staticmethod
    def point(label: str, x: float, y: float, group: int | None = None, **more: Any) -> Any:
        shape = {"label": label, "points": [[x, y]], "group_id": group, "shape_type": "point"}
        return {**shape, "flags": {}, **more}

    @staticmethod
    def box(x: float, y: float, w: float, h: float, group: int | None = None) -> Any:
        # drawn from the lower right corner, as people do
        corners = [[x + w, y + h], [x, y]]
        return {"label": "imp", "points": corners, "group_id": group, "shape_type": "rectangle"}

    def test_groups_hold_people_together(self, folder: Any, tmp_path: Path) -> None:
        source = folder(
            self.point("nose", 30, 20, 1),
            self.point("left_hand", 20, 40, 1, flags={"occluded": True}),
            self.point("nose", 90, 20, 2),
            self.point("right_hand", 100, 45, 2, difficult=True),
            self.box(10, 10, 40, 50, 1),
            {"label": "x", "points": [[0, 0], [1, 1], [2, 0]], "shape_type": "polygon"},
        )
        assert find_form(source) == "labelme"
        found, _ = convert_annotations(source, tmp_path / "labels/coco.json")
        assert found.names == ["nose", "left_hand", "right_hand"]
        assert found.swap == [0, 2, 1]
        first, second = found.people
        assert first["bbox"] == [10, 10, 40, 50]
        assert triples(first).tolist() == [[30, 20, 2], [20, 40, 1], [0, 0, 0]]
        assert triples(second).tolist() == [[90, 20, 2], [0, 0, 0], [100, 45, 1]]
        # 25 pixels high, so 2.5 around
        assert second["bbox"] == [87.5, 17.5, 15, 30]
        assert found.said[-1].startswith("boxes were made of the keypoints for 1 of 2 people, with")
        assert found.said[0] == "without a label: 1, called 'imp' as the others are"
        assert [category["name"] for category in found.categories] == ["imp"]
        assert found.lost == {"shapes of the kind polygon": 1}
        assert found.ids["shapes of the kind polygon"] == ["a.json x"]
        dataset = open_dataset(tmp_path / "labels/coco.json")
        assert len(dataset) == 2
        assert Path(dataset.get_data_info(0)["img_path"]).is_file()

    @pytest.mark.parametrize(
        ("points", "category", "name", "how"),
        [
            (("snout", "tail_base"), None, "animal", "by their keypoints"),
            (("left_shoulder", "left_wrist"), None, "person", "by their keypoints"),
            (("thumb1", "wrist"), None, "hand", "by their keypoints"),
            (("a", "b"), None, "object", "by their keypoints"),
            (("a", "b"), "valve", "valve", "as --category says"),
        ],
    )
    def test_who_has_no_label_is_called_by_the_keypoints(
        self, folder: Any, points: Any, category: str | None, name: str, how: str
    ) -> None:
        source = folder(*(self.point(p, 20 + 9 * n, 30, 1) for n, p in enumerate(points)))
        found = read_annotations(source, Reading(category=category))
        assert [entry["name"] for entry in found.categories] == [name]
        assert found.said[0] == f"without a label: 1, called '{name}' {how}"

    def test_boxes_gather_points_without_groups(self, folder: Any) -> None:
        source = folder(
            self.box(0, 0, 150, 90),
            self.box(10, 10, 40, 40),
            self.point("nose", 30, 20),
            self.point("nose", 32, 22),
            self.point("tail", 49, 30),
            self.point("tail", 155, 30),
            self.point("tail", 159, 99),
        )
        found = read_annotations(source)
        large, small = found.people
        assert triples(large).tolist() == [[32, 22, 2], [155, 30, 2]]
        assert triples(small).tolist() == [[30, 20, 2], [49, 30, 2]]
        assert found.ids == {
            "keypoints that no group or box gives to a person": ["a.json tail"],
        }

    def test_boxes_with_named_points_take_no_others(self, folder: Any) -> None:
        source = folder(
            self.box(10, 10, 40, 40, 1),
            self.box(60, 10, 40, 40, 2),
            self.point("nose", 30, 20, 1),
            self.point("hat", 30, 15),
            self.point("nose", 80, 20),
        )
        found = read_annotations(source)
        assert [p["keypoints"] for p in found.people] == [[30, 20, 2], [80, 20, 2]]
        assert found.ids == {"keypoints that no group or box gives to a person": ["a.json hat"]}

    def test_pictures_lie_beside_the_folder_too(self, folder: Any, tmp_path: Path) -> None:
        source = folder(self.point("nose", 1, 1), imagePath="..\\shots\\c.png")
        picture(tmp_path / "shots/c.png")
        found = read_annotations(source)
        assert (found.folder, found.images[0]["file_name"]) == (source, "../shots/c.png")

    def test_without_groups_and_boxes_there_is_one_person_or_nobody_knows(
        self, folder: Any
    ) -> None:
        folder(self.point("nose", 1, 1), self.point("tail", 9, 9))
        source = folder(
            *(self.point("nose", x, 1) for x in (1, 50)), self.point("tail", 9, 9), name="b"
        )
        found = read_annotations(source)
        assert [p["image_id"] for p in found.people] == [1]
        assert found.lost.total() == 3
        # no side is named, so pictures are not mirrored
        assert found.swap == [0, 1]

    def test_names_of_a_known_skeleton_get_its_order(self, folder: Any) -> None:
        names = [p["name"] for p in _coco_points()]
        spoken = [n.replace("_", " ").title() for n in reversed(names)]
        found = read_annotations(folder(*(self.point(n, i, i) for i, n in enumerate(spoken))))
        assert (found.schema, found.names) == ("coco", names)
        assert triples(found.people[0])[0].tolist() == [16, 16, 2]
        source = folder(self.point("Nose", 3, 3), self.point("hat", 3, 1))
        found = read_annotations(source, Reading(schema="coco"))
        assert found.people[0]["num_keypoints"] == 1
        assert found.ids == {"keypoints of the name hat": ["a.json"]}
        with pytest.raises(DataError, match="none of which is one of the schema ap10k"):
            read_annotations(folder(self.point("hat", 3, 1)), Reading(schema="ap10k"))

    def test_broken_files_are_named(self, folder: Any, tmp_path: Path) -> None:
        source = folder(self.point("nose", "x", 1))
        with pytest.raises(DataError, match=r"labelme's file .*a\.json cannot be read: "):
            read_annotations(source)
        list_of_shapes = tmp_path / "list/a.json"
        list_of_shapes.parent.mkdir()
        list_of_shapes.write_text('[{"shapes": [], "imagePath": "a.png"}]')
        with pytest.raises(DataError, match=r"labelme's file .*a\.json cannot be read: "):
            read_annotations(list_of_shapes)
        with pytest.raises(DataError, match="no keypoints were found"):
            read_annotations(folder(self.box(0, 0, 9, 9)))
        with pytest.raises(DataError, match="has no files of labelme"):
            read_annotations(picture(tmp_path / "empty/a.png").parent, form="labelme")
        with pytest.raises(DataError, match="is of no form that is known by its content"):
            read_annotations(tmp_path / "empty")
        with pytest.raises(
            ArgumentError, match="form must be one of .*got 'labelmi'; did you mean 'labelme'"
        ):
            read_annotations(tmp_path, form="labelmi")
        with pytest.raises(ArgumentError, match="--box-margin"):
            Reading(margin=-1)
        with pytest.raises(FileMissingError, match="no folder of pictures"):
            read_annotations(source, Reading(images=tmp_path / "none"))

    def test_the_command_says_what_it_did(self, folder: Any, tmp_path: Path) -> None:
        source = folder(self.point("nose", 30, 20, 1), self.point("nose", 31, 20, 1))
        out = str(tmp_path / "coco.json")
        done = run(app, ["convert", str(source), "-o", out, "--box-margin", "0.5"])
        assert done.exit_code == 0, done.output
        assert "1 picture, 1 person, 1 keypoint" in done.output
        assert "for 1 of 1 person, with 50% of the longer side" in done.output
        assert "left out: 1 keypoint of a name that the group has already: a.json nose" in (
            done.output
        )
        assert f"relative to {tmp_path}\n" in done.output
        assert json.loads(Path(out).read_text())["images"][0]["file_name"] == f"{source.name}/a.png"
        elsewhere = tmp_path / "other/coco.json"
        done = run(app, ["convert", str(source), "-o", str(elsewhere)])
        assert f"relative to {elsewhere.parent}\n" in done.output
        names = [image["file_name"] for image in json.loads(elsewhere.read_text())["images"]]
        assert names == [f"../{source.name}/a.png"]


CVAT_META = """<meta><task><size>2</size><labels>
<label><name>imp</name><type>skeleton</type><svg>
&lt;line x1="1" data-type="edge" data-node-from="2" data-node-to="1"&gt;&lt;/line&gt;
&lt;circle r="1.5" data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;
&lt;circle r="1.5" data-node-id="2" data-label-name="left_hand"&gt;
</svg></label>
<label><name>nose</name><type>points</type><parent>imp</parent></label>
<label><name>left_hand</name><type>points</type><parent>imp</parent></label>
<label><name>right_hand</name><type>points</type><parent>imp</parent></label>
</labels>{size}</task></meta>"""


class TestCvat:
    @staticmethod
    def write(folder: Path, body: str, size: str = "") -> Path:
        folder.mkdir(exist_ok=True)
        head = f"<annotations><version>1.1</version>{CVAT_META.replace('{size}', size)}"
        (folder / "annotations.xml").write_text(
            f"<?xml version='1.0'?>\n{head}{body}</annotations>"
        )
        return folder

    def test_skeletons_of_pictures(self, tmp_path: Path) -> None:
        picture(tmp_path / "x/images/in/1.png")
        source = self.write(
            tmp_path / "x",
            """<image id="0" name="in/1.png" width="160" height="100">
            <skeleton label="imp" source="manual" group_id="3">
              <points label="right_hand" occluded="1" outside="0" points="40.5,60.00"></points>
              <points label="nose" occluded="0" outside="0" points="30,20"></points>
              <points label="left_hand" occluded="0" outside="1" points="5,5"></points></skeleton>
            <skeleton label="imp" source="manual">
              <points label="nose" occluded="0" outside="0" points="100,20"></points></skeleton>
            <box label="imp" group_id="3" xtl="20" ytl="10" xbr="60" ybr="70"></box>
            <box label="car" xtl="0" ytl="0" xbr="9" ybr="9"></box>
            <polygon label="car" points="1,1;2,2;3,3"></polygon><tag label="good"></tag></image>""",
        )
        assert find_form(source) == find_form(source / "annotations.xml") == "cvat"
        found = read_annotations(source)
        assert found.names == ["nose", "left_hand", "right_hand"]
        assert found.skeleton == [(1, 0)]
        assert found.swap == [0, 2, 1]
        assert found.images[0]["file_name"] == "in/1.png"
        assert found.folder == source / "images"
        first, second, car = found.people
        assert triples(first).tolist() == [[30, 20, 2], [0, 0, 0], [40.5, 60, 1]]
        assert first["bbox"] == [20, 10, 40, 60]
        assert second["bbox"] == [99, 19, 2, 2]
        assert found.categories == [{"id": 1, "name": "imp"}, {"id": 2, "name": "car"}]
        assert car["num_keypoints"] == 0
        assert found.lost == {"shapes of the kind polygon": 1}
        only = read_annotations(source, Reading(category="imp"))
        assert [p["num_keypoints"] for p in only.people] == [2, 1]
        assert only.lost["people of other categories than imp"] == 1

    def test_tracks_of_a_video(self, tmp_path: Path) -> None:
        def frame(number: int, *seen: int, key: int = 1) -> str:
            points = "".join(
                f'<points label="{name}" outside="{1 - s}" occluded="0" points="{9 + number},8"/>'
                for name, s in zip(("nose", "left_hand"), seen, strict=True)
            )
            return f'<skeleton frame="{number}" keyframe="{key}">{points}</skeleton>'

        size = "<original_size><width>160</width><height>100</height></original_size>"
        body = f"""<track id="7" label="imp">{frame(0, 1, 1)}{frame(1, 1, 0, key=0)}
            {frame(2, 0, 0)}</track>"""
        source = self.write(tmp_path / "v", body, size)
        picture(tmp_path / "v/images/frame_000001.PNG")
        found = read_annotations(source)
        assert [(p["image_id"], p["track_id"], p["num_keypoints"]) for p in found.people] == [
            (1, 7, 2),
            (2, 7, 1),
        ]
        # the picture that is there by its name, others by the usual one
        names = [i["file_name"] for i in found.images]
        assert names == ["frame_000000.png", "frame_000001.PNG", "frame_000002.png"]
        assert "1 shapes were put between key frames by CVAT" in found.said
        source = self.write(tmp_path / "v", body)
        assert read_annotations(source).lost == {"frames whose size is not known": 2}

    def test_single_points_and_lists_of_them(self, tmp_path: Path) -> None:
        source = self.write(
            tmp_path / "p",
            """<image id="0" name="a.png" width="160" height="100">
            <points label="nose" points="3,4" occluded="1" group_id="1"></points>
            <points label="tail" points="9,9" group_id="1">
              <attribute name="visibility">hidden</attribute></points></image>""",
        )
        found = read_annotations(source)
        assert triples(found.people[0]).tolist() == [[3, 4, 1], [9, 9, 1]]
        source = self.write(
            tmp_path / "l",
            """<image id="0" name="a" width="9" height="9">
            <points label="w" points="1,2;3,4"/></image>""",
        )
        found = read_annotations(source)
        assert (found.names, found.people[0]["num_keypoints"]) == (["keypoint_0", "keypoint_1"], 2)

    def test_broken_files_and_several_skeletons(self, tmp_path: Path) -> None:
        source = self.write(tmp_path / "b", "<image")
        with pytest.raises(DataError, match=r"annotations\.xml is no XML file of CVAT: not well"):
            read_annotations(source)
        spoilt = """<image id="0" name="a" width="9" height="9">
            <skeleton label="imp"><points label="nose" points="1;2"/></skeleton></image>"""
        with pytest.raises(DataError, match=r"annotations\.xml: a shape of a cannot be read"):
            read_annotations(self.write(tmp_path / "b", spoilt))
        body = """<image id="0" name="a" width="9" height="9">
            <skeleton label="imp"><points label="nose" points="1,2"/></skeleton>
            <skeleton label="elf"><points label="ear" points="1,2"/></skeleton></image>"""
        with pytest.raises(DataError, match=r"name the keypoints of 'elf'.*--category"):
            read_annotations(self.write(tmp_path / "b", body))
        with pytest.raises(DataError, match="of the category 'orc'; there are imp, elf"):
            read_annotations(tmp_path / "b", Reading(category="orc"))
        found = read_annotations(tmp_path / "b", Reading(category="elf"))
        assert found.names == ["ear"]
        with pytest.raises(DataError, match="unpack the archive first"):
            find_form(picture(tmp_path / "a.png").rename(tmp_path / "a.tar"))
        with pytest.raises(DataError, match="is no XML file of CVAT"):
            read_annotations(tmp_path / "a.tar", form="cvat")


class TestLabelStudio:
    @staticmethod
    def region(kind: str, label: str, number: str, **value: Any) -> dict[str, Any]:
        """A region of a picture of 200 x 100 pixels."""
        return {
            "id": number,
            "type": kind,
            "value": {**value, kind: [label]},
            "original_width": 200,
            "original_height": 100,
            "image_rotation": 0,
        }

    def point(self, label: str, x: float, y: float, number: str = "", **more: Any) -> Any:
        found = self.region("keypointlabels", label, number or label, x=x, y=y, width=0.5)
        return {**found, **more}

    def box(self, number: str, x: float, y: float, w: float, h: float, **more: Any) -> Any:
        return self.region("rectanglelabels", "imp", number, x=x, y=y, width=w, height=h, **more)

    def write(self, folder: Path, *tasks: Any) -> Path:
        (folder / "export.json").write_text(json.dumps(tasks))
        return folder / "export.json"

    def task(self, *annotations: Any, image: str = "/data/upload/4/0a1b2c3d-a%20b.png") -> Any:
        return {"id": 12, "data": {"note": "x", "image": image}, "annotations": list(annotations)}

    def test_people_by_hierarchy_relation_and_box(self, tmp_path: Path) -> None:
        results = [
            self.box("r1", 0, 0, 50, 100),
            self.box("r2", 50, 0, 25, 100),
            self.box("r3", 80, 0, 20, 100),
            # lies in another box than the one that it was put under
            self.point("nose", 60, 50, parentID="r1"),
            self.point("nose", 10, 50, "n2"),
            {"type": "relation", "from_id": "n2", "to_id": "r2", "direction": "right"},
            self.point("nose", 90, 50, "n3"),
            {"id": "n3", "type": "choices", "value": {"choices": ["Occluded"]}},
            self.point("tail", 90.5, 50, "t3", meta={"text": ["tip"]}),
        ]
        picture(tmp_path / "images/a b.png", 200, 100)
        source = self.write(tmp_path, self.task({"result": results}))
        assert find_form(source) == "label-studio"
        found = read_annotations(source)
        assert [triples(p).tolist() for p in found.people] == [
            [[120, 50, 2], [0, 0, 0]],
            [[20, 50, 2], [0, 0, 0]],
            [[180, 50, 1], [181, 50, 2]],
        ]
        assert found.people[1]["bbox"] == [100, 0, 50, 100]
        # the picture as it was before it was uploaded
        assert found.images[0]["file_name"] == "a b.png"
        assert found.folder == tmp_path / "images"

    def test_one_annotator_counts(self, tmp_path: Path) -> None:
        def done(x: float, who: Any, **more: Any) -> dict[str, Any]:
            result = [self.point("nose", x, 0)]
            return {"result": result, "completed_by": who, "updated_at": f"2024-0{who}", **more}

        task = self.task(
            done(10, 1, ground_truth=True), done(20, 2), done(30, 3, was_cancelled=True)
        )
        source = self.write(tmp_path, task, self.task())
        found = read_annotations(source)
        assert found.people[0]["keypoints"] == [20, 0, 2]
        assert found.ids == {
            "annotations that were cancelled": ["task 12"],
            "further annotations of the same task": ["task 12 by 2"],
            "tasks without annotations": ["task 12"],
        }
        found = read_annotations(source, Reading(annotator="2"))
        assert found.people[0]["keypoints"] == [40, 0, 2]
        task["annotations"][0]["ground_truth"] = False
        task["annotations"][1]["completed_by"] = {"id": 2, "email": "a@b.org"}
        assert read_annotations(self.write(tmp_path, task)).people[0]["keypoints"][0] == 40
        found = read_annotations(source, Reading(annotator="a@b.org"))
        assert found.people[0]["keypoints"][0] == 40
        with pytest.raises(DataError, match="no keypoints were found"):
            read_annotations(source, Reading(annotator="9"))

    def test_turned_boxes_and_pictures(self, tmp_path: Path) -> None:
        results = [
            self.box("r", 50, 50, 10, 40, rotation=90),
            self.point("nose", 40, 60),
            self.point("tail", 40, 60, image_rotation=90),
            {**self.point("ear", 1, 1), "value": {"x": 1, "y": 1, "keypointlabels": []}},
        ]
        found = read_annotations(self.write(tmp_path, self.task({"result": results})))
        # 20 x 40 pixels, turned around the upper left corner
        assert found.people[0]["bbox"] == [60, 50, 40, 20]
        assert found.names == ["nose"]
        assert found.lost == {
            "regions of pictures that were turned in Label Studio": 1,
            "regions without a label": 1,
        }

    def test_the_short_form_and_broken_ones(self, tmp_path: Path) -> None:
        regions = [
            {**r["value"], "original_width": 200, "original_height": 100}
            for r in (self.box("r", 0, 0, 50, 50), self.point("nose", 10, 10))
        ]
        task = {"image": "/data/local-files/?d=in%2Fa.png", "kp": regions[1:], "box": regions[:1]}
        found = read_annotations(self.write(tmp_path, task))
        assert found.people[0]["keypoints"] == [20, 10, 2]
        assert found.people[0]["bbox"] == [0, 0, 100, 50]
        assert found.images[0]["file_name"] == "in/a.png"
        broken = self.task({"result": [{"type": "keypointlabels", "original_width": 9}]})
        with pytest.raises(DataError, match="task 12 has no `original_height`"):
            read_annotations(self.write(tmp_path, broken))
        with pytest.raises(DataError, match="expected a list of tasks"):
            read_annotations(self.write(tmp_path, 1, 2), form="label-studio")


def _coco_points() -> list[dict[str, Any]]:
    from poise import schemas

    return list(schemas.get("coco")["keypoint_info"].values())
