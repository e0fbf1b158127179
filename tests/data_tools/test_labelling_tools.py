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
        assert found.lost == {"shapes of the kind polygon": 1}
        assert found.ids["shapes of the kind polygon"] == ["a.json x"]
        dataset = open_dataset(tmp_path / "labels/coco.json")
        assert len(dataset) == 2
        assert Path(dataset.get_data_info(0)["img_path"]).is_file()

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
        with pytest.raises(DataError, match=r"a\.json is no file of labelme: ValueError"):
            read_annotations(source)
        with pytest.raises(DataError, match="no keypoints were found"):
            read_annotations(folder(self.box(0, 0, 9, 9)))
        with pytest.raises(DataError, match="has no files of labelme"):
            read_annotations(picture(tmp_path / "empty/a.png").parent, form="labelme")
        with pytest.raises(DataError, match="is of no form that is known by its content"):
            read_annotations(tmp_path / "empty")
        with pytest.raises(ArgumentError, match="no form 'labelmi'.*did you mean 'labelme'"):
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
        assert "1 pictures, 1 people, 1 keypoints" in done.output
        assert "for 1 of 1 people, with 50% of the longer side" in done.output
        assert "left out: 1 keypoints of a name that the group has already: a.json nose" in (
            done.output
        )
        assert f"relative to {source}" in done.output


def _coco_points() -> list[dict[str, Any]]:
    from poise import schemas

    return list(schemas.get("coco")["keypoint_info"].values())
