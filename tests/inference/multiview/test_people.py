"""Cameras calibrated by the people whom they see."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli import options
from poise.cli.main import app
from poise.errors import ArgumentError, DataError, PoiseError
from poise.geometry import Camera
from poise.inference.multiview import calibrate_from_people, read_cameras, triangulate
from poise.inference.multiview.people.adjusting import Observed, Settings, State, adjust, covariance
from poise.inference.multiview.people.body import Body
from poise.inference.multiview.people.judging import check_result
from poise.inference.multiview.people.report import Accuracy
from poise.inference.results.pose_result import SourceInfo
from poise.structures import parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
HAND = parse_pose_metainfo({"from_file": "configs/_base_/datasets/onehand10k.py"})


class Scene:
    """Cameras, people, and what they see."""

    def __init__(self, walkers, views=3, people=1, frames=60, seed=0, cameras=None, change=None):
        rng = np.random.default_rng(seed)
        self.cameras = cameras or walkers.arc(rng, views, False, 0.0)
        self.names = [camera.name for camera in self.cameras]
        self.bodies = np.stack([walkers.walk(rng, 1.75, 1.5, frames) for _ in range(people)], 1)
        if change is not None:
            self.bodies = change(self.bodies)
        usual = {"noise": 1.0, "missing": 0.05, "swap": 0.0, "offset": 0}
        self.results = [
            walkers.seen(rng, camera, self.bodies, COCO, **usual)[0] for camera in self.cameras
        ]

    def calibrate(self, **options):
        return calibrate_from_people(self.results, names=self.names, **options)

    def late(self, view, frames):
        """Give a view's frames other numbers."""
        self.results[view] = [
            dataclasses.replace(r, frame_index=r.frame_index + frames) for r in self.results[view]
        ]
        return self


@pytest.fixture(scope="module")
def three(walkers):
    return Scene(walkers)


@pytest.fixture(scope="module")
def found(three):
    return three.calibrate(height=1.75)


def off(found, cameras):
    """Degrees and metres of each camera against the first, beside the truth."""
    first, own = cameras[0], found.cameras[0]
    turns, places = [], []
    for camera, got in zip(cameras, found.cameras, strict=True):
        turn = (got.rotation @ own.rotation.T).T @ camera.rotation @ first.rotation.T
        turns.append(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        there = first.rotation @ (camera.center - first.center)
        places.append(np.linalg.norm(own.rotation @ (got.center - own.center) - there))
    return np.array(turns), np.array(places)


def test_cameras_come_back(found, three):
    turns, places = off(found, three.cameras)
    assert turns.max() < 0.5
    # the build of a body is known to three parts in a hundred
    assert places.max() < 0.4
    for got, true in zip(found.cameras, three.cameras, strict=True):
        assert got.matrix[0, 0] == pytest.approx(true.matrix[0, 0], rel=0.03)
        assert (got.name, got.size) == (true.name, true.size)
    assert 0.5 < found.error < 2.0
    assert found.offset_options() == ""


def test_people_stand_on_the_floor_and_cameras_over_it(found, three):
    placed = triangulate(three.results, found.cameras, names=three.names)
    points = np.stack([result.keypoints_3d[0] for result in placed])
    ankles = np.nanmedian(points[:, 15:, 2].min(1))
    assert ankles == pytest.approx(0.039 * 1.75, abs=0.02)
    assert np.nanmedian(points[:, 0, 2]) == pytest.approx(1.6, abs=0.1)
    assert np.abs(np.nanmedian(points[:, 11, :2], axis=0)).max() < 0.3
    heights = [camera.center[2] for camera in found.cameras]
    np.testing.assert_allclose(heights, [c.center[2] for c in three.cameras], atol=0.15)
    # the first camera looks along y
    assert found.cameras[0].rotation[2, 1] > 0.8
    assert abs(found.cameras[0].rotation[2, 0]) < 0.01


def test_what_it_says_is_how_sure_it_is(found, three):
    text = found.text()
    assert "people are 1.75 m tall (± 3.0 % of every length)" in text
    assert re.search(r"cam1 +\d+ +\d\.\d +\d+ +± \d\.\d % +± \d\.\d° +± \d+ cm", text)
    assert "assumed of cam0, cam1, cam2: no distortion" in text
    turns, _ = off(found, three.cameras)
    sure = np.array([own.turn for own in found.accuracy])
    assert (turns[1:] < 4 * sure[1:]).all()
    assert (sure[1:] < 2).all()


def test_without_a_length_the_scale_is_called_a_guess(three):
    text = three.calibrate().text()
    assert "scale: A GUESS: nobody told a length, so people are taken for 1.70 m tall" in text
    assert "--height" in text


def test_a_limb_or_a_distance_gives_the_scale(three, found):
    true = np.linalg.norm(three.cameras[0].center - three.cameras[2].center)
    by_cameras = three.calibrate(distance=("cam0", "cam2", true))
    assert off(by_cameras, three.cameras)[1].max() < 0.1
    shank = np.median(np.linalg.norm(three.bodies[:, 0, 13] - three.bodies[:, 0, 15], axis=-1))
    by_limb = three.calibrate(limb=("left_knee:left_ankle", shank))
    assert off(by_limb, three.cameras)[1].max() < 0.15
    assert by_limb.scale.spread == 0.02
    assert by_cameras.scale.spread < by_limb.scale.spread < found.scale.spread


def test_lenses_that_are_known_stay(three):
    known = [dataclasses.replace(c, distortion=[0.01, 0, 0, 0]) for c in three.cameras]
    found = three.calibrate(height=1.75, known=known)
    for got, true in zip(found.cameras, known, strict=True):
        np.testing.assert_array_equal(got.matrix, true.matrix)
        np.testing.assert_array_equal(got.distortion, true.distortion)
    assert "assumed of" not in found.text()
    assert "given" in found.text()


def test_cameras_of_one_lens_share_it(three):
    found = three.calibrate(height=1.75, same_focal=True)
    assert len({camera.matrix[0, 0] for camera in found.cameras}) == 1


def test_offsets_are_found(walkers):
    scene = Scene(walkers, frames=120, seed=1).late(1, 17).late(2, -40)
    found = scene.calibrate(offsets="auto", height=1.75)
    assert found.offsets == {"cam0": 0, "cam1": 17, "cam2": -40}
    assert found.offset_options() == " --offset cam1=17 --offset cam2=-40"
    assert off(found, scene.cameras)[0].max() < 0.5
    told = scene.calibrate(offsets={"cam1": 17, "cam2": -40}, height=1.75)
    np.testing.assert_allclose(told.cameras[2].center, found.cameras[2].center, atol=1e-6)


def test_a_small_offset_is_noticed(walkers):
    scene = Scene(walkers, frames=90, seed=1).late(1, 3)
    text = scene.calibrate(height=1.75).text()
    assert "cam1 and cam0 would fit better +3 frames apart" in text
    assert "run again with --sync" in text


def test_two_people_are_told_apart(walkers):
    scene = Scene(walkers, people=2, frames=50, seed=3)
    found = scene.calibrate(height=1.75)
    assert off(found, scene.cameras)[0].max() < 0.5
    # the ids of the views mean nothing to the others
    for result in scene.results[1]:
        result.instances.set_field(3 - result.track_ids, "track_ids")
    again = scene.calibrate(height=1.75)
    np.testing.assert_allclose(again.cameras[1].center, found.cameras[1].center, atol=1e-6)


def test_people_without_ids_are_followed(walkers):
    scene = Scene(walkers, people=2, frames=50, seed=3)
    for result in itertools.chain(*scene.results):
        result.instances.pop("track_ids")
    assert off(scene.calibrate(height=1.75), scene.cameras)[0].max() < 1.0


def test_cameras_join_along_a_chain(walkers):
    scene = Scene(walkers, frames=120)
    scene.results[0], scene.results[2] = scene.results[0][:60], scene.results[2][60:]
    assert off(scene.calibrate(height=1.75), scene.cameras)[0].max() < 1.5


def test_moments_with_sides_mixed_up_do_no_harm(walkers):
    scene = Scene(walkers, seed=2)
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    for result in scene.results[1][::10]:
        result.instances.set_field(result.instances.keypoints[:, swap], "keypoints")
    assert off(scene.calibrate(height=1.75), scene.cameras)[0].max() < 0.5


def test_a_single_pair_of_known_lenses(walkers):
    scene = Scene(walkers, views=2, seed=4)
    found = scene.calibrate(height=1.75, known=scene.cameras)
    assert off(found, scene.cameras)[0].max() < 0.7


# ------------------------------------------------------------------------ refusals


def still(bodies):
    return np.repeat(bodies[:1], len(bodies), 0)


def beside(walkers, metres):
    first = walkers.arc(np.random.default_rng(0), 2, False, 0.0)[0]
    moved = dataclasses.replace(
        first, name="b", translation=first.translation + np.array([metres, 0, 0])
    )
    return [first, moved]


def test_somebody_who_stands_still_is_too_little(walkers):
    with pytest.raises(
        DataError, match=r"nobody moves: keypoints stay within 0\.0\d m.*walks about for 20"
    ):
        Scene(walkers, views=2, change=still).calibrate()


def test_cameras_at_one_place_are_refused(walkers):
    scene = Scene(walkers, cameras=beside(walkers, 0.1))
    with pytest.raises(DataError, match=r"cam0 and b stand too near.*meet at \d\.\d°.*farther"):
        scene.calibrate()


def test_few_degrees_between_rays_are_told(walkers):
    scene = Scene(walkers, frames=100, cameras=beside(walkers, 0.4))
    assert re.search(r"rays meet at \d° only, so depth is unsure", scene.calibrate().text())


def test_too_few_frames_are_refused(walkers):
    with pytest.raises(DataError, match=r"cam0: nobody is followed for 10 frames.*in 8 of 8"):
        Scene(walkers, frames=8).calibrate()


def test_frames_that_do_not_meet_are_refused(walkers):
    scene = Scene(walkers, views=2).late(1, 1000)
    with pytest.raises(DataError, match=r"frames cam0 0 to 59; cam1 1000 to 1059.*--sync"):
        scene.calibrate()


def test_another_time_is_refused(walkers):
    scene = Scene(walkers, views=2, frames=200).late(1, 12)
    with pytest.raises(DataError, match=r"do not see the same: at best \d+ %.*--sync"):
        scene.calibrate()


def test_a_first_camera_is_unsure_of_its_lens_alone():
    there = np.random.default_rng(0).normal(0, 1, (20, 17, 3))
    unsure, sure = Accuracy(20, 1.0, 0.0, 0.0, 0.16), Accuracy(20, 1.0, 7.0, 0.1, 0.01)
    with pytest.raises(DataError, match=r"^a would be too unsure: ± 16 % of its focal length\."):
        check_result("ab", [unsure, sure], [0, 3], np.zeros(2), there)
    own = dataclasses.replace(unsure, focal=0.0)
    with pytest.raises(
        DataError, match=r"^b would be too unsure: ± 7.0° and 10 cm against a, ± 1 "
    ):
        check_result("ab", [own, sure], [0, 3], np.zeros(2), there)


def test_without_hips_nothing_says_where_up_is(walkers):
    scene = Scene(walkers)
    for result in itertools.chain(*scene.results):
        result.instances.keypoint_scores[:, 11:13] = 0.1
    with pytest.raises(DataError, match="where up is: nobody has hips and shoulders"):
        scene.calibrate(height=1.75)


def test_a_camera_that_nothing_connects_is_named(walkers):
    scene = Scene(walkers).late(2, 1000)
    with pytest.raises(DataError, match="cam2 cannot be placed: nobody whom cam0, cam1 see"):
        scene.calibrate()


def test_an_offset_that_is_not_clear_is_refused(walkers):
    scene = Scene(walkers, views=2, change=still)
    with pytest.raises(DataError, match=r"offset of cam1 cannot be found.*--offset"):
        scene.calibrate(offsets="auto")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fov": 200}, "fov is given in degrees, 5 to 150; got 200"),
        ({"height": 1.8, "distance": ("cam0", "cam1", 2)}, "each say the scale; give one"),
        ({"height": 1800}, "given in metres, such as 1.78; got 1800"),
        ({"person": "one"}, "person="),
        ({"offsets": "find"}, "or 'auto'"),
        ({"offsets": {"cam9": 3}}, "there is no camera or view 'cam9'"),
        ({"distance": ("cam0", "cam9", 2.0)}, "there is no camera or view 'cam9'; there are cam0"),
        ({"limb": ("knee:ankle", 0.4)}, "such as left_knee:left_ankle; got 'knee:ankle'"),
    ],
)
def test_words_and_numbers_that_cannot_be(three, options, text):
    with pytest.raises((ArgumentError, DataError), match=re.escape(text)):
        three.calibrate(**options)


def test_views_that_cannot_be(three):
    with pytest.raises(DataError, match="at least two cameras"):
        calibrate_from_people(three.results[:1])
    with pytest.raises(DataError, match="two cameras are called 'a'"):
        calibrate_from_people(three.results[:2], names=["a", "a"])
    sizeless = [[dataclasses.replace(r, noted_size=None) for r in v] for v in three.results]
    with pytest.raises(DataError, match="nothing says how large its pictures are"):
        calibrate_from_people(sizeless)
    with pytest.raises(DataError, match="arms and legs are known by name"):
        Body.of(HAND)


def test_somebody_else_for_a_while_is_told(walkers):
    scene, other = (Scene(walkers, views=2, frames=150, seed=seed) for seed in (5, 6))
    scene.results[1][110:] = other.results[1][110:]
    text = scene.calibrate().text()
    assert re.search(r"only [67]\d % of the keypoints of cam0 and cam1 fit together", text)


# --------------------------------------------------------------------------- parts


def test_height_of_a_body_of_known_build(walkers):
    rng = np.random.default_rng(0)
    heights = [
        Body.of(COCO).height(walkers.walk(rng, 1.8, 1.5, 50)[:, Body.of(COCO).index])
        for _ in range(20)
    ]
    # builds are drawn with a deviation of three parts in a hundred
    assert np.mean(heights) == pytest.approx(1.8, rel=0.02)


def seen_exactly(people):
    """Three cameras that see a limb and two points of people (R,), and the state that fits."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (30, 4, 3))
    points[:, 1] = points[:, 0] + [0, 0, 0.5]
    turns = np.stack([Camera("", np.eye(3), rotation=[0, a, 0]).rotation for a in (0, 0.8, -0.7)])
    shifts = np.array([[0, 0, 5.0], [0.1, 0.2, 5.5], [-0.2, 0, 6.0]])
    local = np.einsum("vij,rkj->vrki", turns, points) + shifts[:, None, None]
    pixels = 900 * local[..., :2] / local[..., 2:]
    limbs, kinds = np.array([[0, 1]]), np.array([0])
    seen = Observed(pixels, np.ones(pixels.shape[:3]), people, limbs, kinds, np.arange(30))
    lengths = np.full((people.max() + 1, 1), np.log(0.5))
    return seen, State(turns, shifts, np.log(np.full(3, 900.0)), lengths, points)


def test_an_adjustment_ends_at_what_is_seen():
    seen, true = seen_exactly(np.zeros(30, int))
    points, turns = true.points, true.turns
    rng = np.random.default_rng(1)
    start = State(
        turns @ Camera("", np.eye(3), rotation=[0.01, -0.02, 0.01]).rotation,
        true.shifts * [1, 1, 1.03],
        np.log([950.0, 850.0, 920.0]),
        true.lengths,
        points + rng.normal(0, 0.02, points.shape),
    )
    settings = Settings(np.arange(3), np.full(3, -1), np.log(np.full(3, 900.0)), 10.0)
    state, cost = adjust(seen, start, settings)
    assert cost < 1e-4
    np.testing.assert_allclose(np.exp(state.focals), 900, rtol=1e-3)
    relative = state.turns[1] @ state.turns[0].T
    np.testing.assert_allclose(relative, turns[1] @ turns[0].T, atol=1e-3)


def test_somebody_without_limbs_does_not_loosen_the_scale():
    seen, true = seen_exactly(np.repeat([0, 1], [29, 1]))
    settings = Settings(np.full(3, -1), np.full(3, -1), true.focals, 0.3)
    whole = covariance(seen, true, settings, blocks=5)
    true.points[29, 0] = np.nan
    part = covariance(seen, true, settings, blocks=5)
    assert np.sqrt(np.diag(part)).max() < 1.2 * np.sqrt(np.diag(whole)).max()


def test_command_writes_what_triangulate_reads(three, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from poise.inference.sinks import open_sinks

    for results in three.results:
        (sink,) = open_sinks("jsonl", tmp_path / "views")
        for result in results:
            sink.write(result)
        sink.close()
    files = sorted(map(str, (tmp_path / "views").glob("*.jsonl")))
    assert [name.rpartition("/")[2] for name in files] == [f"{n}.jsonl" for n in three.names]
    done = CliRunner().invoke(
        app, ["cameras", "from-people", *files, "--height", "1.75", "-o", "cameras.toml"]
    )
    assert done.exit_code == 0, done.output
    assert "median error" in done.output
    assert "next: poise triangulate" in done.output
    assert [camera.name for camera in read_cameras("cameras.toml")] == three.names
    done = CliRunner().invoke(app, ["triangulate", *files, "-c", "cameras.toml", "--save", "jsonl"])
    assert done.exit_code == 0, done.output
    assert "60 frames, 60 poses of 1 person" in done.output
    done = CliRunner().invoke(app, ["measure", "triangulated/triangulated.jsonl"])
    assert done.exit_code == 0, done.output
    assert "person 1: seen in space; 60 frames" in done.output
    assert "-> measured/triangulated_angles.csv" in done.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--limb", "left_knee=0.4"], "--limb takes NAME:NAME=METRES"),
        (["--distance", "a:b=two"], "--distance takes NAME:NAME=METRES"),
        (["--sync", "--offset", "a=1"], "--sync finds the offsets, --offset says them"),
        (["-o", "cameras.txt"], "cameras are written as"),
    ],
)
def test_command_refuses(tmp_path, arguments, text):
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file in files:
        file.write_text("")
    command = ["cameras", "from-people", *map(str, files), *arguments]
    done = CliRunner().invoke(app, command)
    assert done.exit_code != 0
    told = done.output + (str(done.exception) if isinstance(done.exception, PoiseError) else "")
    assert text in " ".join(told.split())


class Looks:
    """An inferencer whose videos show what a scene has."""

    def __init__(self, scene):
        self.seen = {f"{n}.mp4": r for n, r in zip(scene.names, scene.results, strict=True)}

    def predict(self, name, **_):
        if name in self.seen:
            return self.seen[name]
        # a folder
        files = [SourceInfo(f"{name}/{i}.jpg") for i in range(len(self.seen[f"{name}.mp4"]))]
        return [
            dataclasses.replace(result, name=file.name, source=file, frame_index=0, time=None)
            for file, result in zip(files, self.seen[f"{name}.mp4"], strict=True)
        ]


@pytest.mark.parametrize("ending", [".mp4", ""])
def test_a_refusal_tells_what_is_kept(walkers, tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    scene = Scene(walkers, views=2, frames=8)
    monkeypatch.setattr(options, "open_inferencer", lambda *_, **__: Looks(scene))
    names = [f"cam0{ending}", f"cam1{ending}"]
    for name in names:
        Path(name).write_bytes(b"") if ending else Path(name).mkdir()
    done = CliRunner().invoke(app, ["cameras", "from-people", *names])
    assert isinstance(done.exception, DataError)
    kept = ["views/cam0.jsonl", "views/cam1.jsonl"]
    assert f"take seconds: poise cameras from-people {' '.join(kept)} ..." in str(done.exception)
    again = CliRunner().invoke(app, ["cameras", "from-people", *kept])
    assert "nobody is followed" in str(again.exception)
    assert "take seconds" not in str(again.exception)
