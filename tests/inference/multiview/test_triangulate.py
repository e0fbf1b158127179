"""Several videos' poses -> poses in metres."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import poise
from poise.cli.main import app
from poise.errors import ArgumentError, DataError, FileMissingError, PoiseError, UnknownNameError
from poise.inference.multiview import triangulate, write_cameras
from poise.inference.results.reading import read_results
from poise.inference.sinks import open_sinks

ROOT = Path(__file__).resolve().parents[3]


def seen(scenes, cameras, bodies, **options):
    return [
        list(scenes.see(camera, bodies, seed=number, **options))
        for number, camera in enumerate(cameras)
    ]


def errors_of(found, bodies):
    """Mean metres of each pose from the nearest person, and (id, person) pairs."""
    away, pairs = [], set()
    for t, result in enumerate(found):
        for pose, identity in zip(result.keypoints_3d, result.track_ids, strict=True):
            every = np.nanmean(np.linalg.norm(bodies[t] - pose, axis=-1), axis=-1)
            away.append(every.min())
            pairs.add((int(identity), int(every.argmin())))
    return np.array(away), pairs


def test_it_is_a_name_of_the_package():
    assert poise.triangulate is triangulate


def test_exact_poses_come_back_exactly(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(10)
    found = triangulate(seen(scenes, cameras, bodies), cameras)
    assert len(found) == 10
    away, pairs = errors_of(found, bodies)
    # results hold pixels as float32
    assert away.max() < 1e-4
    assert pairs == {(1, 0)}
    first = found[0]
    np.testing.assert_allclose(first.keypoints, cameras[0].project(bodies[0]), atol=1e-2)
    assert first.instances.keypoint_views.tolist() == [[3] * 17]
    assert first.instances.keypoint_errors.max() < 1e-2
    assert first.space_3d == "metres, the world of the cameras, z up"
    assert found.summary.found == 170
    assert found.summary.error < 1e-2


@pytest.mark.parametrize(("views", "people"), [(2, 1), (3, 3), (4, 4)])
def test_people_keep_their_ids_in_space(scenes, views, people):
    cameras, bodies = scenes.ring(views), scenes.walk(40, people)
    found = triangulate(seen(scenes, cameras, bodies, noise=2.0, missing=0.05), cameras)
    away, pairs = errors_of(found, bodies)
    assert len(away) == 40 * people
    assert away.mean() < 0.03
    assert len(pairs) == people
    assert found.summary.people == people
    assert found.summary.error == pytest.approx(2.0 * 1.2533 * (1 - 1.5 / views) ** 0.5, rel=0.15)


def test_smoothing_calms_and_fills_gaps(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(60)
    views = seen(scenes, cameras, bodies, noise=4.0)
    for view in views:
        for result in view[20:24]:
            result.instances.keypoint_scores[:, 9] = 0.01
    raw, smooth = (triangulate(views, cameras, smooth=s) for s in (None, "savgol"))
    assert np.isnan(raw[21].keypoints_3d[0, 9]).all()
    assert np.isfinite(smooth[21].keypoints_3d[0, 9]).all()
    assert smooth[21].instances.keypoints_filled[0, 9]
    # which count as those around them, in space, too
    assert smooth[21].instances.keypoint_scores_3d[0, 9] > 0.5
    assert errors_of(smooth, bodies)[0].mean() < errors_of(raw, bodies)[0].mean()


def test_a_wrong_view_is_left_out_and_counted(scenes):
    cameras, bodies = scenes.ring(4), scenes.walk(10)
    views = seen(scenes, cameras, bodies)
    for result in views[2]:
        result.instances.keypoints[:, 9] += 150
    found = triangulate(views, cameras)
    assert errors_of(found, bodies)[0].max() < 1e-4
    assert [view.rejected for view in found.summary.views] == [0, 0, 10, 0]
    assert found[0].instances.keypoint_views[0].tolist() == [4] * 9 + [3] + [4] * 7


def test_one_view_gives_no_point_and_is_counted(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(6)
    views = seen(scenes, cameras, bodies)
    for view in views[1:]:
        for result in view:
            result.instances.keypoint_scores[:, 0] = 0.1
    found = triangulate(views, cameras)
    assert np.isnan(found[0].keypoints_3d[0, 0]).all()
    assert found[0].keypoint_scores[0, 0] == 0
    assert (found.summary.too_few_views, found.summary.found) == (6, 6 * 16)
    with_lower = triangulate(views, cameras, min_score=0.05)
    assert with_lower.summary.too_few_views == 0


def test_somebody_whom_one_camera_sees_is_counted(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(5, 2)
    views = seen(scenes, cameras, bodies)
    for view in views[1:]:
        for n, result in enumerate(view):
            keep = np.abs(result.keypoints - cameras[views.index(view)].project(bodies[n, 0]))
            result.instances = result.instances[keep.max((1, 2)) < 1]
    found = triangulate(views, cameras)
    assert (found.summary.poses, found.summary.alone, found.summary.people) == (5, 5, 1)
    assert "5 of 20 times somebody was seen by one camera only" in found.summary.text()


@pytest.mark.parametrize("person", ["confident", "largest"])
def test_one_person_mode_takes_the_same_person_in_all_views(scenes, person):
    cameras, bodies = scenes.ring(3), scenes.walk(10, 2)
    views = seen(scenes, cameras, bodies, ids=True)
    for view in views:
        for result in view:
            other = result.track_ids == 2
            result.instances.keypoint_scores[other] *= 0.7
            middle = result.bboxes[other].reshape(-1, 2, 2).mean(1, keepdims=True)
            small = middle + 0.3 * (result.bboxes[other].reshape(-1, 2, 2) - middle)
            result.instances.bboxes[other] = small.reshape(-1, 4)
    found = triangulate(views, cameras, person=person)
    away, pairs = errors_of(found, bodies)
    assert pairs == {(0, 0)}
    assert away.max() < 1e-4


def test_covariances_weigh_where_all_views_have_them(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(30)
    views = seen(scenes, cameras, bodies)
    rng = np.random.default_rng(0)
    for number, view in enumerate(views):
        spread = np.diag([400.0, 0.25]) if number == 1 else np.eye(2) * 0.25
        for result in view:
            points = result.instances.keypoints
            noise = rng.normal(size=points.shape) * np.sqrt(np.diag(spread))
            result.instances.keypoints = (points + noise).astype(np.float32)
    plain = triangulate(views, cameras, max_error=200)
    for number, view in enumerate(views):
        spread = np.diag([400.0, 0.25]) if number == 1 else np.eye(2) * 0.25
        for result in view:
            whole = np.tile(spread, (len(result), 17, 1, 1)).astype(np.float32)
            result.instances.set_field(whole, "keypoint_covariances")
    # nothing is known of one keypoint in one view: it counts as much as the view's others
    views[0][3].instances.keypoint_covariances[0, 5] = np.nan
    weighted = triangulate(views, cameras, max_error=200)
    assert weighted[3].instances.keypoint_views[0, 5] == 3
    assert 3 * errors_of(weighted, bodies)[0].mean() < errors_of(plain, bodies)[0].mean()


def test_offsets_move_frames_together(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(120)
    views = [
        list(scenes.see(camera, bodies, start=start, noise=1.0, seed=start))
        for camera, start in zip(cameras, (5, 0, 17), strict=True)
    ]
    told = triangulate(views, cameras, offsets={"cam1": 5, "cam2": -12})
    assert errors_of(told, bodies[5:])[0].mean() < 0.02
    found = triangulate(views, cameras, offsets="auto")
    assert [view.offset for view in found.summary.views] == [0, 5, -12]
    assert re.search(
        r"cam2: -12 frames against cam0, where they contradict .* by 0\.\d px", found.summary.text()
    )
    early = triangulate(views, cameras, offsets={"cam1": -3, "cam2": -20})
    assert early[0].frame_index == 3
    late = triangulate(views, cameras, offsets={"cam1": 5, "cam2": 9})
    assert late[0].frame_index == 0
    relative = triangulate(views, cameras, offsets={"cam0": -5, "cam2": -17, "cam1": 0})
    assert [view.offset for view in relative.summary.views] == [0, 5, -12]


def test_the_offset_of_a_view_follows_from_the_one_that_shares_frames_with_it(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(200)
    views = [
        list(scenes.see(cameras[0], bodies[:110], noise=1.0)),
        list(scenes.see(cameras[1], bodies, start=3, noise=1.0, seed=1)),
        list(scenes.see(cameras[2], bodies, start=115, noise=1.0, seed=2)),
    ]
    found = triangulate(views, cameras, offsets="auto")
    assert [view.offset for view in found.summary.views] == [0, -3, -115]


def test_offsets_are_found_by_the_person_whom_two_views_share(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(120, 2)
    a, b = (list(scenes.see(c, bodies[k:], ids=True)) for c, k in zip(cameras, (0, 9), strict=True))
    # each camera is surest of another person
    for view, sure in ((a, 1), (b, 2)):
        for result in view:
            result.instances.keypoint_scores[:] = np.where(result.track_ids == sure, 0.9, 0.6)[
                :, None
            ]
    found = triangulate([a, b], cameras, offsets="auto")
    assert [view.offset for view in found.summary.views] == [0, -9]


def test_an_offset_that_nothing_tells_is_an_error(scenes):
    cameras = scenes.ring(2)
    still = np.repeat(scenes.walk(1), 60, 0)
    views = seen(scenes, cameras, still, noise=1.0)
    with pytest.raises(DataError, match="offset of cam1 cannot be found: nobody who moves"):
        triangulate(views, cameras, offsets="auto")
    once = seen(scenes, cameras, np.concatenate((still, scenes.walk(60)[::-1])), noise=12.0)
    with pytest.raises(DataError, match="offset of cam1 against cam0 is not clear"):
        triangulate(once, cameras, offsets="auto")
    short = [view[:10] for view in views]
    with pytest.raises(DataError, match="in another camera for 20 frames"):
        triangulate(short, cameras, offsets="auto")


@pytest.mark.parametrize("up", ["z", "-z", "y", "-y", "x", "-x"])
def test_up_turns_the_world(scenes, up):
    bodies = scenes.walk(3)
    from poise.inference.multiview.triangulating import UP_AXES

    turn = np.array(UP_AXES[up], float)
    assert np.linalg.det(turn) == 1
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1 if up[0] == "-" else 1
    assert (turn @ axis).tolist() == [0, 0, 1]
    # cameras of a world whose `up` is our z
    cameras = [scenes.turned(camera, turn.T) for camera in scenes.ring(3)]
    views = [list(scenes.see(c, bodies @ turn)) for c in cameras]
    found = triangulate(views, cameras, up=up)
    assert errors_of(found, bodies)[0].max() < 1e-4


def test_saved_predictions_give_the_same_and_go_by_name(scenes, tmp_path):
    cameras, bodies = scenes.ring(3), scenes.walk(10)
    views = seen(scenes, cameras, bodies, noise=1.0)
    for camera, view in zip(cameras, views, strict=True):
        scenes.write_lines(tmp_path / f"{camera.name}.jsonl", view)
    write_cameras(tmp_path / "calib.toml", cameras)
    # in another order than in the calibration
    files = [tmp_path / f"cam{n}.jsonl" for n in (2, 0, 1)]
    found = triangulate(files, tmp_path / "calib.toml")
    straight = triangulate(views, cameras)
    assert "matched by name" in found.summary.text()
    for a, b in zip(found, straight, strict=True):
        np.testing.assert_allclose(a.keypoints_3d, b.keypoints_3d, atol=1e-3)


def test_pictures_of_another_size_scale_the_camera(scenes, tmp_path):
    cameras, bodies = scenes.ring(2), scenes.walk(5)
    for camera in cameras:
        half = camera.scaled((640, 360))
        lines = scenes.see(half, bodies)
        scenes.write_lines(tmp_path / f"{camera.name}.jsonl", lines, size=(640, 360))
    found = triangulate([tmp_path / "cam0.jsonl", tmp_path / "cam1.jsonl"], cameras)
    assert errors_of(found, bodies)[0].max() < 1e-3
    assert "its matrix is scaled" in found.summary.text()
    scenes.write_lines(tmp_path / "cam1.jsonl", scenes.see(cameras[1], bodies), size=(640, 480))
    with pytest.raises(DataError, match="1280 x 720, and these are 640 x 480"):
        triangulate([tmp_path / "cam0.jsonl", tmp_path / "cam1.jsonl"], cameras)


def test_every_3d_format_takes_the_poses(scenes, tmp_path):
    cameras, bodies = scenes.ring(3), scenes.walk(8, 2)
    found = triangulate(seen(scenes, cameras, bodies), cameras)
    names = "jsonl,csv,trc,c3d,bvh,html"
    written = []
    for sink in open_sinks(names, tmp_path):
        with sink:
            for result in found:
                sink.write(result)
        written += [path.name for path in sink.written]
    assert written == [
        "triangulated.jsonl", "triangulated.csv",
        "triangulated_1.trc", "triangulated_2.trc",
        "triangulated_1.c3d", "triangulated_2.c3d",
        "triangulated_1.bvh", "triangulated_2.bvh",
        "triangulated_3d.html",
    ]  # fmt: skip
    rows = (tmp_path / "triangulated_1.trc").read_text().splitlines()[6:]
    values = np.array([[float(v) for v in row.split("\t")] for row in rows])[:, 2:]
    # metres, y up, z towards the viewer
    places = np.stack([r.keypoints_3d[list(r.track_ids).index(1)] for r in found])
    turned = places[..., [0, 2, 1]] * [1, 1, -1]
    np.testing.assert_allclose(values.reshape(8, 17, 3), turned, atol=1e-5)
    back = list(read_results(tmp_path / "triangulated.jsonl"))
    np.testing.assert_allclose(back[3].keypoints_3d, found[3].keypoints_3d, atol=1e-4)
    assert back[3].space_3d == found[3].space_3d
    line = json.loads((tmp_path / "triangulated.jsonl").read_text().splitlines()[0])
    assert line["instances"][0]["keypoint_views"] == [3] * 17
    assert max(line["instances"][0]["keypoint_errors"]) < 0.01


def test_another_skeleton_has_its_joints_made_in_space(scenes, tmp_path):
    cameras, bodies = scenes.ring(3), scenes.walk(6)
    views = seen(scenes, cameras, bodies)
    views[0][2].instances.keypoint_scores[0, 9] = views[1][2].instances.keypoint_scores[0, 9] = 0
    found = triangulate(views, cameras, skeleton="h36m")
    poses = np.stack([result.keypoints_3d[0] for result in found])
    names = [found[0].metainfo_3d["keypoint_id2name"][i] for i in range(17)]
    hips = bodies[:, 0, 11:13].mean(1)
    np.testing.assert_allclose(poses[:, names.index("root")], hips, atol=1e-4)
    wrist = names.index("left_wrist")
    assert np.isnan(poses[:, wrist]).any(1).tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(poses[3, wrist], bodies[3, 0, 9], atol=1e-4)
    assert "made of keypoints around them: root" in found.summary.text()
    (sink,) = open_sinks("bvh", tmp_path)
    with sink:
        for result in found:
            sink.write(result)
    assert "ROOT root" in (tmp_path / "triangulated.bvh").read_text()
    with pytest.raises(UnknownNameError, match="no keypoint schema 'h36'"):
        triangulate(views, cameras, skeleton="h36")


def test_frames_in_which_nobody_is_are_empty(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(6)
    views = seen(scenes, cameras, bodies)
    for result in views[0][2:4]:
        result.instances = result.instances[np.zeros(1, bool)]
    found = triangulate(views, cameras)
    assert [len(result) for result in found] == [1, 1, 0, 0, 1, 1]
    one = triangulate(views, cameras, person="confident")
    assert [np.isfinite(result.keypoints_3d).any() for result in one] == [
        *(True, True, False, False, True, True)
    ]
    for view in views:
        for result in view:
            result.instances = result.instances[np.zeros(len(result), bool)]
    nobody = triangulate(views, cameras)
    assert [len(result) for result in nobody] == [0] * 6
    assert "0 poses of 0 people" in nobody.summary.text()


def test_cameras_that_hardly_agree_are_said_to(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(6, 2)
    views = seen(scenes, cameras, bodies)
    # each video with the camera of another
    found = triangulate([views[1], views[0], views[2]], cameras)
    text = found.summary.text()
    assert "the cameras hardly agree: does each file go with its camera" in text
    assert "nan" not in text
    assert "hardly agree" not in triangulate(views, cameras).summary.text()


def test_bad_input_is_told(scenes, tmp_path):
    cameras, bodies = scenes.ring(3), scenes.walk(4)
    views = seen(scenes, cameras, bodies)
    cases = [
        ((views[:1], cameras), {}, DataError, "at least two views"),
        ((views[:2], cameras), {}, DataError, "2 views and 3 cameras (cam0, cam1, cam2)"),
        ((views, cameras), {"up": "w"}, ArgumentError, "up= must be one of 'z', '-z'"),
        ((views, cameras), {"person": "larges"}, ArgumentError, "did you mean 'largest'?"),
        ((views, cameras), {"min_views": 4}, DataError, "2 to the number of views, 3; got 4"),
        ((views, cameras), {"max_error": 0}, DataError, "above 0"),
        ((views, cameras), {"offsets": "now"}, ArgumentError, "or 'auto'; got 'now'"),
        ((views, cameras), {"offsets": {"cam9": 1}}, DataError, "there are cam0, cam1, cam2"),
        ((views, cameras), {"offsets": {"cam1": 0.5}}, DataError, "whole number of frames"),
        ((views, cameras), {"offsets": {"cam1": 90, "cam2": 190}}, DataError, "no two views"),
        ((views, cameras), {"names": ["a"]}, DataError, "3 views take as many names, got 1"),
        (([[], *views[1:]], cameras), {}, DataError, "view-0 holds no results"),
        (([tmp_path / "a.jsonl", *views[1:]], cameras), {}, FileMissingError, "there is no file"),
    ]
    for arguments, options, kind, text in cases:
        with pytest.raises(kind) as caught:
            triangulate(*arguments, **options)
        assert text in str(caught.value)


def test_views_of_other_keypoints_or_rates_are_refused(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(4)
    a, b = seen(scenes, cameras, bodies)
    for result in b:
        result.metainfo = {**result.metainfo, "dataset_name": "h36m"}
    with pytest.raises(DataError, match="view-0 has 17 of 'coco', view-1 17 of 'h36m'"):
        triangulate([a, b], cameras)
    a, b = seen(scenes, cameras, bodies)
    for result in b:
        result.source = dataclasses.replace(result.source, fps=30.0)
    with pytest.raises(DataError, match="view-0 has 25 frames a second, view-1 30"):
        triangulate([a, b], cameras)


def test_the_command_writes_files_and_says_what_became_of_the_keypoints(
    scenes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    cameras, bodies = scenes.ring(3), scenes.walk(20)
    write_cameras("calib.toml", cameras)
    names = []
    for number, camera in enumerate(cameras):
        lines = scenes.see(camera, bodies, noise=1.0, seed=number)
        names.append(str(scenes.write_lines(tmp_path / f"{camera.name}.jsonl", lines)))
    run = CliRunner().invoke
    done = run(app, ["triangulate", *names, "-c", "calib.toml", "--smooth", "savgol"])
    assert done.exit_code == 0, done.output
    assert "20 frames, 20 poses of 1 person" in done.output
    assert re.search(r"cam1 +20 +0 +340 +0", done.output)
    out = tmp_path / "triangulated"
    assert sorted(p.name for p in out.iterdir()) == [
        "triangulated.jsonl", "triangulated_3d.html", "triangulated_summary.json"
    ]  # fmt: skip
    summary = json.loads((out / "triangulated_summary.json").read_text())
    assert summary["found"] == 340
    assert summary["views"][0]["camera"] == "cam0"
    shown = run(app, ["cameras", "show", "calib.toml", "--out", "calib.yml"])
    assert shown.exit_code == 0
    assert "1280 x 720" in shown.output
    again = run(app, ["triangulate", *names, "-c", "calib.yml", "--offset", "cam1=0"])
    assert again.exit_code == 0, again.output


def test_the_command_refuses_before_it_works(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cameras, bodies = scenes.ring(2), scenes.walk(2)
    write_cameras("calib.toml", cameras)
    scenes.write_lines(tmp_path / "cam0.jsonl", scenes.see(cameras[0], bodies))
    ends = ["-c", "calib.toml"]
    cases = [
        (["cam0.jsonl", "cam7.mp4", *ends], "there is no file or folder 'cam7.mp4'"),
        (["cam0.jsonl", "0", *ends], "'0' is the number of a camera"),
        (["cam0.jsonl", "cam0.jsonl", *ends], "'cam0.jsonl' is given twice"),
        (["cam0.jsonl", *ends, "--save", "video"], "--save video needs the pictures"),
        (["cam0.jsonl", *ends, "--max-gap", "3"], "--max-gap goes with --smooth"),
        (["cam0.jsonl", "-c", "none.toml"], "there is no camera file"),
    ]
    for arguments, text in cases:
        done = CliRunner().invoke(app, ["triangulate", *arguments])
        assert text in str(done.exception)
    scenes.write_lines(tmp_path / "cam1.jsonl", scenes.see(cameras[1], bodies))
    done = CliRunner().invoke(
        app, ["triangulate", "cam0.jsonl", "cam1.jsonl", *ends, "--offset", "3"]
    )
    assert "--offset takes CAMERA=FRAMES" in str(done.exception)
    done = CliRunner().invoke(
        app, ["triangulate", "cam0.jsonl", "cam1.jsonl", *ends, "--offset", "cam1=3", "--sync"]
    )
    assert "give one of them" in str(done.exception)


def test_videos_of_a_poster_give_a_flat_person_in_metres(scenes, drawn, tmp_path, monkeypatch):
    """The package's own model looks at videos; what it finds lies in the plane of the poster."""
    import av
    import cv2

    photo = cv2.imread(str(ROOT / "examples/photos/astronaut.png"))
    monkeypatch.chdir(tmp_path)
    cameras = scenes.poster_cameras()
    write_cameras("calib.toml", cameras)
    step = np.array([0.03, 0, 0])
    for camera in cameras:
        rays = drawn.rays_of(camera)
        with av.open(f"{camera.name}.mp4", "w") as file:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = *camera.size, "yuv420p"
            stream.bit_rate = 8_000_000
            for t in range(4):
                picture = scenes.picture_of_poster(photo, camera, rays, t * step)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
            file.mux(stream.encode(None))
    names = [f"{camera.name}.mp4" for camera in cameras]
    arguments = ["triangulate", *names, "-c", "calib.toml", "--save", "jsonl", "-m"]
    done = CliRunner().invoke(app, [*arguments, "movenet-thunder", "--detector", "whole-image"])
    assert done.exit_code == 0, done.output
    results = list(read_results("triangulated/triangulated.jsonl"))
    poses = np.stack([result.keypoints_3d[0] for result in results])
    # of head and shoulders the model is sure; the poster stands in the plane y = 0
    assert np.abs(poses[:, :7, 1]).max() < 0.08
    assert np.abs(np.diff(poses[:, :5], axis=0) - step).mean() < 0.02
    assert 0.3 < np.linalg.norm(poses[:, 5] - poses[:, 6], axis=-1).mean() < 0.6
    # what was found in the videos is kept, and gives the same without a model
    views = [f"triangulated/views/{camera.name}.jsonl" for camera in cameras]
    again = triangulate(views, "calib.toml")
    np.testing.assert_allclose(again[2].keypoints_3d, results[2].keypoints_3d, atol=5e-3)


@pytest.mark.parametrize("option", [{"smooth": "savgoll"}, {"skeleton": "h36"}, {"offsets": "now"}])
def test_wrong_words_are_told_before_the_views_are_looked_at(scenes, option):
    def looked_at():
        raise AssertionError("nothing should be looked at")
        yield

    with pytest.raises(PoiseError):
        triangulate([looked_at(), looked_at()], scenes.ring(2), **option)


def test_a_name_that_contradicts_the_order_is_refused(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(3)
    views = seen(scenes, cameras, bodies)
    with pytest.raises(DataError, match=r"'b/cam1.mp4' is called like the camera 'cam1'.*'cam0'"):
        triangulate(views, cameras, names=["b/cam1.mp4", "b/other.mp4"])
    assert len(triangulate(views, cameras, names=["b/cam0.mp4", "b/other.mp4"])) == 3
    with pytest.raises(DataError, match="two cameras are called 'cam0'"):
        triangulate(views, [cameras[0], cameras[0]])


def test_clocks_that_are_uneven_or_drift_are_told(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(60)
    views = seen(scenes, cameras, bodies)
    assert "spaced" not in triangulate(views, cameras).summary.text()
    slower = [dataclasses.replace(r, time=r.frame_index / 24.4) for r in views[1]]
    text = triangulate([views[0], slower], cameras).summary.text()
    assert "view-1 has 24.40 frames a second, view-0 25.00: they drift apart by 1 frame;" in text
    late = [dataclasses.replace(r, time=r.time + 0.2 * (r.frame_index > 30)) for r in views[1]]
    text = triangulate([views[0], late], cameras).summary.text()
    assert re.search(r"view-1: frames are not evenly spaced in time \(up to \d+ ms off\)", text)


def test_a_view_of_which_nothing_can_be_used_is_named(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(3)
    a, b = seen(scenes, cameras, bodies)
    broken = [dataclasses.replace(result, error="broken") for result in b]
    with pytest.raises(DataError, match=r"view-0 0-2, view-1 none \(3 frames cannot be used\)"):
        triangulate([a, broken], cameras)


def test_a_rate_that_nothing_tells_is_told(scenes):
    cameras, bodies = scenes.ring(2), scenes.walk(3)
    views = seen(scenes, cameras, bodies)
    for view in views:
        for result in view:
            result.source = dataclasses.replace(result.source, fps=None)
    found = triangulate(views, cameras)
    assert "nothing says the frames a second: taken for 25" in found.summary.text()
    for result in views[1]:
        result.source = dataclasses.replace(result.source, fps=50.0)
    found = triangulate(views, cameras)
    assert "nothing says" not in found.summary.text()
    assert found[2].time == 2 / 50


def test_frames_that_are_left_out_are_counted(scenes):
    cameras, bodies = scenes.ring(3), scenes.walk(30)
    views = seen(scenes, cameras, bodies)
    text = triangulate([views[0][10:], views[1][:25], views[2][:20]], cameras).summary.text()
    assert "left out: 5 frames that only one camera has" in text
    text = triangulate(views, cameras, offsets={"cam1": -4, "cam2": -3}).summary.text()
    assert "left out" in text
    early = triangulate([views[0][5:], *views[1:]], cameras, offsets={"cam1": 4, "cam2": 3})
    assert "left out: 3 frames before the first one of view-0" in early.summary.text()


def test_pictures_of_two_sizes_are_no_view_of_one_camera(scenes, tmp_path):
    cameras, bodies = scenes.ring(2), scenes.walk(4)
    for camera in cameras:
        scenes.write_lines(tmp_path / f"{camera.name}.jsonl", scenes.see(camera, bodies))
    lines = (tmp_path / "cam1.jsonl").read_text().splitlines()
    lines[2] = lines[2].replace('"width": 1280', '"width": 640')
    (tmp_path / "cam1.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="frame 2 has 640 x 720 pixels, those before 1280 x 720"):
        triangulate([tmp_path / "cam0.jsonl", tmp_path / "cam1.jsonl"], cameras)


def test_a_camera_of_other_pictures_is_noticed_where_no_size_is_told(scenes, tmp_path):
    cameras, bodies = scenes.ring(2), scenes.walk(3)
    for camera in cameras:
        scenes.write_lines(tmp_path / f"{camera.name}.jsonl", scenes.see(camera, bodies))
    files = [tmp_path / "cam0.jsonl", tmp_path / "cam1.jsonl"]
    bare = [dataclasses.replace(camera, size=None) for camera in cameras]
    assert "calibrated with pictures" not in triangulate(files, bare).summary.text()
    large = [dataclasses.replace(c.scaled((3840, 2160)), size=None) for c in cameras]
    text = triangulate(files, large).summary.text()
    axis = "the camera's axis is at (1921, 1081); was it calibrated with pictures of another size?"
    assert f"cam0.jsonl: pictures of 1280 x 720, and {axis}" in text


@pytest.fixture
def filmed(tmp_path, monkeypatch):
    """Cameras -> their file and their videos, which are empty, in the folder one is in."""

    def film(cameras):
        monkeypatch.chdir(tmp_path)
        write_cameras("calib.toml", cameras)
        for camera in cameras:
            Path(f"{camera.name}.mp4").touch()

    return film


def test_a_refusal_names_the_views_that_were_kept(scenes, filmed, monkeypatch):
    cameras, bodies = scenes.ring(2), scenes.walk(30)
    filmed(cameras)

    class Looks:
        def predict(self, name, **_):
            camera = cameras[int(name[3])]
            return scenes.see(camera, np.repeat(bodies[:1], 30, 0), name=name)

    monkeypatch.setattr("poise.cli.options.open_inferencer", lambda *a, **k: Looks())
    arguments = ["triangulate", "cam0.mp4", "cam1.mp4", "-c", "calib.toml", "--sync"]
    done = CliRunner().invoke(app, arguments)
    text = str(done.exception)
    assert "offset of cam1 cannot be found" in text
    kept = "triangulated/views/cam0.jsonl triangulated/views/cam1.jsonl"
    assert f"take seconds: poise triangulate {kept} ..." in text
    again = CliRunner().invoke(app, ["triangulate", *kept.split(), *arguments[3:5]])
    assert again.exit_code == 0, again.output


def test_views_of_an_interrupted_run_are_not_kept_as_if_whole(scenes, filmed, monkeypatch):
    cameras, bodies = scenes.ring(2), scenes.walk(30)
    filmed(cameras)

    class Interrupted:
        def predict(self, name, **_):
            seen = scenes.see(cameras[int(name[3])], bodies, name=name)
            for n, result in enumerate(seen):
                if name == "cam1.mp4" and n == 10:
                    raise KeyboardInterrupt
                yield result

    monkeypatch.setattr("poise.cli.options.open_inferencer", lambda *a, **k: Interrupted())
    done = CliRunner().invoke(app, ["triangulate", "cam0.mp4", "cam1.mp4", "-c", "calib.toml"])
    assert done.exit_code != 0
    kept = {file.name: file.read_text() for file in Path("triangulated/views").iterdir()}
    assert {name: text.count("\n") for name, text in kept.items()} == {"cam0.jsonl": 30}


@pytest.mark.parametrize("views", [2, 3, 4])
def test_it_is_told_how_sure_places_are(scenes, views):
    cameras, bodies = scenes.ring(views), scenes.walk(40)
    found = triangulate(seen(scenes, cameras, bodies, noise=3.0), cameras)
    places = np.stack([result.keypoints_3d[0] for result in found])
    away = np.sqrt(np.nanmedian(((places - bodies[:, 0]) ** 2).sum(-1)))
    assert 0.7 * found.summary.spread < away < 1.1 * found.summary.spread
    assert f"px, ± {1000 * found.summary.spread:.0f} mm" in found.summary.text()
    assert "places are unsure" not in found.summary.text()


def test_cameras_that_stand_together_are_said_to_be_unsure(scenes):
    first = scenes.ring(1)[0]
    aside = dataclasses.replace(
        first, name="b", translation=first.translation + np.array([0.05, 0, 0])
    )
    bodies = scenes.walk(20)
    found = triangulate(seen(scenes, [first, aside], bodies, noise=1.0), [first, aside])
    assert found.summary.spread > 0.2
    assert "places are unsure: the cameras look from almost the same side" in found.summary.text()


def test_large_pictures_have_larger_errors(scenes, tmp_path):
    cameras, bodies = [c.scaled((3840, 2160)) for c in scenes.ring(3)], scenes.walk(30)
    files = [
        scenes.write_lines(
            tmp_path / f"{camera.name}.jsonl",
            scenes.see(camera, bodies, noise=8.0, seed=number),
            size=camera.size,
        )
        for number, camera in enumerate(cameras)
    ]
    usual, strict, told = (triangulate(files, cameras, max_error=n) for n in (None, 15, 30))
    rejected = [sum(v.rejected for v in found.summary.views) for found in (usual, strict, told)]
    assert rejected[1] > 50 > 10 * rejected[0]
    assert rejected[2] == rejected[0]
