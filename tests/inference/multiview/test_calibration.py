"""Pictures of boards -> calibrated cameras."""

import dataclasses

import cv2
import numpy as np
import pytest

from poise.errors import DataError, FileMissingError, UnknownNameError
from poise.geometry import Camera, triangulate_points
from poise.inference.multiview import Board, calibrate_cameras, read_cameras, write_cameras
from poise.inference.multiview.boards import Sighting
from poise.inference.multiview.lens_calibration import LENSES, calibrate_lens
from poise.inference.multiview.placing import place_cameras

BOARD = Board.of("9x6", 0.05)
SIZE = (640, 480)
#: From the axes of a board that lies face up to the calibrated world.
FACE_UP = np.diag([1.0, -1.0, -1.0])
COEFFICIENTS = {
    "standard": [-0.2, 0.05, 0.001, -0.001],
    "brown": [-0.2, 0.05, 0.001, -0.001, 0.02],
    "rational": [0.1, -0.1, 0.001, 0.001, 0.01, 0.3, -0.05, 0.02],
    "fisheye": [-0.02, 0.01, -0.003, 0.001],
    "none": [],
}


def rig(count=3, lens="standard"):
    """Cameras side by side that look down at the world's middle."""
    cameras = []
    for v in range(count):
        angle = -0.7 + 0.7 * v
        place = np.array([np.sin(angle), -np.cos(angle), 0.75])
        z = np.array([0, 0, 0.05]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1])
        x /= np.linalg.norm(x)
        turn = np.stack((x, np.cross(z, x), z))
        focal = (330 if lens == "fisheye" else 560) + 10 * v
        matrix = [[focal, 0, 322], [0, focal + 3, 237], [0, 0, 1]]
        cameras.append(
            Camera(
                f"cam{v}", matrix, COEFFICIENTS[lens], turn, -turn @ place, SIZE, lens == "fisheye"
            )
        )
    return cameras


def sightings(cameras, poses, *, noise=0.0, board=BOARD, seed=0):
    """What exact detection gives, without pictures."""
    rng = np.random.default_rng(seed)
    out = []
    for camera in cameras:
        seen = {}
        for number, (turn, place) in enumerate(poses):
            pixels = camera.project(board.points @ turn.T + place)
            pixels = pixels + rng.normal(0, noise, pixels.shape)
            seen[f"{number:03d}"] = Sighting(np.arange(len(pixels)), pixels)
        out.append(seen)
    return out


def centers_from(cameras, pose):
    """(V, 3) places of cameras in the world of a board's pose."""
    turn, place = pose
    return np.stack([FACE_UP @ turn.T @ (camera.center - place) for camera in cameras])


@pytest.fixture(scope="module")
def shot(drawn, tmp_path_factory):
    """Folders with pictures of three cameras, the cameras, and the board's poses."""
    cameras, poses = rig(), drawn.board_poses(10)
    folder = tmp_path_factory.mktemp("board")
    return drawn.shoot(folder, cameras, BOARD, poses), cameras, poses


@pytest.fixture(scope="module")
def found(shot):
    """What calibration makes of these pictures alone."""
    return calibrate_cameras(shot[0], BOARD, origin="000")


def test_cameras_come_back_from_pictures(shot, found):
    _, cameras, poses = shot
    assert [camera.name for camera in found.cameras] == ["cam0", "cam1", "cam2"]
    assert found.looked == [10, 10, 10]
    assert min(found.found) >= 6
    assert found.error < 0.5
    for true, camera in zip(cameras, found.cameras, strict=True):
        np.testing.assert_allclose(camera.matrix[:2, :2], true.matrix[:2, :2], rtol=0.04, atol=1e-6)
        assert camera.size == SIZE
    centers = np.stack([camera.center for camera in found.cameras])
    expected = centers_from(cameras, poses[0])
    np.testing.assert_allclose(centers, expected, atol=0.03)
    assert (centers[:, 2] > 0.5).all()  # z points up from the board to the cameras


def test_points_are_placed_in_metres_by_cameras_that_were_calibrated(shot, found):
    _, cameras, poses = shot
    turn, place = poses[3]
    corners = BOARD.points @ turn.T + place
    pixels = np.stack([camera.project(corners) for camera in cameras])
    points = triangulate_points(pixels, found.cameras)
    sides = np.linalg.norm(np.diff(points.points.reshape(6, 9, 3), axis=1), axis=-1)
    np.testing.assert_allclose(sides, 0.05, atol=0.001)
    assert np.nanmean(points.errors) < 1.0


def test_known_lenses_are_taken_as_they_are(shot, tmp_path):
    folders, cameras, poses = shot
    write_cameras(tmp_path / "lenses.toml", cameras)
    known = read_cameras(tmp_path / "lenses.toml", placed=False)
    found = calibrate_cameras(folders, BOARD, known=known, origin="000")
    centers = np.stack([camera.center for camera in found.cameras])
    np.testing.assert_allclose(centers, centers_from(cameras, poses[0]), atol=0.006)
    for true, camera in zip(cameras, found.cameras, strict=True):
        np.testing.assert_allclose(camera.matrix, true.matrix)
    assert "given" in found.text()
    # lenses alone have no places
    lenses = calibrate_cameras(folders[:1], BOARD, lens_only=True)
    assert lenses.places is None
    assert lenses.cameras[0].center.tolist() == [0, 0, 0]
    write_cameras(tmp_path / "one.json", lenses.cameras)
    assert len(read_cameras(tmp_path / "one.json", placed=False)) == 1


def test_the_command_writes_a_file_and_says_how_well(shot, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from poise.cli.main import app

    folders, cameras, _ = shot
    monkeypatch.chdir(tmp_path)
    write_cameras("lenses.json", cameras)
    arguments = ["cameras", "calibrate", *map(str, folders), "--board", "9x6", "--square", "0.05"]
    arguments += ["--intrinsics", "lenses.json"]
    done = CliRunner().invoke(app, [*arguments, "--origin", "000", "-o", "calib.toml"])
    assert done.exit_code == 0, done.output
    assert "cam1" in done.output
    assert "the origin is the board in '000'" in done.output
    assert [camera.name for camera in read_cameras("calib.toml")] == ["cam0", "cam1", "cam2"]
    refused = CliRunner().invoke(app, [*arguments, "-o", "calib.npz"])
    assert "cameras are written as .toml" in str(refused.exception)


def test_a_video_is_as_good_as_pictures(shot, tmp_path, drawn):
    import av

    folders, cameras, poses = shot
    videos = []
    for folder in folders[:2]:
        path = tmp_path / f"{folder.name}.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.bit_rate = 20_000_000
            for picture in sorted(folder.iterdir()):
                frame = av.VideoFrame.from_ndarray(cv2.imread(str(picture)), "bgr24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        videos.append(path)
    found = calibrate_cameras(videos, BOARD, known=cameras, every=2, origin="0")
    assert found.looked == [5, 5]
    centers = np.stack([camera.center for camera in found.cameras])
    np.testing.assert_allclose(centers, centers_from(cameras[:2], poses[0]), atol=0.02)


def test_charuco_boards_are_found_in_part(drawn):
    board = Board.of("6x5", 0.06, marker=0.045, dictionary="4X4_50")
    camera = rig(2)[1]
    (pose, *_) = drawn.board_poses(1)
    shifted = pose[0], pose[1] + [0.28, 0, 0]
    picture = drawn.picture_of(board, shifted, camera, drawn.rays_of(camera), drawn.texture(board))
    seen = board.find(picture)
    assert 6 <= len(seen.ids) < 30
    expected = camera.project(board.points @ pose[0].T + shifted[1])[seen.ids]
    # versions of OpenCV differ by half a pixel
    np.testing.assert_allclose(seen.pixels, expected, atol=1.5)
    assert board.find(np.full((480, 640, 3), 128, np.uint8)) is None


def test_corners_have_one_order_from_every_side(drawn):
    (pose, *_) = drawn.board_poses(1)
    texture = drawn.texture(BOARD)
    for quarter in range(4):
        angle = quarter * np.pi / 2
        spin = np.array(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        )
        camera = rig(3, "none")[1]
        camera = dataclasses.replace(camera, rotation=spin @ camera.rotation, translation=
                                     spin @ camera.translation)  # fmt: skip
        seen = BOARD.find(drawn.picture_of(BOARD, pose, camera, drawn.rays_of(camera), texture))
        expected = camera.project(BOARD.points @ pose[0].T + pose[1])
        # a corner of another place is squares away
        np.testing.assert_allclose(seen.pixels, expected, atol=1.5)


@pytest.mark.parametrize("lens", LENSES)
def test_lenses_come_back_from_corners(drawn, lens):
    true = rig(1, lens)[0]
    poses = drawn.board_poses(20)
    (seen,) = sightings([true], poses, noise=0.02)
    fit = calibrate_lens("cam0", seen, BOARD, SIZE, lens=lens)
    assert fit.error < 0.05
    np.testing.assert_allclose(fit.camera.matrix, true.matrix, rtol=0.01, atol=2.0)
    assert len(fit.camera.distortion) == LENSES[lens]
    points = np.random.default_rng(0).uniform(-0.25, 0.25, (200, 3))
    ideal = dataclasses.replace(fit.camera, rotation=true.rotation, translation=true.translation)
    assert np.abs(ideal.project(points) - true.project(points)).max() < 2.0


def test_a_picture_that_does_not_fit_is_dropped_and_named(drawn):
    true = rig(1)[0]
    (seen,) = sightings([true], drawn.board_poses(15), noise=0.05)
    wrong = seen["007"]
    shaken = wrong.pixels + np.random.default_rng(1).normal(0, 6, wrong.pixels.shape)
    seen["007"] = Sighting(wrong.ids, shaken)
    fit = calibrate_lens("cam0", seen, BOARD, SIZE)
    assert list(fit.dropped) == ["007"]
    assert "the others' 0." in fit.dropped["007"]
    assert "007" not in fit.used
    assert fit.error < 0.1


def test_a_lens_comes_from_the_pictures_that_are_left(drawn):
    (seen,) = sightings([rig(1)[0]], drawn.board_poses(24), noise=0.05)
    rng = np.random.default_rng(3)
    # the worst hide the next ones until they are gone
    for number, shake in enumerate([80, 80, 80, 20, 20, 20, 5, 5, 5, 1.5, 1.5, 1.5]):
        wrong = seen[f"{number:03d}"]
        pixels = wrong.pixels + rng.normal(0, shake, wrong.pixels.shape)
        seen[f"{number:03d}"] = Sighting(wrong.ids, pixels)
    fit = calibrate_lens("cam0", seen, BOARD, SIZE)
    again = calibrate_lens("cam0", {key: seen[key] for key in fit.used}, BOARD, SIZE)
    assert again.used == fit.used
    np.testing.assert_allclose(fit.camera.matrix, again.camera.matrix)
    assert fit.error == pytest.approx(again.error)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_places_are_exact_without_noise(drawn, count):
    cameras, poses = rig(count), drawn.board_poses(8)
    seen = sightings(cameras, poses)
    # not every camera sees every board
    for number, views in enumerate(seen[1:], start=1):
        del views[f"{number:03d}"]
    places = place_cameras(cameras, seen, BOARD, origin="000")
    centers = np.stack([camera.center for camera in places.cameras])
    np.testing.assert_allclose(centers, centers_from(cameras, poses[0]), atol=1e-5)
    turn = poses[0][0] @ FACE_UP
    for true, camera in zip(cameras, places.cameras, strict=True):
        np.testing.assert_allclose(camera.rotation, true.rotation @ turn, atol=1e-5)
    assert max(places.errors) < 1e-3
    assert places.origin == "000"


def test_a_chain_of_cameras_is_placed(drawn):
    cameras, poses = rig(3), drawn.board_poses(9)
    seen = sightings(cameras, poses, noise=0.1)
    # the outer two share nothing
    seen[0] = {k: v for k, v in seen[0].items() if int(k) < 4}
    seen[2] = {k: v for k, v in seen[2].items() if int(k) >= 4}
    places = place_cameras(cameras, seen, BOARD, origin="000")
    centers = np.stack([camera.center for camera in places.cameras])
    np.testing.assert_allclose(centers, centers_from(cameras, poses[0]), atol=0.005)
    assert places.counts == [4, 9, 5]


def test_a_sighting_that_does_not_fit_is_dropped_and_named(drawn):
    cameras, poses = rig(3), drawn.board_poses(8)
    seen = sightings(cameras, poses, noise=0.1)
    wrong = seen[1]["005"]
    seen[1]["005"] = Sighting(wrong.ids, wrong.pixels + np.array([12, -9]))
    places = place_cameras(cameras, seen, BOARD, origin="000")
    assert ("cam1", "005") in places.dropped
    centers = np.stack([camera.center for camera in places.cameras])
    np.testing.assert_allclose(centers, centers_from(cameras, poses[0]), atol=0.006)


def test_what_cannot_be_calibrated_is_told(drawn, shot, tmp_path):
    folders, cameras, _ = shot
    poses = drawn.board_poses(6)
    seen = sightings(cameras[:2], poses)
    apart = [
        {k: v for k, v in seen[0].items() if int(k) < 3},
        {k: v for k, v in seen[1].items() if int(k) >= 3},
    ]
    with pytest.raises(DataError, match="no picture shows the board to one of cam0 and to one of"):
        place_cameras(cameras[:2], apart, BOARD)
    with pytest.raises(DataError, match="no camera finds the board in the picture '999'"):
        place_cameras(cameras[:2], seen, BOARD, origin="999")
    with pytest.raises(DataError, match="no camera finds the board in any picture"):
        place_cameras(cameras[:2], [{}, {}], BOARD)
    few = dict(list(seen[0].items())[:4])
    with pytest.raises(DataError, match=r"9 x 6 inner corners is found in 4 pictures, and 5"):
        calibrate_lens("cam0", few, BOARD, SIZE)
    with pytest.raises(UnknownNameError, match="lens must be one of .*did you mean 'fisheye'"):
        calibrate_lens("cam0", seen[0], BOARD, SIZE, lens="fishey")
    with pytest.raises(DataError, match="looks the same after half a turn"):
        calibrate_cameras(folders, Board.of("8x6", 0.05))
    with pytest.raises(DataError, match="there is no camera 'left'; there are cam0, cam1"):
        calibrate_cameras(folders[:2], BOARD, offsets={"left": 2})
    with pytest.raises(FileMissingError, match="there is no file or folder"):
        calibrate_cameras([folders[0], tmp_path / "none"], BOARD)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="no picture of .* can be used: .*cannot be opened"):
        calibrate_cameras([tmp_path / "text.mp4"], BOARD)
    with pytest.raises(DataError, match="two cameras are called 'cam0'"):
        calibrate_cameras([folders[0], folders[0]], BOARD)


def test_pictures_that_cannot_be_used_are_named(shot, tmp_path):
    folders, cameras, _ = shot
    folder = tmp_path / "cam0"
    folder.mkdir()
    for picture in sorted(folders[0].iterdir())[:3]:
        (folder / picture.name).write_bytes(picture.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    found = calibrate_cameras([folder], BOARD, known=cameras, lens_only=True)
    assert found.looked == [4]
    assert "broken.png" in found.text()
    cv2.imwrite(str(folder / "small.png"), np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(DataError, match="has 100 x 100 pixels, the pictures of this camera before"):
        calibrate_cameras([folder], BOARD, known=cameras, lens_only=True)


@pytest.mark.parametrize(
    ("size", "square", "options", "text"),
    [
        ("9", 0.03, {}, "given as 9x6, its inner corners; got '9'"),
        ("2x6", 0.03, {}, "3 x 3 inner corners at least, got 2 x 6"),
        ("9x6", 30, {}, "in metres, such as 0.03; got 30"),
        ("9x6", 0.03, {"marker": 0.04}, "smaller than its square of 0.03 m, got 0.04"),
        ("9x6", 0.03, {"marker": 0.02, "dictionary": "9X9"}, "no dictionary of markers '9X9'"),
    ],
)
def test_boards_that_cannot_be_are_refused(size, square, options, text):
    with pytest.raises((DataError, UnknownNameError)) as caught:
        Board.of(size, square, **options)
    assert text in str(caught.value)
