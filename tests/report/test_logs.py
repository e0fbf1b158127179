"""Logs of runs read back, compared and drawn."""

from __future__ import annotations

import json

import pytest

from poise.errors import ArgumentError, DataError, FileMissingError
from poise.report import draw_curves, read_run
from poise.report.curves import choose_panels


def write(path, rows, tail=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + tail)


@pytest.fixture
def run(tmp_path):
    """A run of two epochs, killed in the second and gone on with from the first's end."""
    first = [
        {"lr": 0.1, "time": 9.0, "loss": 4.0, "epoch": 1, "iter": 5, "step": 5},
        {"lr": 0.1, "time": 1.0, "loss": 3.0, "epoch": 1, "iter": 10, "step": 10},
        {"coco/AP": 0.5, "step": 1},
        {"lr": 0.1, "time": 1.0, "loss": 99.0, "epoch": 2, "iter": 15, "step": 15},
    ]
    second = [
        {"lr": 0.1, "time": 3.0, "loss": 2.0, "epoch": 2, "iter": 15, "step": 15},
        {"lr": 0.01, "time": 3.0, "loss": 1.0, "epoch": 2, "iter": 20, "step": 20},
        {"coco/AP": 0.4, "coco/AR": 0.6, "step": 2},
    ]
    write(tmp_path / "mine" / "20260101_000000" / "vis_data" / "scalars.json", first)
    write(tmp_path / "mine" / "20260102_000000" / "vis_data" / "scalars.json", second)
    return tmp_path / "mine"


def test_starts_of_a_run_are_joined_where_it_went_on(run):
    log = read_run(run)
    assert log.name == "mine"
    assert log.curve("loss") == ([5, 10, 15, 20], [4.0, 3.0, 2.0, 1.0])
    assert log.curve("coco/AP") == ([10, 20], [0.5, 0.4])
    assert log.curve("nothing") == ([], [])


def test_lines_of_a_users_hook_leave_those_of_a_validation_as_they_are(tmp_path):
    rows = [
        {"lr": 0.1, "loss": 3.0, "epoch": 1, "iter": 10, "step": 10},
        {"coco/AP": 0.5, "step": 1},
        {"extra": 7.0, "step": 1},
    ]
    write(tmp_path / "scalars.json", rows)
    log = read_run(tmp_path)
    assert log.curve("coco/AP") == ([10], [0.5])
    assert log.curve("extra") == ([10], [7.0])


def test_a_validation_that_a_resumed_run_begins_with_stands_where_the_first_part_ended(run):
    third = [
        {"coco/AP": 0.7, "step": 2},
        {"lr": 0.01, "loss": 1.0, "epoch": 3, "iter": 25, "step": 25},
    ]
    write(run / "20260103_000000" / "vis_data" / "scalars.json", third)
    assert read_run(run).curve("coco/AP") == ([10, 20], [0.5, 0.7])


def test_the_summary_has_last_losses_best_metrics_and_mean_times(run):
    summary = read_run(run).summary()
    assert summary["loss"] == 1.0
    assert summary["coco/AP (highest)"] == 0.5
    assert summary["coco/AP (last)"] == 0.4
    # the first line holds the start of the workers
    assert summary["time"] == pytest.approx((1 + 3 + 3) / 3)


def test_mmpose_lines_with_a_mode_are_read(tmp_path):
    rows = [
        {"mode": "train", "epoch": 1, "iter": 50, "lr": 0.1, "loss": 2.0},
        {"mode": "val", "epoch": 1, "iter": 60, "AP": 0.3},
    ]
    write(tmp_path / "old.log.json", rows)
    log = read_run(tmp_path)
    assert log.curve("AP") == ([60], [0.3])
    assert log.curve("loss") == ([50], [2.0])


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    write(tmp_path / "scalars.json", [{"loss": 1.0, "iter": 1}], tail='{"loss": 0.')
    assert len(read_run(tmp_path / "scalars.json").train) == 1


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda p: p / "nowhere", FileMissingError, "does not exist"),
        (lambda p: p, FileMissingError, "no scalars.json in"),
    ],
)
def test_missing_logs_are_named(tmp_path, make, kind, match):
    with pytest.raises(kind, match=match):
        read_run(make(tmp_path))


def test_a_broken_line_is_named(tmp_path):
    write(tmp_path / "scalars.json", [], tail='{"loss"\n{"loss": 1, "iter": 1}\n')
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_run(tmp_path / "scalars.json")


def test_panels_join_what_belongs_together(run):
    assert choose_panels([read_run(run)]) == [["loss"], ["coco/AP", "coco/AR"], ["lr"]]


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_curves_become_a_picture_of_the_kind_of_its_name(run, tmp_path, ending, start):
    path = tmp_path / f"curves.{ending}"
    draw_curves([read_run(run), read_run(run)], path)
    assert path.read_bytes().startswith(start)


def test_a_scalar_that_no_run_has_is_named(run):
    with pytest.raises(ArgumentError, match="one of .*got 'lsos'; did you mean 'loss'"):
        draw_curves(read_run(run), keys=["lsos"])
