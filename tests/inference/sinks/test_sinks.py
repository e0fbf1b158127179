"""What sinks write can be read back, also before they are closed."""

import csv
import errno
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from poise.errors import DataError, MissingDependencyError, UnknownNameError
from poise.inference import SINKS, PoseResult, SinkGroup, SinkOptions, SourceInfo, open_sinks
from poise.inference.results.pose_result import empty_instances
from poise.structures import InstanceData, parse_pose_metainfo

META = parse_pose_metainfo({"from_file": "coco"})
CLIP = SourceInfo("clip.mp4", "video", Path("sub/clip.mp4"), fps=10.0, frames=4)


def people(n=2):
    if n == 0:
        return empty_instances(17)
    rng = np.random.default_rng(0)
    return InstanceData(
        keypoints=rng.uniform(5, 40, (n, 17, 2)).astype(np.float32),
        keypoint_scores=rng.uniform(0, 1, (n, 17)).astype(np.float32),
        bboxes=np.tile(np.float32([[2, 3, 45, 46]]), (n, 1)),
        bbox_scores=np.full(n, 0.9, np.float32),
    )


def still(name="a.png", n=2):
    image = np.full((48, 50, 3), 90, np.uint8)
    source = SourceInfo(name, "picture", Path(name), frames=1)
    return PoseResult(image, people(n), META, name, source=source)


def frame(index, n=2, time=None):
    image = np.full((48, 51, 3), (40 + 20 * index) % 256, np.uint8)
    time = index / 10 if time is None else time
    return PoseResult(image, people(n), META, CLIP.name, frame_index=index, time=time, source=CLIP)


def sink(name, folder, **options):
    return open_sinks(name, folder, SinkOptions(**options))[0]


def test_json_holds_the_documented_keys(tmp_path):
    with sink("json", tmp_path) as out:
        out.write(still())
    text = (tmp_path / "a.json").read_text()
    # for people, too: a key a line, and no number alone on one
    assert text.startswith('{\n "version": 1,\n "image": "a.png",\n')
    assert '\n  {\n   "bbox": [2.0, 3.0, 45.0, 46.0],\n' in text
    assert len(text.splitlines()) < 30
    content = json.loads(text)
    assert (content["version"], content["width"], content["height"]) == (1, 50, 48)
    assert content["schema"] == "coco"
    person = content["instances"][0]
    assert person["bbox"] == [2, 3, 45, 46]
    assert len(person["keypoints"]) == len(person["keypoint_probabilities"]) == 17
    assert "frame" not in content


def test_frames_and_pictures_of_one_name_have_files_of_their_own(tmp_path):
    other = frame(0)
    other.name = "clip.avi"
    with sink("json", tmp_path) as out:
        for result in (still("a.png"), still("a.jpg"), frame(0), frame(3), other):
            out.write(result)
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json"))
    frames = ["sub/clip-2/0000000.json", "sub/clip/0000000.json", "sub/clip/0000003.json"]
    assert names == ["a-2.json", "a.json", *frames]
    # of frames the folder is named, and pictures before them stay
    written = [path.relative_to(tmp_path).as_posix() for path in out.written]
    assert written == ["a.json", "a-2.json", "sub/clip", "sub/clip-2"]


def test_a_video_that_comes_twice_has_files_of_its_own_each_time(tmp_path):
    with SinkGroup(open_sinks("json,jsonl,csv", tmp_path)) as group:
        for _ in range(2):
            for index in range(3):
                group.write(frame(index))
    lines = [(tmp_path / f"sub/{name}.jsonl").read_text() for name in ("clip", "clip-2")]
    assert [len(text.splitlines()) for text in lines] == [3, 3]
    assert sorted(p.name for p in (tmp_path / "sub/clip-2").iterdir()) == [
        f"{n:07}.json" for n in range(3)
    ]
    rows = (tmp_path / "sub/clip-2.csv").read_text().splitlines()
    assert len(rows) == 1 + 6


def test_drawn_picture_differs_where_people_are(tmp_path):
    with sink("image", tmp_path) as out:
        out.write(still())
        out.write(still("nobody.png", 0))
    drawn, empty = (cv2.imread(str(tmp_path / f"{n}_pose.jpg")) for n in ("a", "nobody"))
    assert drawn.shape == (48, 50, 3)
    assert np.ptp(empty) < 5
    assert np.ptp(drawn) > 100


def test_json_lines_are_on_the_disk_before_the_sink_is_closed(tmp_path):
    out = sink("jsonl", tmp_path)
    out.write(frame(0))
    out.write(frame(1, 0))
    lines = [json.loads(x) for x in (tmp_path / "sub/clip.jsonl").read_text().splitlines()]
    assert [(x["frame"], x["time"], len(x["instances"])) for x in lines] == [(0, 0, 2), (1, 0.1, 0)]
    out.close()


def test_still_pictures_share_a_file_and_videos_have_their_own(tmp_path):
    with sink("jsonl", tmp_path) as out:
        for result in (still("a.png"), still("b.png"), frame(0)):
            out.write(result)
    assert len((tmp_path / "poses.jsonl").read_text().splitlines()) == 2
    assert len((tmp_path / "sub/clip.jsonl").read_text().splitlines()) == 1


def test_coco_results_are_valid_after_every_frame(tmp_path):
    out = sink("coco", tmp_path)
    path = tmp_path / "sub/clip_coco.json"
    counts = []
    for index, n in enumerate((0, 2, 0, 1)):
        out.write(frame(index, n))
        counts.append(len(json.loads(path.read_text())))
    out.close()
    assert counts == [0, 2, 2, 3]
    last = json.loads(path.read_text())[-1]
    assert (last["image_id"], last["category_id"], len(last["keypoints"])) == (3, 1, 51)
    assert last["bbox"] == [2, 3, 43, 43]


def test_coco_keeps_the_numbers_of_cocos_pictures(tmp_path):
    with sink("coco", tmp_path) as out:
        out.write(still("000000000785.jpg", 1))
        out.write(still("own.jpg", 1))
    found = json.loads((tmp_path / "poses_coco.json").read_text())
    assert [row["image_id"] for row in found] == [785, 1]


@pytest.mark.parametrize("kind", [name for name in SINKS if name != "show"])
def test_every_sink_takes_pictures_without_anybody_and_broken_ones(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    if kind == "sleap":
        pytest.importorskip("h5py")
    broken = still("broken.png", 0)
    broken.image, broken.error = None, "broken"
    results = [still("a.png", 0), broken, still("b.png", 0)]
    for result in results:
        # formats of 3D poses take these only
        result.instances.set_field(np.zeros((0, 17, 3), np.float32), "keypoints_3d")
        result.metainfo_3d = parse_pose_metainfo({"from_file": "h36m"})
    with sink(kind, tmp_path) as out:
        for result in results:
            out.write(result)
    assert all(path.exists() for path in out.written)
    assert not list(tmp_path.glob(".*"))


def test_coco_results_have_no_numbers_that_json_lacks(tmp_path):
    result = still(n=1)
    result.keypoints[0, 3] = np.nan
    with sink("coco", tmp_path) as out:
        out.write(result)
    text = (tmp_path / "poses_coco.json").read_text()
    (row,) = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert row["keypoints"][9:12] == [0, 0, 0]
    assert np.isfinite(row["score"])


class Narrow:
    """A file on a disk that has room for so many bytes, and takes them a few at a time."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(len(data), self._room, 7)
        self._room -= taken
        return self._file.write(bytes(data[:taken]))

    def truncate(self):
        # what is cut off is free again
        self._room += 100
        return self._file.truncate()

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_coco_results_stay_whole_when_the_disk_is_full(tmp_path):
    out = sink("coco", tmp_path)
    out.write(still("a.png"))
    out._handle._file = Narrow(out._handle._file, 1_000_000)
    out.write(still("b.png"))
    out._handle._file._room = 200
    with pytest.raises(DataError, match="No space left on device; what was written before is kept"):
        out.write(still("c.png"))
    rows = json.loads((tmp_path / "poses_coco.json").read_text())
    assert [row["file_name"] for row in rows] == ["a.png"] * 2 + ["b.png"] * 2
    out.close()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_refuse_results_of_another_schema(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    other = still("b.png", 1)
    other.metainfo = parse_pose_metainfo({"from_file": "mpii"})
    other.instances = InstanceData(
        keypoints=np.ones((1, 16, 2), np.float32),
        keypoint_scores=np.ones((1, 16), np.float32),
        bboxes=np.ones((1, 4), np.float32),
        bbox_scores=np.ones(1, np.float32),
    )
    out = sink(kind, tmp_path)
    out.write(still())
    with pytest.raises(DataError, match="b.png has other columns than the rows before it"):
        out.write(other)
    out.close()


def test_csv_has_a_row_a_person_while_it_is_open(tmp_path):
    out = sink("csv", tmp_path)
    out.write(frame(0, 0))
    out.write(frame(1, 2))
    with (tmp_path / "sub/clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    out.close()
    assert [row["person"] for row in rows] == ["0", "1"]
    assert float(rows[1]["nose_x"]) == pytest.approx(float(people().keypoints[1, 0, 0]))
    assert rows[0]["track_id"] == ""


def test_parquet_parts_are_one_table(tmp_path, monkeypatch):
    # today's pyarrow refuses numpy 1
    dataset = pytest.importorskip("pyarrow.dataset", exc_type=ImportError)
    monkeypatch.setattr("poise.inference.sinks.table_files._PART_ROWS", 3)
    out = sink("parquet", tmp_path)
    for index in range(4):
        out.write(frame(index))
    # two parts of four rows are whole although the sink is open
    assert dataset.dataset(tmp_path / "sub/clip.parquet").count_rows() == 8
    out.close()
    table = dataset.dataset(tmp_path / "sub/clip.parquet").to_table()
    assert table["frame"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_sheet_stays_small_however_long_the_video_is(tmp_path):
    with sink("sheet", tmp_path) as out:
        for index in range(130):
            out.write(frame(index % 10))
    sheet = cv2.imread(str(tmp_path / "sub/clip_sheet.jpg"))
    assert sheet.shape[1] < 6 * 260
    assert sheet.shape[0] <= 8 * 280


def test_unknown_names_and_layouts_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="got 'vidoe'; did you mean 'video'"):
        open_sinks("json,vidoe", tmp_path)
    with pytest.raises(DataError, match=r"\(--format\) must be one of 'poise', 'mmpose', got"):
        sink("json", tmp_path, layout="coco")


def test_mmposes_layout(tmp_path):
    with sink("json", tmp_path, layout="mmpose") as out:
        out.write(still(n=1))
    (person,) = json.loads((tmp_path / "a.json").read_text())
    assert person["bbox"] == [[2, 3, 45, 46]]
    assert person.keys() == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}


def test_window_says_what_to_install_where_there_is_none(tmp_path, monkeypatch):
    # the full OpenCV would end the process
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingDependencyError, match="--save video or --save image"):
        sink("show", tmp_path)


class Full:
    """A sink whose disk is full after some results."""

    def __init__(self, after):
        self.left, self.closed, self.written = after, False, []

    def write(self, result):
        self.left -= 1
        if self.left < 0:
            raise DataError("cannot write below 'x': no space left on device")

    def close(self):
        self.closed = True


def test_group_reports_a_full_disk_once_and_closes_all(tmp_path):
    full, lines = Full(1), sink("jsonl", tmp_path)
    group = SinkGroup([lines, full])
    with pytest.raises(DataError, match="no space left"), group:  # noqa: PT012
        for index in range(50):
            group.write(frame(index, 0))
    assert full.closed
    written = (tmp_path / "sub/clip.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in written][:2] == [0, 1]


def test_group_sends_still_and_moving_pictures_to_their_sinks(tmp_path):
    moving, pictures = sink("jsonl", tmp_path), sink("json", tmp_path)
    with SinkGroup([moving], [pictures]) as group:
        group.write(still())
        group.write(frame(0))
    assert sorted(p.name for p in group.written) == ["a.json", "clip.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_error_that_names_the_folder(tmp_path):
    (tmp_path / "poses.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(DataError, match="cannot write below '.*No space left"),
        sink("jsonl", tmp_path) as out,
    ):
        out.write(still())


def test_tables_in_which_nobody_is_have_their_columns(tmp_path):
    # today's pyarrow refuses numpy 1
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    with SinkGroup(open_sinks("csv,parquet", tmp_path)) as out:
        for index in range(2):
            out.write(frame(index, 0))
    columns = frame(0, 0).row_keys
    assert columns == list(frame(0).to_rows()[0])
    assert (tmp_path / "sub/clip.csv").read_text().split() == [",".join(columns)]
    assert parquet.read_table(tmp_path / "sub/clip.parquet").column_names == columns


@pytest.mark.parametrize("name", ["json", "jsonl", "csv", "coco", "image", "yolo", "sheet"])
def test_folders_that_are_not_there_are_made(tmp_path, name):
    folder = tmp_path / "not" / "yet"
    with sink(name, folder) as out:
        out.write(still())
    assert any(p.is_file() for p in folder.iterdir())


def test_a_picture_that_jpeg_cannot_hold_is_told(tmp_path):
    wide = still()
    wide.image = np.zeros((4, 70_000, 3), np.uint8)
    with pytest.raises(DataError, match=r"a.png of the shape \(4, 70000, 3\) cannot be written"):
        sink("image", tmp_path).write(wide)


def test_coco_ids_are_each_of_one_picture(tmp_path):
    names = ["a.jpg", "0.jpg", "01.jpg", "x/1.jpg", "b.jpg", "785.jpg"]
    with sink("coco", tmp_path) as out:
        for name in names:
            out.write(still(name, 1))
    found = json.loads((tmp_path / "poses_coco.json").read_text())
    assert [row["image_id"] for row in found] == [0, 1, 2, 3, 4, 785]


def test_folders_of_frames_with_the_same_numbers_do_not_slow_coco_down(tmp_path):
    out = sink("coco", tmp_path)
    out.begin(tmp_path / "a.json", still()).close()
    rounds = [[out._image_id(still(f"{n}.jpg", 0)) for n in range(200)] for _ in range(50)]
    assert rounds[0] == list(range(200))
    assert len(set(itertools.chain(*rounds))) == 50 * 200
    # by halves: each number that is asked for leads near its end
    assert max(_steps(out._after, n) for n in range(200)) < 30


def _steps(after, number):
    count = 0
    while number in after:
        number, count = after[number], count + 1
    return count


def test_a_sheet_takes_pictures_of_any_shape(tmp_path):
    with sink("sheet", tmp_path) as out:
        for shape in ((1, 5000), (5000, 1), (1, 1)):
            line = still(f"{shape}.png", 0)
            line.image = np.full((*shape, 3), 90, np.uint8)
            out.write(line)
    assert cv2.imread(str(out.written[0])) is not None


@pytest.mark.parametrize("layout", ["poise", "mmpose"])
def test_json_of_a_keypoint_without_a_place_is_valid(tmp_path, layout):
    nowhere = still()
    nowhere.keypoints[0, 3] = np.nan
    with sink("json", tmp_path, layout=layout) as out:
        out.write(nowhere)

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    json.loads(out.written[0].read_text(), parse_constant=refuse)


def test_yolo_labels_of_other_keypoints_go_elsewhere(tmp_path):
    mouse = still("mouse.png", 0)
    mouse.metainfo = parse_pose_metainfo({"from_file": "ap10k"})
    with sink("yolo", tmp_path) as out:
        out.write(mouse)
    described = (tmp_path / "data.yaml").read_text()
    assert "names: {0: animal}\n" in described
    # those of the same keypoints may come later, and what a user changed stays
    (tmp_path / "data.yaml").write_text(described.replace("images", "pictures"))
    with sink("yolo", tmp_path) as out:
        out.write(mouse)
    assert "train: pictures" in (tmp_path / "data.yaml").read_text()
    with pytest.raises(DataError, match="is of other keypoints: expected kpt_names: .*nose.* got"):
        sink("yolo", tmp_path).write(still())


def test_what_is_not_known_is_empty_in_tables(tmp_path):
    result = frame(0, 1)
    result.instances.keypoints[0, 0] = np.nan
    result.instances.bbox_scores[:] = np.nan
    row = result.to_rows()[0]
    assert (row["nose_x"], row["bbox_score"]) == (None, None)
    with sink("csv", tmp_path) as out:
        out.write(result)
    with (tmp_path / "sub/clip.csv").open() as file:
        (read,) = csv.DictReader(file)
    assert (read["nose_x"], read["bbox_score"], read["nose_score"] != "") == ("", "", True)


def test_parquet_parts_agree_where_a_keypoint_is_in_some_only(tmp_path, monkeypatch):
    dataset = pytest.importorskip("pyarrow.dataset", exc_type=ImportError)
    monkeypatch.setattr("poise.inference.sinks.table_files._PART_ROWS", 1)
    with sink("parquet", tmp_path) as out:
        for index in range(2):
            result = frame(index, 1)
            if index == 0:
                result.instances.keypoints[0, 0] = np.nan
            out.write(result)
    table = dataset.dataset(tmp_path / "sub/clip.parquet").to_table()
    nose = table.sort_by("frame")["nose_x"].to_pylist()
    assert nose[0] is None
    assert nose[1] is not None
