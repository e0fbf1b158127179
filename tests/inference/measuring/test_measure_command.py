"""`poise measure`, and the files it writes."""

import csv
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.inference.lifting import SPACE_3D
from poise.inference.measuring import find_steps
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks import open_sinks


def saved(folder, results, kind="jsonl"):
    (sink,) = open_sinks(kind, folder)
    with sink:
        for result in results:
            sink.write(result)
    return sink.written[0]


def run(*arguments):
    return CliRunner().invoke(app, ["measure", *map(str, arguments)])


def table(path):
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def test_a_video_becomes_a_table_a_summary_and_a_page(tmp_path, walker):
    points, true = walker.walk(300)
    file = saved(tmp_path, walker.results(walker.from_the_side(points)))
    out = tmp_path / "out"
    done = run(file, "--out", out, "--velocity", "--save", "csv,mot,json,html")
    assert done.exit_code == 0, done.output
    assert "person 1: seen from the side, looks to the right in 100% of frames" in done.output
    assert "not measured, no keypoints of these: flexion of fingers" in done.output
    cells = table(out / "walk_angles.csv")
    assert list(cells)[:5] == ["frame", "time", "person", "left_hip_flexion", "right_hip_flexion"]
    for name, values in true.items():
        np.testing.assert_allclose(cells[name], values, atol=0.1)
    slope = np.gradient(true["left_hip_flexion"], cells["time"])
    np.testing.assert_allclose(cells["left_hip_flexion_velocity"], slope, atol=10)
    summary = json.loads((out / "walk_angles.json").read_text())
    (person,) = summary["people"]
    hip = person["angles"]["left_hip_flexion"]
    assert (hip["min"], hip["max"]) == pytest.approx((-12, 28), abs=0.2)
    assert hip["fastest"] == pytest.approx(20 * np.pi * walker.cadence / 60, rel=0.03)
    assert abs(person["symmetry"]["hip_flexion"]) < 1
    assert person["steps"]["cadence"] == pytest.approx(walker.cadence, rel=0.01)
    assert person["steps"]["left_step_time"] == pytest.approx(60 / walker.cadence, rel=0.03)
    assert summary["absent"]["left_hip_abduction"] == "seen from the side"
    page = (out / "walk_angles.html").read_text()
    assert "<figcaption>knee flexion <output>" in page
    assert page.count('class="step"') > 20


def test_opensim_reads_columns_of_its_models(tmp_path, walker):
    points, true = walker.walk(20)
    file = saved(tmp_path, walker.results(points * [-1, 1, 1], space=SPACE_3D))
    assert run(file, "--out", tmp_path / "out", "--save", "mot").exit_code == 0
    lines = (tmp_path / "out/walk_angles.mot").read_text().splitlines()
    names = lines[6].split("\t")
    assert lines[:6] == [
        "walk_angles.mot", "version=1", "nRows=20", f"nColumns={len(names)}", "inDegrees=yes",
        "endheader",
    ]  # fmt: skip
    cells = dict(zip(names, np.loadtxt(lines[7:], delimiter="\t").T, strict=True))
    np.testing.assert_allclose(cells["knee_angle_l"], true["left_knee_flexion"], atol=0.1)
    np.testing.assert_allclose(cells["pelvis_tilt"], -true["trunk_lean"], atol=0.1)
    np.testing.assert_allclose(cells["time"], np.arange(20) / 50, atol=1e-6)


def test_several_people_are_apart_and_steps_of_space_have_lengths(tmp_path, walker):
    points, true = walker.walk(150)
    file = saved(tmp_path / "a", walker.results(points * [-1, 1, 1], space=SPACE_3D))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines[40:]:
        line["instances"].append(line["instances"][0] | {"track_id": 9})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    done = run(file, "--out", out, "--save", "csv,json,mot")
    assert done.exit_code == 0, done.output
    cells = table(out / "walk_angles.csv")
    assert (np.diff(cells["frame"]) >= 0).all()
    second = cells["person"] == 9
    assert second.sum() == 110
    np.testing.assert_allclose(
        cells["left_knee_flexion"][second], true["left_knee_flexion"][40:], atol=0.1
    )
    assert sorted(p.name for p in out.glob("*.mot")) == ["walk_angles_1.mot", "walk_angles_9.mot"]
    steps = json.loads((out / "walk_angles.json").read_text())["people"][0]["steps"]
    apart = 2 * np.sin(np.radians(18)) * 0.85
    assert steps["left_step_length"] == pytest.approx(apart, abs=0.15)


def test_saved_3d_scores_count(tmp_path, walker):
    points, _ = walker.walk(30)
    results = list(walker.results(points * [-1, 1, 1], space=SPACE_3D))
    for result in results:
        scores = np.ones((1, 26), np.float32)
        scores[0, walker.names.index("left_ankle")] = 0.1
        result.instances.set_field(scores, "keypoint_scores_3d")
    file = saved(tmp_path, results)
    assert run(file, "--out", tmp_path / "out", "--save", "csv").exit_code == 0
    cells = table(tmp_path / "out/walk_angles.csv")
    assert np.isnan(cells["left_knee_flexion"]).all()
    assert np.isfinite(cells["right_knee_flexion"]).all()
    # the 2D keypoints are sure
    assert run(file, "--flat", "--out", tmp_path / "flat", "--save", "csv").exit_code == 0
    assert "left_shoulder_plane" not in table(tmp_path / "flat/walk_angles.csv")


def test_unsure_frames_are_counted_and_gaps_can_be_filled(tmp_path, walker):
    points, true = walker.walk(60)
    scores = np.ones((60, 26))
    scores[20:23, walker.names.index("left_knee")] = 0.05
    file = saved(tmp_path, walker.results(walker.from_the_side(points), scores=scores))
    done = run(file, "--out", tmp_path / "out", "--save", "json")
    assert re.search(r"knee_flexion .* 3$", done.output, re.MULTILINE), done.output
    person = json.loads((tmp_path / "out/walk_angles.json").read_text())["people"][0]
    assert person["angles"]["left_knee_flexion"]["unsure_frames"] == 3
    done = run(file, "--out", tmp_path / "full", "--save", "csv", "--smooth", "savgol")
    assert done.exit_code == 0, done.output
    cells = table(tmp_path / "full/walk_angles.csv")
    np.testing.assert_allclose(cells["left_hip_flexion"], true["left_hip_flexion"], atol=2)


def test_without_ids_people_are_tracked_and_pictures_are_each_alone(tmp_path, walker):
    points, true = walker.walk(12)
    flat = walker.from_the_side(points)
    file = saved(tmp_path / "a", walker.results(flat, ids=()))
    assert run(file, "--out", tmp_path / "out").exit_code == 0
    assert set(table(tmp_path / "out/walk_angles.csv")["person"]) == {1}
    pictures = []
    for result in walker.results(flat, ids=()):
        pictures.append(
            PoseResult(None, result.instances, result.metainfo, f"a,{result.frame_index}.jpg")
        )
    file = saved(tmp_path / "b", pictures)
    done = run(file, "--out", tmp_path / "stills", "--velocity")
    assert "12 people of 12 pictures, 0 empty cells" in done.output
    rows = list(csv.DictReader((tmp_path / "stills/poses_angles.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == [f"a,{i}.jpg" for i in range(12)]
    knees = [float(row["left_knee_flexion"]) for row in rows]
    np.testing.assert_allclose(knees, true["left_knee_flexion"], atol=0.1)


def test_one_frame_is_measured_and_nobody_is_said(tmp_path, walker):
    points, _ = walker.walk(1)
    file = saved(tmp_path / "a", walker.results(walker.from_the_side(points)))
    done = run(file, "--out", tmp_path / "out", "--velocity")
    assert done.exit_code == 0, done.output
    assert table(tmp_path / "out/walk_angles.csv")["trunk_lean"] == pytest.approx(5, abs=0.01)
    empty = next(iter(walker.results(walker.from_the_side(points))))
    empty.instances = empty.instances[:0]
    file = saved(tmp_path / "b", [empty])
    done = run(file, "--out", tmp_path / "nobody")
    assert (done.exit_code, done.output) == (0, "-> nothing written: nobody is there\n")


def test_people_of_whom_nothing_is_known_have_empty_cells(tmp_path, walker):
    points, _ = walker.walk(4)
    file = saved(tmp_path, walker.results(np.full_like(walker.from_the_side(points), np.nan)))
    done = run(file, "--out", tmp_path / "out", "--velocity")
    assert done.exit_code == 0, done.output
    assert "unsure 100% of angles" in done.output


def test_angles_are_a_sink_of_predictions(tmp_path, walker):
    points, true = walker.walk(10)
    path = saved(tmp_path, walker.results(walker.from_the_side(points)), "angles")
    assert path.name == "walk_angles.csv"
    np.testing.assert_allclose(table(path)["left_hip_flexion"], true["left_hip_flexion"], atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--save", "xlsx"], "--save must be one of 'csv', 'mot', 'json', 'html', got 'xlsx'"),
        (["--min-score", "2"], "(--min-score) is a score, 0 to 1, below which"),
        (["--min-score", "nan"], "keypoints do not count; got nan"),
        (["--side", "top"], "--side must be one of 'auto', 'left'"),
        (["--velocity", "--window", "4"], "odd number of frames, 3 or more, got 4"),
        (["--angles", "none.toml"], "there is no file 'none.toml' of angles"),
        (["--smooth", "savgl"], "did you mean 'savgol'"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, walker, arguments, text):
    points, _ = walker.walk(2)
    file = saved(tmp_path, walker.results(walker.from_the_side(points)))
    done = run(file, *arguments, "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert text in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_video_are_refused(tmp_path, walker):
    points, _ = walker.walk(2)
    files = [saved(tmp_path / n, walker.results(walker.from_the_side(points))) for n in "ab"]
    done = run(*files, "--out", tmp_path / "out")
    assert "both hold poses of walk.mp4; measure them one by one" in str(done.exception)


def test_feet_that_stand_make_no_steps():
    times = np.arange(200) / 50
    sway = 0.02 * np.sin(np.pi * times)[:, None] * [1, -1]
    assert find_steps(sway, times) is None
    assert find_steps(np.full((200, 2), np.nan), times) is None
    swing = 0.5 * np.sin(2 * np.pi * times)[:, None] * [1, -1]
    found = find_steps(swing, times)
    assert found.cadence == pytest.approx(120, rel=0.01)
    np.testing.assert_allclose(found.left, [0.25, 1.25, 2.25, 3.25], atol=0.021)
    assert np.isnan(found.lengths).all()


def test_a_folder_is_told_with_what_it_holds(tmp_path, walker):
    points, _ = walker.walk(2)
    file = saved(tmp_path / "a", walker.results(walker.from_the_side(points)))
    done = run(tmp_path / "a")
    assert f"'{tmp_path / 'a'}' is a folder; give the files in it" in str(done.exception)
    assert str(file) in str(done.exception)
    (tmp_path / "b").mkdir()
    assert "it has none that end in .jsonl" in str(run(tmp_path / "b").exception)


def test_a_file_of_another_name_gives_the_title(tmp_path, walker):
    """Poses of several cameras bear the name of the first camera's video."""
    points, _ = walker.walk(30)
    file = saved(tmp_path, walker.results(points, space="metres, z up"))
    file = file.rename(tmp_path / "triangulated.jsonl")
    done = run(file, "--out", tmp_path / "out")
    assert "triangulated, person 1: seen in space" in done.output
    assert "Angles of triangulated<" in (tmp_path / "out/triangulated_angles.html").read_text()
    summary = json.loads((tmp_path / "out/triangulated_angles.json").read_text())
    assert summary["video"] == "triangulated"


def test_who_turns_to_the_camera_is_seen_from_the_side_and_then_from_the_front(tmp_path, walker):
    points, true = walker.walk(400)
    side, front = walker.from_the_side(points[:250]), walker.from_the_front(points[250:])
    file = saved(tmp_path, walker.results(np.concatenate((side, front))))
    done = run(file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    seen = (
        r"from the side in 6\d% of frames, looks to the right in 100% of these; else from the front"
    )
    assert re.search(seen, done.output)
    cells = table(tmp_path / "out/walk_angles.csv")
    assert np.isnan(cells["left_hip_flexion"][280:]).all()
    np.testing.assert_allclose(
        cells["left_hip_flexion"][:220], true["left_hip_flexion"][:220], atol=0.1
    )
    assert np.isnan(cells["left_hip_abduction"][:220]).all()
    assert np.abs(cells["left_hip_abduction"][280:]).max() < 0.1
    person = json.loads((tmp_path / "out/walk_angles.json").read_text())["people"][0]
    # the other view is no lack of knowledge
    assert person["angles"]["left_hip_flexion"]["unsure_frames"] == 0
    assert person["steps"]["cadence"] == pytest.approx(walker.cadence, rel=0.02)


def test_who_reaches_across_for_a_moment_is_still_seen_from_the_side(tmp_path, walker):
    points, true = walker.walk(400)
    flat = walker.from_the_side(points)
    flat[200:240, walker.names.index("right_shoulder"), 0] += 120
    file = saved(tmp_path, walker.results(flat))
    done = run(file, "--out", tmp_path / "out")
    assert "seen from the side, looks to the right in 100% of frames" in done.output
    cells = table(tmp_path / "out/walk_angles.csv")
    np.testing.assert_allclose(cells["left_knee_flexion"], true["left_knee_flexion"], atol=0.1)


def test_a_file_that_is_not_there_is_told_before_others_are_measured(tmp_path, walker):
    points, _ = walker.walk(2)
    file = saved(tmp_path, walker.results(walker.from_the_side(points)))
    done = run(file, tmp_path / "none.jsonl", "--out", tmp_path / "out")
    assert "none.jsonl" in str(done.exception)
    assert not (tmp_path / "out").exists()
