"""Results of a file, and what `poise smooth` makes of them."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.errors import DataError, FileMissingError
from poise.inference.results.calibration import Calibration
from poise.inference.results.pose_result import PoseResult, SourceInfo, empty_instances
from poise.inference.results.reading import read_results
from poise.inference.sinks import open_sinks
from poise.inference.smoothing import build_smoother
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})


def results(frames=20, missing=(8, 9)):
    rng = np.random.default_rng(0)
    body = rng.uniform(100, 200, (17, 2))
    for t in range(frames):
        people = [] if t in missing else [body + 2 * t + rng.normal(0, 1, (17, 2))]
        points = np.array(people, np.float32).reshape(-1, 17, 2)
        count = len(points)
        fields = InstanceData(
            keypoints=points,
            keypoint_scores=np.full((count, 17), 0.9, np.float32),
            bboxes=np.array([[90, 90, 260, 260]] * count, np.float32).reshape(-1, 4),
            bbox_scores=np.full(count, 0.8, np.float32),
        )
        yield PoseResult(
            None, fields, COCO, "clip.mp4", frame_index=t, time=t / 50,
            source=SourceInfo("clip.mp4", "video", fps=50.0), noted_size=(640, 480),
        )  # fmt: skip


@pytest.fixture
def written(tmp_path):
    (sink,) = open_sinks("jsonl", tmp_path / "in")
    with sink:
        for result in results():
            sink.write(result)
    return sink.written[0]


def test_results_come_back_as_they_were_written(written):
    for result, again in zip(results(), read_results(written), strict=True):
        assert again.to_dict() == result.to_dict()
        assert again.size == (640, 480)
        assert again.where == result.where
        np.testing.assert_allclose(again.keypoints, result.keypoints, atol=0.01)
    assert again.fps == pytest.approx(50)
    assert again.metainfo["skeleton_links"] == COCO["skeleton_links"]


def test_what_only_the_run_knew_comes_back_too(tmp_path):
    calibration = Calibration((0.0, 1.0), (0.0, 0.5))
    with open_sinks("jsonl", tmp_path)[0] as sink:
        for result in results(4, missing=()):
            result.calibration = calibration
            result.instances.set_field(np.full((1, 17), 1.5, np.float32), "keypoint_errors")
            result.instances.set_field(np.full((1, 17), 3, np.int64), "keypoint_views")
            sink.write(result)
        # a frame that could not be read still says which one it was
        lost = PoseResult(
            None, empty_instances(17), COCO, "clip.mp4", error="broken", frame_index=4,
            source=SourceInfo("clip.mp4", "video"),
        )  # fmt: skip
        sink.write(lost)
    (path,) = sink.written
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["instances"][0]["keypoint_probabilities"] == [0.45] * 17
    assert lines[4]["frame"] == 4
    assert [again.to_dict() for again in read_results(path)] == lines


def test_smoothing_a_file_keeps_its_probabilities(tmp_path):
    def told(frames):
        for result in frames:
            result.calibration = Calibration((0.0, 1.0), (0.0, 0.5))
            if result.frame_index == 3:
                result.keypoint_scores[0, 5] = 0.01
            yield result

    with open_sinks("jsonl", tmp_path / "in")[0] as sink:
        for result in told(results(12, missing=())):
            sink.write(result)
    found = list(build_smoother("savgol")(read_results(sink.written[0])))
    chances = np.array([result.probabilities[0] for result in found])
    assert found[3].instances.keypoints_filled[0].nonzero()[0].tolist() == [5]
    # of the one that was filled in, the score's own
    assert chances[3, 5] == pytest.approx(0.9, abs=0.01)
    chances[3, 5] = 0.45
    np.testing.assert_allclose(chances, 0.45)


def test_the_rate_is_that_of_many_frames(written):
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    # milliseconds, as Matroska has them, and a frame that is not there
    rounded = [e | {"time": round(e["frame"] / 30, 3)} for e in lines if e["frame"] != 1]
    written.write_text("".join(json.dumps(entry) + "\n" for entry in rounded))
    assert next(read_results(written)).fps == pytest.approx(30, rel=2e-3)


def test_a_line_that_a_run_did_not_finish_is_left_out_and_others_are_told(written, tmp_path):
    whole = written.read_text()
    written.write_text(whole[:-40])
    assert len(list(read_results(written))) == 19
    written.write_text(whole + "{broken\n")
    with pytest.raises(DataError, match="line 21 is no JSON"):
        list(read_results(written))
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"frame_id": 0, "instances": []}) + "\n")
    with pytest.raises(DataError, match="other.jsonl, line 1 is no result of Poise"):
        list(read_results(other))
    first = json.loads(whole.splitlines()[0])
    other.write_text(json.dumps(first | {"version": 99}) + "\n")
    with pytest.raises(DataError, match="has the version 99"):
        list(read_results(other))
    other.write_text(json.dumps(first | {"version": "new"}) + "\n")
    with pytest.raises(DataError, match="has the version 'new'"):
        list(read_results(other))
    first["instances"][0]["keypoints"].pop()
    other.write_text(json.dumps(first) + "\n")
    with pytest.raises(DataError, match="without a proper 'keypoints'"):
        list(read_results(other))
    with pytest.raises(FileMissingError, match="there is no file"):
        list(read_results(tmp_path / "absent.jsonl"))


def test_a_schema_that_is_not_known_keeps_its_names(written, tmp_path):
    first = json.loads(written.read_text().splitlines()[0])
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps(first | {"schema": "stick"}) + "\n")
    (result,) = read_results(own)
    assert result.keypoint_names == COCO_NAMES


def test_another_schema_under_a_known_name_keeps_its_names(written, tmp_path):
    first = json.loads(written.read_text().splitlines()[0])
    for person in first["instances"]:
        for key in ("keypoints", "keypoint_scores", "keypoint_probabilities"):
            person[key] = person[key][:3]
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps(first | {"keypoint_names": ["nose", "tail", "paw"]}) + "\n")
    (result,) = read_results(own)
    assert result.keypoint_names == ["nose", "tail", "paw"]
    assert result.to_rows()[0]["tail_x"] == pytest.approx(first["instances"][0]["keypoints"][1][0])


@pytest.mark.parametrize("missing", [(8, 9), (0, 1)])
def test_ids_of_a_file_stay_also_where_nobody_is_in_a_frame(missing, tmp_path):
    (sink,) = open_sinks("jsonl", tmp_path)
    with sink:
        for result in results(missing=missing):
            if len(result):
                result.instances.set_field(np.full(1, 41), "track_ids")
            sink.write(result)
    calm = list(build_smoother("savgol")(read_results(sink.written[0])))
    assert [len(result) for result in calm].count(0) == (0 if missing == (8, 9) else 2)
    assert {i for result in calm for i in result.track_ids.tolist()} == {41}


COCO_NAMES = [COCO["keypoint_id2name"][i] for i in range(17)]


def test_the_command_smooths_fills_gaps_and_writes_other_formats(written, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["smooth", str(written), "-o", str(out), "--save", "jsonl,dlc", "--window", "7"]
    )
    assert done.exit_code == 0, done.output
    assert "20 frames, 34 keypoints filled in" in done.output
    assert (out / "clipDLC_poise.csv").is_file()
    calm = [r.keypoints[0] for r in read_results(out / "clip.jsonl")]
    rough = [r.keypoints[0] for r in results(missing=())]
    assert np.abs(np.diff(calm, 2, axis=0)).mean() < 0.5 * np.abs(np.diff(rough, 2, axis=0)).mean()


def test_what_is_made_of_a_file_of_one_video_is_called_like_it(written, tmp_path):
    # such as the poses of several cameras, whose video is the first camera's
    other = written.rename(written.with_name("triangulated.jsonl"))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["smooth", str(other), "-o", str(out), "--save", "jsonl,csv"])
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in out.iterdir()) == ["triangulated.csv", "triangulated.jsonl"]


def test_the_command_refuses_to_write_over_its_input(written):
    done = CliRunner().invoke(app, ["smooth", str(written), "-o", str(written.parent)])
    assert done.exit_code == 1
    assert "give another --out" in str(done.exception)


def test_a_file_without_results_is_an_error_and_a_cut_one_a_warning(written, tmp_path, caplog):
    empty, picture = tmp_path / "empty.jsonl", tmp_path / "photo.jpg"
    empty.touch()
    with pytest.raises(DataError, match="empty.jsonl holds no results"):
        list(read_results(empty))
    picture.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match="photo.jpg is no text; expected what --save jsonl writes"):
        list(read_results(picture))
    written.write_text(written.read_text()[:-40])
    assert len(list(read_results(written))) == 19
    assert "line 20 is cut off and left out" in caplog.text
    caplog.clear()
    written.write_text("".join(written.read_text().splitlines(keepends=True)[:2])[:-40])
    assert len(list(read_results(written))) == 1
    assert caplog.text.count("line 2 is cut off and left out") == 1
    with pytest.raises(FileMissingError, match="no file 'nowhere.jsonl'"):
        read_results("nowhere.jsonl")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--save", "jsonl,video"], "--save video needs the pictures"),
        (["--method", "savgoal"], "smoothing must be one of one-euro, .*did you mean 'savgol'"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(written, tmp_path, options, text):
    done = CliRunner().invoke(app, ["smooth", str(written), "-o", str(tmp_path / "o"), *options])
    assert done.exit_code == 1
    assert re.search(text, str(done.exception))


def test_the_command_does_not_join_two_runs_of_one_video(written, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(written.read_text())
    done = CliRunner().invoke(app, ["smooth", str(written), str(other), "-o", str(tmp_path / "o")])
    assert done.exit_code == 1
    assert "both hold poses of clip.mp4; smooth them one by one" in str(done.exception)
