"""Labels of video frames come with their individuals, sides and pictures."""

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
from poise.data_tools.formats import Reading, find_form, read_annotations
from poise.errors import DataError

run = CliRunner().invoke


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((100, 160), np.uint8))


class TestDeepLabCut:
    @staticmethod
    def write(folder: Path, *rows: str, config: str = "", scorer: str = "me") -> Path:
        place = folder / "labeled-data/vid"
        for n in range(2):
            picture(place / f"img{n}.png")
        (place / f"CollectedData_{scorer}.csv").write_text("\n".join(rows) + "\n")
        (folder / "config.yaml").write_text(config)
        return folder

    def test_one_animal(self, tmp_path: Path) -> None:
        project = self.write(
            tmp_path / "p",
            "scorer,me,me,me,me,me,me",
            "bodyparts,earL,earL,snout,snout,earR,earR",
            "coords,x,y,x,y,x,y",
            "labeled-data/vid/img0.png,3,4,10.5,20,,",
            "labeled-data\\vid\\img1.png,,,,,,",
            "labeled-data/vid/gone.png,1,2,,,,",
            config="scorer: me\nbodyparts: [snout, earL, earR]\nskeleton: [[snout, earL]]\n",
        )
        table = project / "labeled-data/vid/CollectedData_me.csv"
        for source in (project, project / "config.yaml", table):
            assert find_form(source) == "deeplabcut"
            found = read_annotations(source)
            assert found.names == ["snout", "earL", "earR"]
            assert (found.swap, found.skeleton) == ([0, 2, 1], [(0, 1)])
            assert found.people[0]["keypoints"] == [10.5, 20, 2, 3, 4, 2, 0, 0, 0]
            assert found.images == [
                {"id": 1, "file_name": "labeled-data/vid/img0.png", "width": 160, "height": 100}
            ]
            assert found.ids == {
                "pictures without labels": ["labeled-data/vid/img1.png"],
                "pictures that are absent or unreadable, so without a size": [
                    "labeled-data/vid/gone.png"
                ],
            }
            assert (found.folder / found.images[0]["file_name"]).is_file()

    ROWS = (
        "scorer,,,me,me,me,me,me,me",
        "individuals,,,m1,m1,m2,m2,single,single",
        "bodyparts,,,snout,snout,snout,snout,corner,corner",
        "coords,,,x,y,x,y,x,y",
        "labeled-data,vid,img0.png,1,2,3,4,5,6",
        "labeled-data,vid,img1.png,,,7,8,,",
    )

    def test_several_animals(self, tmp_path: Path) -> None:
        found = read_annotations(self.write(tmp_path / "p", *self.ROWS))
        assert [(p["image_id"], p["individual"], p["keypoints"]) for p in found.people] == [
            (1, "m1", [1, 2, 2]),
            (1, "m2", [3, 4, 2]),
            (2, "m2", [7, 8, 2]),
        ]
        assert found.names == ["snout"]
        assert list(found.lost.values()) == [1]
        alone = read_annotations(tmp_path / "p", Reading(category="single"))
        assert (alone.names, [p["keypoints"] for p in alone.people]) == (["corner"], [[5, 6, 2]])

    def test_tables_of_pandas(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        project = self.write(tmp_path / "p", *self.ROWS)
        table = project / "labeled-data/vid/CollectedData_me.csv"
        by_text = read_annotations(project).people
        levels = {
            "axis0": (
                [["me"], ["m1", "m2", "single"], ["corner", "snout"], ["x", "y"]],
                [[0] * 6, [0, 0, 1, 1, 2, 2], [1, 1, 1, 1, 0, 0], [0, 1] * 3],
            ),
            "axis1": (
                [["labeled-data"], ["vid"], ["img0.png", "img1.png"]],
                [[0, 0], [0, 0], [0, 1]],
            ),
        }
        levels["block0_items"] = levels["axis0"]
        with h5py.File(table.with_suffix(".h5"), "w") as file:
            group = file.create_group("df_with_missing")
            for name, (words, codes) in levels.items():
                for n, (level, label) in enumerate(zip(words, codes, strict=True)):
                    group[f"{name}_level{n}"] = np.array(level, "S")
                    group[f"{name}_label{n}"] = np.array(label, np.int8)
            nan = np.nan
            group["block0_values"] = [[1, 2, 3, 4, 5, 6], [nan, nan, 7, 8, nan, nan]]
        table.unlink()
        assert find_form(table.with_suffix(".h5")) == "deeplabcut"
        assert read_annotations(project).people == by_text
        with h5py.File(table.with_suffix(".h5"), "w") as file:
            file["tracks"] = [1]
        with pytest.raises(DataError, match="no table of numbers that pandas wrote"):
            read_annotations(project)

    def test_what_are_no_labels_is_said(self, tmp_path: Path) -> None:
        rows = ["scorer,a,a,a", "bodyparts,n,n,n", "coords,x,y,likelihood", "0,1,2,0.9"]
        project = self.write(tmp_path / "p", *rows)
        with pytest.raises(DataError, match="holds predictions"):
            read_annotations(project)
        self.write(project, "scorer,a,a", "bodyparts,n,n", "coords,x,y", "i.png,1,b")
        with pytest.raises(DataError, match="line 4: could not convert"):
            read_annotations(project)
        self.write(project, "scorer,a,a", "bodyparts,n,n", "coords,x,y", "i.png,1")
        with pytest.raises(DataError, match="line 4, has 2 columns, expected 3"):
            read_annotations(project)
        self.write(project, "scorer,a,a", "i.png,1,2")
        with pytest.raises(DataError, match="expected the rows scorer, individuals, bodyparts"):
            read_annotations(project)
        self.write(project, *self.ROWS, config="bodyparts: [")
        with pytest.raises(DataError, match=r"is no config\.yaml of DeepLabCut"):
            read_annotations(project)
        self.write(project, *self.ROWS, config="scorer: me")
        self.write(project, *self.ROWS, config="scorer: me", scorer="you")
        found = read_annotations(project)
        assert len(found.people) == 3
        assert found.lost["tables of other scorers than me"] == 1


class TestSleap:
    NODES = ["head", "ear_a", "ear_b"]

    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[..., Path]:
        h5py = pytest.importorskip("h5py")

        def kind(number: int) -> dict[str, Any]:
            return {"py/reduce": [{"py/type": "EdgeType"}, {"py/tuple": [number]}]}

        def write(video: dict[str, Any], pictures: Any = None, form: float = 1.2) -> Path:
            links = [
                {"source": 0, "target": 1, "type": kind(1)},
                {"source": 0, "target": 2, "type": {"py/id": 1}},
                {"source": 1, "target": 2, "type": kind(2)},
            ]
            nodes = [{"id": n} for n in range(3)]
            graph = {"nodes": nodes, "links": links, "graph": {"name": "mouse"}}
            about = {"nodes": [{"name": n} for n in self.NODES], "skeletons": [graph]}
            frame = [
                (n, "<i8")
                for n in ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")
            ]
            whole = [
                (n, "<i8")
                for n in (
                    "instance_id",
                    "instance_type",
                    "frame_id",
                    "skeleton",
                    "track",
                    "from_predicted",
                    "score",
                    "point_id_start",
                    "point_id_end",
                )
            ]
            point = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]
            nan = np.nan
            with h5py.File(tmp_path / "labels.slp", "w") as file:
                file.create_group("metadata").attrs.update(
                    {"json": json.dumps(about), "format_id": form}
                )
                file["videos_json"] = [json.dumps(video).encode()]
                file["frames"] = np.array([(0, 0, 4, 0, 2), (1, 0, 7, 2, 3)], frame)
                file["instances"] = np.array(
                    # by hand, from the prediction after it; a prediction alone
                    [
                        (0, 0, 0, 0, 2, 1, 0, 0, 3),
                        (1, 1, 0, 0, -1, -1, 1, 0, 3),
                        (2, 1, 1, 0, -1, -1, 1, 3, 6),
                    ],
                    whole,
                )
                file["points"] = np.array(
                    [(10, 20, True, True), (15, 15, False, True), (nan, nan, False, False)], point
                )
                file["pred_points"] = np.array([(n, n, True, True) for n in range(6)], point)
                if pictures is not None:
                    file.create_group("video0")["frame_numbers"] = [4]
                    file["video0/video"] = pictures
                    file["video0/video"].attrs["channel_order"] = "BGR"
            return tmp_path / "labels.slp"

        return write

    def test_labels_of_a_video(self, write: Any, tmp_path: Path) -> None:
        source = write({"backend": {"filename": "in/clip.mp4", "shape": [9, 100, 160, 1]}})
        assert find_form(source) == "sleap"
        found = read_annotations(source)
        assert (found.names, found.swap) == (self.NODES, [0, 2, 1])
        assert found.skeleton == [(0, 1), (0, 2)]
        (person,) = found.people
        assert person["keypoints"] == [10, 20, 2, 15, 15, 1, 0, 0, 0]
        assert person["track_id"] == 2
        assert found.images == [
            {
                "id": 1,
                "file_name": "clip/frame_000004.png",
                "width": 160,
                "height": 100,
                "frame_id": 4,
            }
        ]
        assert any("pictures of 2 frames are not in" in s for s in found.said)
        also = read_annotations(source, Reading(predicted=True))
        assert [p["keypoints"][3] for p in also.people] == [15, 4]
        assert also.people[1]["score"] == 1
        older = write({"backend": {"filename": "a", "shape": [9, 100, 160, 1]}}, form=1.0)
        assert read_annotations(older).people[0]["keypoints"][:2] == [9.5, 19.5]

    def test_pictures_come_out_of_the_file(self, write: Any, tmp_path: Path) -> None:
        # red and blue exchanged, as OpenCV writes an RGB array
        inside = np.zeros((100, 160, 3), np.uint8)
        inside[..., 0] = 200
        content = cv2.imencode(".png", inside)[1].astype(np.int8)[None]
        backend = {"filename": ".", "dataset": "video0/video", "shape": [1, 100, 160, 3]}
        source = write(
            {"backend": backend, "source_video": {"backend": {"filename": "in/clip.mp4"}}}, content
        )
        out = tmp_path / "pictures"
        done = run(
            app,
            ["convert", str(source), "-o", str(tmp_path / "c.json"), "--save-pictures", str(out)],
        )
        assert done.exit_code == 0, done.output
        assert "pictures of 1 frame could not be read" in done.output
        saved = cv2.imread(str(out / "clip/frame_000004.png"))
        assert saved[0, 0].tolist() == [0, 0, 200]
        dataset = open_dataset(tmp_path / "c.json")
        assert Path(dataset.get_data_info(0)["img_path"]).is_file()

    def test_frames_come_out_of_a_video(self, write: Any, tmp_path: Path) -> None:
        writer = cv2.VideoWriter(
            str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 96)
        )
        for n in range(9):
            writer.write(np.full((96, 160, 3), 25 * n, np.uint8))
        writer.release()
        # the path is that of another machine; the video lies beside the labels
        source = write({"backend": {"filename": "/home/me/clip.mp4", "shape": [9, 96, 160, 3]}})
        out = tmp_path / "pictures"
        found = read_annotations(source, Reading(save_pictures=out, predicted=True))
        names = [image["file_name"] for image in found.images]
        assert names == ["clip/frame_000004.png", "clip/frame_000007.png"]
        grey = [float(cv2.imread(str(out / name)).mean()) for name in names]
        # a codec changes greys a little; the frames beside these differ by 25
        np.testing.assert_allclose(grey, [100, 175], atol=10)
        assert not any("could not be read" in sentence for sentence in found.said)

    def test_lists_of_pictures(self, write: Any, tmp_path: Path) -> None:
        files = [f"in/{n}.jpg" for n in range(9)]
        picture(tmp_path / "in/4.jpg")
        source = write({"backend": {"filenames": files, "filename": files[0]}})
        found = read_annotations(source)
        assert [i["file_name"] for i in found.images] == ["in/4.jpg"]
        saved = read_annotations(source, Reading(save_pictures=tmp_path / "out"))
        assert (tmp_path / "out" / saved.images[0]["file_name"]).is_file()

    def test_pictures_of_one_name_in_several_folders_stay_apart(
        self, write: Any, tmp_path: Path
    ) -> None:
        files = [f"cam{n}/day/shot.jpg" for n in range(9)]
        for n in (4, 7):
            place = tmp_path / files[n]
            place.parent.mkdir(parents=True)
            cv2.imwrite(str(place), np.full((100, 160, 3), 20 * n, np.uint8))
        source = write({"backend": {"filenames": files, "filename": files[0]}})
        out = tmp_path / "out"
        found = read_annotations(source, Reading(save_pictures=out, predicted=True))
        names = [image["file_name"] for image in found.images]
        assert names == ["day/shot.png", "cam7/day/shot.png"]
        grey = [float(cv2.imread(str(out / name)).mean()) for name in names]
        np.testing.assert_allclose(grey, [80, 140], atol=4)

    def test_broken_files_are_said(self, write: Any, tmp_path: Path) -> None:
        source = write({"backend": {"filename": "a"}})
        with pytest.raises(DataError, match="no keypoints were found"):
            # no size is known of a video that is not there
            read_annotations(source)
        source.write_bytes(source.read_bytes()[:200])
        with pytest.raises(DataError, match="is no file of SLEAP: OSError"):
            read_annotations(source)
