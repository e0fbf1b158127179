"""Files of calibrated cameras, ours and those of other programs."""

import json
import re
import tomllib

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.errors import DataError, FileMissingError, UnknownNameError
from poise.geometry import Camera
from poise.inference.multiview import read_cameras, write_cameras

POSE2SIM = """
[int_cam1_img]
name = "int_cam1_img"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 540.1], [ 0.0, 1681.2, 960.0], [ 0.0, 0.0, 1.0]]
distortions = [ -0.001, 0.002, 0.0, 0.0]
rotation = [ 1.25, -0.3, 0.2]
translation = [ 0.1, 0.6, 4.2]
fisheye = false

[int_cam2_img]
name = "int_cam2_img"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 540.1], [ 0.0, 1681.2, 960.0], [ 0.0, 0.0, 1.0]]
distortions = [ 0.0, 0.0, 0.0, 0.0]
rotation = [ 0.9, 1.3, -0.8]
translation = [ -0.3, 0.5, 3.9]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""
EASYMOCAP = """%YAML:1.0
---
names:
  - "01"
  - "02"
K_01: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [1000, 0, 500, 0, 1000, 400, 0, 0, 1]
dist_01: !!opencv-matrix
  rows: 1
  cols: 5
  dt: d
  data: [0.1, 0, 0, 0, 0]
R_01: !!opencv-matrix
  rows: 3
  cols: 1
  dt: d
  data: [0.1, 0.2, 0.3]
T_01: !!opencv-matrix
  rows: 3
  cols: 1
  dt: d
  data: [0, 0, 3]
K_02: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [1000, 0, 500, 0, 1000, 400, 0, 0, 1]
dist_02: !!opencv-matrix
  rows: 1
  cols: 5
  dt: d
  data: [0, 0, 0, 0, 0]
Rot_02: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
T_02: !!opencv-matrix
  rows: 3
  cols: 1
  dt: d
  data: [1, 0, 3]
"""


def cameras():
    matrix = [[900, 0, 640], [0, 905, 360], [0, 0, 1]]
    fish = [-0.02, 0.01, -0.003, 0.001]
    return [
        Camera('links "1"', matrix, [], [0.1, 0.2, 0.3], [0.5, 0, 3], (1280, 720)),
        Camera("Mitte é", matrix, [0.1, 0.2, 0, 0, 0.3], [0, 1, 0], [0, 0.25, 4]),
        Camera("right", matrix, fish, [1.2, 0, -0.4], [1, 2, 3.3], (640, 480), fisheye=True),
    ]


def same(a, b, lens=True):
    np.testing.assert_allclose(a.matrix, b.matrix, atol=1e-9)
    np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-9)
    np.testing.assert_allclose(a.translation, b.translation, atol=1e-9)
    if lens:
        count = max(len(a.distortion), len(b.distortion))
        padded = [np.pad(c.distortion, (0, count - len(c.distortion))) for c in (a, b)]
        np.testing.assert_allclose(*padded)
    assert (a.name, a.size, a.fisheye) == (b.name, b.size, b.fisheye)


@pytest.mark.parametrize("suffix", [".toml", ".json", ".yml", ".yaml", ".xml"])
def test_cameras_come_back_as_they_were_written(tmp_path, suffix):
    path = tmp_path / "new" / f"calibration{suffix}"
    write_cameras(path, cameras(), error=0.4)
    for ours, read in zip(cameras(), read_cameras(path), strict=True):
        same(ours, read)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_of_pose2sim_is_read(tmp_path):
    path = tmp_path / "Calib.toml"
    path.write_text(POSE2SIM)
    first, second = read_cameras(path)
    assert (first.name, second.name) == ("int_cam1_img", "int_cam2_img")
    assert first.size == (1088, 1920)
    np.testing.assert_allclose(
        first.rotation, cv2.Rodrigues(np.array([1.25, -0.3, 0.2]))[0], atol=1e-9
    )
    np.testing.assert_allclose(first.distortion, [-0.001, 0.002, 0, 0], atol=1e-9)


def test_what_we_write_has_the_keys_of_pose2sim(tmp_path):
    write_cameras(tmp_path / "a.toml", cameras(), error=0.4)
    tree = tomllib.loads((tmp_path / "a.toml").read_text())
    assert set(tree) == {'links "1"', "Mitte é", "right", "metadata"}
    expected = {"name", "size", "matrix", "distortions", "rotation", "translation", "fisheye"}
    assert set(tree["right"]) == expected
    assert np.shape(tree["right"]["rotation"]) == (3,)
    assert len(tree['links "1"']["distortions"]) == 4
    assert tree["metadata"]["error"] == 0.4


def test_a_file_of_easymocap_is_read(tmp_path):
    path = tmp_path / "cameras.yml"
    path.write_text(EASYMOCAP)
    first, second = read_cameras(path)
    assert (first.name, second.name) == ("01", "02")
    np.testing.assert_allclose(
        first.rotation, cv2.Rodrigues(np.array([0.1, 0.2, 0.3]))[0], atol=1e-9
    )
    np.testing.assert_allclose(second.rotation, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(second.center, [-1, 0, -3], atol=1e-9)


def test_a_folder_of_easymocap_is_read(tmp_path):
    head, names, *entries = re.split(r"(?m)^(?=names|(?:K|dist|R|Rot|T)_0\d)", EASYMOCAP)
    for name, keys in (("intri.yml", ("K_", "dist_")), ("extri.yml", ("R", "T_"))):
        parts = [entry for entry in entries if entry.startswith(keys)]
        (tmp_path / name).write_text("".join([head, names, *parts]))
    assert len(entries) == 8
    _, second = read_cameras(tmp_path)
    np.testing.assert_allclose(second.center, [-1, 0, -3], atol=1e-9)
    (tmp_path / "extri.yml").unlink()
    with pytest.raises(FileMissingError, match="extri.yml"):
        read_cameras(tmp_path)


@pytest.mark.parametrize("suffix", [".yml", ".xml", ".json"])
def test_a_file_that_opencv_wrote_is_read(tmp_path, suffix):
    path = tmp_path / f"rig{suffix}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, x in (("left", 0.0), ("right", -0.3)):
        storage.startWriteStruct(name, cv2.FileNode_MAP)
        storage.write("camera_matrix", np.array([[800, 0, 320], [0, 800, 240], [0, 0, 1.0]]))
        storage.write("dist_coeffs", np.array([[0.1], [0.2], [0], [0], [0.0]]))
        storage.write("rvec", np.array([[0.1], [0], [0.2]]))
        storage.write("tvec", np.array([[x], [0], [0.0]]))
        storage.write("image_width", 640)
        storage.write("image_height", 480)
        storage.endWriteStruct()
    storage.release()
    left, right = read_cameras(path)
    assert (left.name, right.name) == ("left", "right")
    assert left.size == (640, 480)
    np.testing.assert_allclose(right.translation, [-0.3, 0, 0], atol=1e-9)
    np.testing.assert_allclose(left.distortion, [0.1, 0.2, 0, 0, 0], atol=1e-9)


@pytest.mark.parametrize("suffix", [".yml", ".xml"])
def test_opencv_reads_what_we_write(tmp_path, suffix):
    path = tmp_path / f"rig{suffix}"
    write_cameras(path, cameras())
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    node = storage.getNode("cameras").at(2)
    np.testing.assert_allclose(node.getNode("camera_matrix").mat(), cameras()[2].matrix)
    np.testing.assert_allclose(node.getNode("rotation").mat(), cameras()[2].rotation)
    storage.release()


def json_file(folder, **changes):
    entry = {
        "name": "a",
        "matrix": [[900, 0, 640], [0, 900, 360], [0, 0, 1]],
        "distortions": [0, 0, 0, 0],
        "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "translation": [0, 0, 3],
    }
    other = {**entry, "name": "b", "translation": [1.5, 0, 3]}
    root = {name: changes.pop(name) for name in ("unit",) if name in changes}
    for name in changes.pop("without", ()):
        del other[name]
    path = folder / "c.json"
    path.write_text(json.dumps({**root, "cameras": [entry, {**other, **changes}]}))
    return path


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"matrix": [[1, 2], [3, 4]]}, "camera 'b': matrix has the shape (3, 3), got (2, 2)"),
        ({"rotation": [[1, 0, 0], [0, 1, 0], [0, 0.2, 1]]}, "not at right angles"),
        ({"rotation": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "mirrors"),
        ({"rotation": [1, 2, 3, 4]}, "rotation has the shape (3, 3), got (4,)"),
        ({"translation": [1500, 0, 3000]}, "looks like millimetres, and metres are expected"),
        ({"translation": [250, 0, 300]}, "looks like centimetres or millimetres"),
        ({"translation": [0, 0, 3]}, "all cameras stand at the same place"),
        ({"without": ["rotation"]}, "the camera 'b' has no rotation; its keys are name, matrix"),
        ({"without": ["rotation", "translation"]}, "no rotation and no translation"),
        ({"without": ["matrix"]}, "the camera '1' has no matrix"),
        ({"name": "a"}, "the camera 'a' is there 2 times"),
        ({"size": [0, 5]}, "camera 'b': a size is two numbers above 0"),
        ({"size": "640x480"}, "camera 'b': could not convert string to float: '640x480'"),
        ({"distortions": [[1, 2], [3]]}, "numbers of the camera 'b'"),
        ({"unit": ["m"]}, "the unit of cameras must be one of 'm', 'cm', 'mm', got ['m']"),
        ({"distortions": [1, 2]}, "got 2"),
        ({"translation": [1, "x", 2]}, "something else than numbers"),
    ],
)
def test_wrong_cameras_are_named(tmp_path, changes, text):
    with pytest.raises((DataError, UnknownNameError)) as caught:
        read_cameras(json_file(tmp_path, **changes))
    assert text in str(caught.value)
    assert "c.json" in str(caught.value) or "unit" in changes


def test_millimetres_are_converted_when_they_are_told(tmp_path):
    path = json_file(tmp_path, translation=[1500, 0, 3])
    assert read_cameras(path, unit="mm")[1].translation.tolist() == [1.5, 0, 0.003]
    assert read_cameras(path, unit="m")[1].translation.tolist() == [1500, 0, 3]
    own = json_file(tmp_path, unit="cm", translation=[150, 0, 300])
    np.testing.assert_allclose(read_cameras(own)[1].translation, [1.5, 0, 3], atol=1e-9)
    with pytest.raises(UnknownNameError, match="must be one of 'm', 'cm', 'mm', got 'inch'"):
        read_cameras(path, unit="inch")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.toml", b"not = [toml", "cannot be read as toml"),
        ("a.json", b"{", "cannot be read as json"),
        ("a.json", b"[1]", "holds a list"),
        ("a.json", b"\xff\xfe", "cannot be read as json"),
        ("a.json", b"{}", "holds no cameras"),
        ("a.json", b'{"cameras": "x"}', "holds no cameras"),
        ("a.json", b'{"cameras": null}', "holds no cameras"),
        ("a.json", b'{"names": 5}', "holds no cameras"),
        ("a.json", b'{"K": {"rows": null, "cols": 1, "dt": "d", "data": []}}', "cannot be read"),
        ("a.toml", b"", "holds no cameras"),
        ("a.yml", b"%YAML:1.0\n---\nK: [1, 2\n  x: : :\n", "cannot be read as yml"),
        ("a.yml", b"", "a.yml"),
        ("a.xml", b"<opencv_storage><a>", "cannot be read as xml"),
        ("a.npz", b"", "is no camera file that is known"),
    ],
)
def test_broken_files_are_said_to_be_so(tmp_path, name, content, text):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_cameras(path)
    assert text in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileMissingError, match="there is no camera file"):
        read_cameras(tmp_path / "none.toml")
    with pytest.raises(DataError, match="cameras are written as"):
        write_cameras(tmp_path / "a.npz", cameras())


def test_lenses_without_places_are_shown(tmp_path):
    lens = [[900, 0, 640], [0, 900, 360], [0, 0, 1]]
    write_cameras(tmp_path / "lens.toml", [Camera(n, lens, size=(1280, 720)) for n in "ab"])
    done = CliRunner().invoke(app, ["cameras", "show", str(tmp_path / "lens.toml")])
    assert done.exit_code == 0, done.exception
    assert done.output.count("not known: lenses only") == 2


def test_files_that_begin_with_a_byte_order_mark_are_read(tmp_path):
    write_cameras(tmp_path / "a.toml", [Camera("a", np.diag([900.0, 900, 1]))])
    text = (tmp_path / "a.toml").read_bytes()
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + text)
    assert read_cameras(tmp_path / "a.toml")[0].name == "a"
