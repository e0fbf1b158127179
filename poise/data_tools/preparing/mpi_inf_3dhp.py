"""MPI-INF-3DHP: poses and videos of eight cameras, and six test sequences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import counted
from poise.data_tools.formats.hdf_tables import import_h5py
from poise.data_tools.preparing.files import link_file, part_of, write_frames
from poise.data_tools.preparing.mocap import Frames, write_arrays, write_pickle, write_stats
from poise.data_tools.preparing.report import Prepared
from poise.datasets.safe_pickle import read_mat
from poise.errors import DataError

__all__ = ["mpi_inf_3dhp"]

#: of 14 cameras those at chest height
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
#: frames of subject and sequence; annotations may be longer than the videos
FRAMES = {
    (1, 1): 6416, (1, 2): 12430, (2, 1): 6502, (2, 2): 6081, (3, 1): 12488, (3, 2): 12283,
    (4, 1): 6171, (4, 2): 6675, (5, 1): 12820, (5, 2): 12312, (6, 1): 6188, (6, 2): 6145,
    (7, 1): 6239, (7, 2): 6320, (8, 1): 6468, (8, 2): 6054,
}  # fmt: skip
TESTS = range(1, 7)
#: of the 28 joints of training the 17 of the tests; and the root among those
JOINTS = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
ROOT = 14
#: side of the pictures of training; what lies outside is not visible
SIDE = 2048
#: width and height of the last two tests
OUTDOORS = (1920, 1080)
_MM = 0.001


def mpi_inf_3dhp(root: Path, out: Path, report: Prepared) -> None:
    """MPI-INF-3DHP: `train/S1/Seq1` and `test/TS1`, as its own scripts lay them."""
    training, tests = part_of(root, "train"), part_of(root, "test")
    for folder in ("images", "annotations"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    _training(training, out, report)
    _tests(tests, out, report)


def _training(folder: Path, out: Path, report: Prepared) -> None:
    frames, cameras = Frames(), {}
    for (subject, sequence), count in FRAMES.items():
        place = folder / f"S{subject}" / f"Seq{sequence}"
        name = f"S{subject}_Seq{sequence}"
        if not (place / "annot.mat").is_file():
            report.drop("sequences that are absent", name)
            continue
        flat, solid = _annotations(place / "annot.mat", count)
        calibration = _calibration(place / "camera.calibration")
        for camera in report.progress(CAMERAS, name):
            if camera not in calibration:
                report.drop("cameras without calibration", f"{name} camera {camera}")
                continue
            prefix = f"{name}_Cam{camera}"
            cameras[prefix] = {**calibration[camera], "name": f"train_cam_{camera}"}
            names = [f"{prefix}_{n + 1:06d}.jpg" for n in range(len(flat[camera]))]
            video = place / "imageSequence" / f"video_{camera}.avi"
            found = write_frames(video, out / "images", names, report, prefix)
            if found:
                _add(frames, names[:found], flat[camera][:found], solid[camera][:found])
    if not len(frames):
        raise DataError(f"{folder} has no sequences, such as S1/Seq1 with annot.mat")
    arrays, home = frames.joined(), out / "annotations"
    write_arrays(home / "mpi_inf_3dhp_train.npz", arrays, report)
    write_pickle(home / "cameras_train.pkl", cameras, counted(len(cameras), "camera"), report)
    write_stats(home, arrays, ROOT, report, keep_root=True)


def _annotations(path: Path, count: int) -> tuple[dict[int, Array], dict[int, Array]]:
    """Camera -> joints (N, 17, 2), pixels, and (N, 17, 3), millimetres in camera space."""
    mat = read_mat(path)
    try:
        found = []
        for key, axes in (("annot2", 2), ("annot3", 3)):
            joints = {camera: mat[key][camera][0][:count] for camera in CAMERAS}
            found.append({c: np.reshape(v, (-1, 28, axes))[:, JOINTS] for c, v in joints.items()})
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path} is not MPI-INF-3DHP's annot.mat: {error}") from error
    return found[0], found[1]


def _calibration(path: Path) -> dict[int, dict[str, Any]]:
    """Camera -> its parameters, metres and pixels, as `SimpleCamera` takes them."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    cameras: dict[int, dict[str, Any]] = {}
    # a block of lines a camera, each with a name and numbers
    for block in re.split(r"^name\s+", text, flags=re.MULTILINE)[1:]:
        number, *lines = block.splitlines()
        values = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
        try:
            inner = np.array(values["intrinsic"], np.float64).reshape(4, 4)
            outer = np.array(values["extrinsic"], np.float64).reshape(4, 4)
            width, height = map(int, values["size"])
            cameras[int(number)] = {
                "R": outer[:3, :3],
                "T": outer[:3, 3:] * _MM,
                "c": inner[:2, 2:3],
                "f": inner[[0, 1], [0, 1]][:, None],
                "w": width,
                "h": height,
            }
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}: camera {number.strip()} is incomplete: {error}") from error
    if not cameras:
        raise DataError(f"{path} holds no cameras")
    return cameras


def _tests(folder: Path, out: Path, report: Prepared) -> None:
    h5py = import_h5py()
    frames, cameras = Frames(), {}
    for test in report.progress(TESTS, "MPI-INF-3DHP, tests"):
        place, name = folder / f"TS{test}", f"TS{test}"
        path = place / "annot_data.mat"
        if not path.is_file():
            report.drop("sequences that are absent", name)
            continue
        try:
            with h5py.File(path, "r") as mat:
                flat = np.asarray(mat["annot2"]).reshape(-1, 17, 2)
                solid = np.asarray(mat["annot3"]).reshape(-1, 17, 3)
                valid = np.flatnonzero(np.asarray(mat["valid_frame"]).ravel())
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path} is not MPI-INF-3DHP's annot_data.mat: {error}") from error
        width, height = (SIDE, SIDE) if test <= 4 else OUTDOORS
        about = {"w": width, "h": height, "name": f"test_cam_{test}"}
        cameras[name] = {**_estimated(flat, solid), **about}
        names, kept = [], []
        for n in valid:
            source = place / "imageSequence" / f"img_{n + 1:06d}.jpg"
            if not source.is_file():
                report.drop("pictures that are absent", source)
                continue
            names.append(f"{name}_{n + 1:06d}.jpg")
            kept.append(n)
            link_file(source, out / "images" / names[-1])
        if names:
            _add(frames, names, flat[kept], solid[kept])
    if not len(frames):
        raise DataError(f"{folder} has no test sequences, such as TS1 with annot_data.mat")
    home = out / "annotations"
    write_arrays(home / "mpi_inf_3dhp_test_valid.npz", frames.joined(), report)
    write_pickle(home / "cameras_test.pkl", cameras, counted(len(cameras), "camera"), report)


def _estimated(flat: Array, solid: Array) -> dict[str, Array]:
    """Focal lengths and centre that project joints best; the tests come without a calibration."""
    depth = solid[..., 2]
    axes = []
    for axis in range(2):
        known = np.stack([solid[..., axis], depth], axis=-1).reshape(-1, 2)
        axes.append(np.linalg.lstsq(known, (flat[..., axis] * depth).ravel(), rcond=None)[0])
    focal, center = np.array(axes).T
    return {"c": center[:, None], "f": focal[:, None]}


def _add(frames: Frames, names: list[str], flat: Array, solid: Array) -> None:
    seen = ((flat >= 0) & (flat < SIDE)).all(axis=-1, keepdims=True).astype(np.float32)
    pair = (flat, solid * _MM)
    frames.add(names, *(np.concatenate([points, seen], axis=-1) for points in pair))
