"""`poise predict` as it is called."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.predict import predict as command
from poise.errors import ArgumentError, DataError
from poise.inference import SINKS

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"


@pytest.fixture
def run():
    import typer

    app = typer.Typer()
    app.command()(command)

    def call(*args):
        return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)

    return call


@pytest.fixture
def clip(tmp_path):
    photo = cv2.resize(cv2.imread(str(PHOTO)), (256, 256))
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (256, 256))
    for n in range(6):
        writer.write(np.roll(photo, 2 * n, 1))
    writer.release()
    return path


def test_help_names_all_that_can_be_saved(run):
    text = " ".join(run("--help").output.replace("│", " ").split())
    listed = text.partition("comma separated: ")[2].partition(", or none")[0].split(", ")
    assert [*listed, "show"] == list(SINKS)


SMALL = ("-m", "movenet-lightning", "--detector", "whole-image", "--device", "cpu")


def test_picture_gives_a_drawn_picture_and_json(run, tmp_path):
    done = run(PHOTO, "--out", tmp_path / "out", *SMALL, "--timing")
    assert done.exit_code == 0
    assert "1 of 1 picture, 1 pose ->" in done.output
    assert "network" in done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "astronaut.json",
        "astronaut_pose.jpg",
    ]


def test_video_gives_a_video_and_lines_with_ids(run, clip, tmp_path):
    done = run(clip, "--out", tmp_path / "out", *SMALL, "--track", "--smooth", "one-euro")
    assert done.exit_code == 0, done.output
    assert "6 of 6 frames, 6 poses ->" in done.output
    lines = (tmp_path / "out/clip.jsonl").read_text().splitlines()
    people = [json.loads(line)["instances"][0] for line in lines]
    assert len({p["track_id"] for p in people}) == 1
    assert (tmp_path / "out/clip_pose.mp4").stat().st_size > 1000


def test_save_chooses_what_is_written(run, clip, tmp_path):
    done = run(clip, PHOTO, "--out", tmp_path / "out", *SMALL, "--save", "csv,coco")
    assert "7 of 7 pictures and frames" in done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "clip.csv",
        "clip_coco.json",
        "poses.csv",
        "poses_coco.json",
    ]
    nothing = run(PHOTO, "--out", tmp_path / "none", *SMALL, "--save", "none")
    assert "nothing written" in nothing.output
    assert not (tmp_path / "none").exists()


def test_bad_picture_is_named_and_the_exit_status_tells(run, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"junk")
    done = run(tmp_path / "x.jpg", PHOTO, "--out", tmp_path / "out", *SMALL, "--no-draw")
    assert done.exit_code == 1
    assert "no readable picture" in done.output
    assert "1 of 2 pictures, 1 pose " in done.output
    assert "error" in json.loads((tmp_path / "out/x.json").read_text())


def test_folder_of_results_that_is_a_file_is_refused_before_anything_runs(run, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="is a file"):
        run("nowhere.jpg", "--out", tmp_path / "out", "-m", "not-even-a-model")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--lift-weights", "lifter.pth"], "of the lifter that --lift names; give both"),
        (["--no-draw", "--save", "image,json"], "--no-draw and --save image exclude each other"),
        (["--format", "mmpose", "--save", "csv"], "--format mmpose is for JSON files, and --save"),
        (["--style", "openpose", "--save", "json"], "add image or video to --save"),
        (["--no-draw", "--draw-covariances"], "--covariances writes numbers"),
    ],
)
def test_options_that_would_be_ignored_are_refused(run, args, said):
    with pytest.raises(ArgumentError, match=said):
        run(PHOTO, *args)


@pytest.mark.parametrize("count", [1, 2])
def test_a_box_for_several_pictures_is_refused(run, count):
    with pytest.raises(ArgumentError, match="for one picture or video, and 2 are given; --boxes"):
        run(PHOTO, PHOTO, *["--box", "10,10,90,90"] * count)


def test_a_fault_of_all_frames_is_one_line(run, clip, tmp_path):
    (tmp_path / "boxes.json").write_text('{"other.avi": []}')
    done = run(clip, "--boxes", tmp_path / "boxes.json", "--out", tmp_path / "out", *SMALL)
    assert done.output.count("has no entry for") == 1
    assert "0 of 6 frames" in done.output


def test_what_is_not_drawn_may_go_without_drawing(run, tmp_path):
    done = run(PHOTO, "--no-draw", "--save", "yolo", "--out", tmp_path / "out", *SMALL)
    assert done.exit_code == 0


def test_somebody_followed_who_is_not_there_is_named(run, clip, tmp_path):
    done = run(clip, "--out", tmp_path / "out", *SMALL, "--follow", "99")
    assert "nobody was found whom --follow 99 means" in done.output


@pytest.mark.slow
def test_ctrl_c_leaves_readable_files(tmp_path):
    photo = cv2.resize(cv2.imread(str(PHOTO)), (128, 128))
    long = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(long), cv2.VideoWriter_fourcc(*"MJPG"), 25, (128, 128))
    # more than can be done before the signal comes, however long that takes
    for _ in range(6000):
        writer.write(photo)
    writer.release()
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "poise", "predict", str(long), "--out", str(out), *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    lines = out / "long.jsonl"
    end = time.monotonic() + 240
    while time.monotonic() < end and process.poll() is None:
        if lines.is_file() and lines.read_text().count("\n") >= 3:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    # people are impatient: the second one must not break what is being finished
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=240)
    assert "stopped by Ctrl-C" in text, text
    assert process.returncode == 130
    frames = [json.loads(line)["frame"] for line in lines.read_text().splitlines()]
    assert frames == list(range(len(frames)))
    drawn = cv2.VideoCapture(str(out / "long_pose.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames)
    drawn.release()
