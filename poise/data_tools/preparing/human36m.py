"""Human3.6M: poses in CDF files and videos of four cameras."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from poise._arrays import Array
from poise._lazy import needed
from poise._words import counted
from poise.data_tools.preparing.coco_writer import UNIT, CocoWriter
from poise.data_tools.preparing.files import link_folder, part_of, write_frames
from poise.data_tools.preparing.mocap import Frames, write_arrays, write_pickle, write_stats
from poise.data_tools.preparing.report import Prepared
from poise.datasets.safe_pickle import load_arrays, load_pickle
from poise.errors import DataError, FileMissingError
from poise.geometry import SimpleCamera

__all__ = ["human36m", "human36m_coco"]

SUBJECTS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
ARCHIVES = ("Videos", "D2_Positions", "D3_Positions_mono")
#: of the 32 joints those that move
JOINTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
#: height of a camera's pictures, where it is not that of the others; all are 1000 wide
TALLER = {"54138969": 1002, "60457274": 1002}
FRAME_RATE = 50
#: rows of the table of actions, and the action that is all of them
_ACTIONS, _ALL = 32, "1"
_MM = 0.001


@dataclass(frozen=True)
class _Metadata:
    """What metadata.xml says.

    Attributes:
        sequences: subject -> names of its sequences.
        cameras: their ids.
        numbers: of the calibration: six of each camera and subject, then nine of each camera.
    """

    sequences: dict[str, list[str]]
    cameras: list[str]
    numbers: Array


def human36m(root: Path, out: Path, report: Prepared, *, every: int = 5) -> None:
    """Human3.6M: `metadata.xml`, and `s1/*.tgz` as downloaded, or `S1` as unpacked.

    Args:
        root, out, report: as of all.
        every: of so many frames one is taken.
    """
    about = _metadata(part_of(root, "metadata.xml"))
    home = out / "annotation_body3d"
    poses = home / f"fps{FRAME_RATE // every}"
    poses.mkdir(parents=True, exist_ok=True)
    cameras = {
        (f"S{subject}", name): _camera(about, number, subject)
        for subject in range(1, 12)
        for number, name in enumerate(about.cameras)
    }
    write_pickle(home / "cameras.pkl", cameras, counted(len(cameras), "camera"), report)
    for part, subjects in SUBJECTS.items():
        frames = Frames()
        for subject in subjects:
            folder = _unpacked(root, out, subject, report)
            if folder is None:
                report.drop("subjects that are absent", subject)
                continue
            wanted = [f"{name}.{c}" for name in about.sequences[subject] for c in about.cameras]
            for sequence in report.progress(wanted, f"Human3.6M, {subject}"):
                _add(frames, folder, sequence, out / "images", every, report)
        if not len(frames):
            raise DataError(f"{root} has no sequences of {', '.join(subjects)}")
        arrays = frames.joined()
        write_arrays(poses / f"h36m_{part}.npz", arrays, report)
        if part == "train":
            write_stats(poses, arrays, 0, report, keep_root=False)


def human36m_coco(root: Path, out: Path, report: Prepared) -> None:
    """The prepared frames as COCO files, keypoints in the world besides."""
    home = part_of(root, "annotation_body3d")
    cameras = load_pickle(str(part_of(home, "cameras.pkl")), "cameras", owner="h36m-coco")
    for part in SUBJECTS:
        path = part_of(home, f"fps10/h36m_{part}.npz", f"fps50/h36m_{part}.npz")
        arrays = load_arrays(str(path), "frames", owner="h36m-coco")
        coco = CocoWriter(report, "h36m", "person")
        solid = arrays["S"][..., :3].copy()
        # S1/S1_Directions_1.54138969/S1_Directions_1.54138969_000001.jpg
        stems = [PurePosixPath(str(name)).name for name in arrays["imgname"]]
        keys = [(stem.partition("_")[0], stem.split(".")[1].partition("_")[0]) for stem in stems]
        for key in dict.fromkeys(keys):
            chosen = [n for n, other in enumerate(keys) if other == key]
            solid[chosen] = SimpleCamera(cameras[key]).camera_to_world(solid[chosen])
        corners = arrays["center"] - arrays["scale"][:, None] * UNIT / 2
        frames = report.progress(list(enumerate(map(str, arrays["imgname"]), 1)), f"{path.stem}")
        for number, name in frames:
            if coco.picture(number, name, root / "images" / name):
                n = number - 1
                side = float(arrays["scale"][n] * UNIT)
                world = np.insert(solid[n], 3, arrays["S"][n, :, 3], axis=1)
                more = {"keypoints_3d": world.ravel().tolist(), "num_keypoints": len(JOINTS)}
                box = (*corners[n], side, side)
                coco.person(number, number, arrays["part"][n], box, **more)
        coco.write(out / "annotations" / f"h36m_coco_{part}.json")
    link_folder(root / "images", out / "images", report)


def _metadata(path: Path) -> _Metadata:
    try:
        tree = ET.parse(path).getroot()
        rows = [[cell.text or "" for cell in row] for row in tree.iterfind("mapping/tr")]
        subjects = rows[0][2:]
        sequences: dict[str, list[str]] = {subject: [] for subject in subjects}
        for action, _, *names in rows[1 : _ACTIONS + 1]:
            for subject, name in zip(subjects, names, strict=False):
                if action != _ALL:
                    sequences[subject].append(name)
        cameras = [camera.text or "" for camera in tree.iterfind("dbcameras/index2id/*")]
        numbers = np.array((tree.findtext("w0") or "").strip("[] \n").split(), np.float64)
    except (ET.ParseError, IndexError, ValueError) as error:
        raise DataError(f"{path} is not Human3.6M's metadata: {error}") from error
    if len(cameras) != 4 or len(numbers) < 4 * (6 * 11 + 9):
        raise DataError(
            f"{path} is not Human3.6M's metadata: it has {len(cameras)} cameras of 4, and "
            f"{len(numbers)} numbers of their calibration of {4 * (6 * 11 + 9)}"
        )
    return _Metadata(sequences, cameras, numbers)


def _camera(about: _Metadata, camera: int, subject: int) -> dict[str, Any]:
    """Parameters of a camera for a subject, metres and pixels, as `SimpleCamera` takes them."""
    from scipy.spatial.transform import Rotation

    start = 6 * (11 * camera + subject - 1)
    outer = about.numbers[start : start + 6]
    inner = about.numbers[6 * 11 * 4 + 9 * camera :][:9, None]
    name = about.cameras[camera]
    # names of inner parameters: focal lengths, centre, radial and tangential distortion
    values = dict(zip("fckp", np.split(inner, [2, 4, 7]), strict=True))
    return {
        "R": Rotation.from_euler("XYZ", outer[:3]).as_matrix().T,
        "T": outer[3:, None] * _MM,
        **values,
        "w": 1000,
        "h": TALLER.get(name, 1000),
        "name": f"camera{camera + 1}",
        "id": name,
    }


def _unpacked(root: Path, out: Path, subject: str, report: Prepared) -> Path | None:
    """Folder of a subject, unpacked if it is not yet; None where there is nothing of it."""
    for place in (root / subject, root / "extracted" / subject, out / "extracted" / subject):
        if (place / "MyPoseFeatures").is_dir():
            return place
    archives = [root / subject.lower() / f"{name}.tgz" for name in ARCHIVES]
    if not any(path.is_file() for path in archives):
        return None
    # a folder with some of it would be taken for all
    home, part = (out / "extracted" / name for name in (subject, f".{subject}.partial"))
    for path in report.progress(archives, f"unpacking {subject}"):
        if not path.is_file():
            raise FileMissingError(f"{path} is missing, of {', '.join(a.name for a in archives)}")
        try:
            with tarfile.open(path) as archive:
                archive.extractall(part, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(f"{path} cannot be unpacked: {error}; download it again") from error
    try:
        (part / subject).rename(home)
        part.rmdir()
    except OSError as error:
        raise DataError(f"cannot move {part / subject} to {home}: {error}; remove both") from error
    return home


def _add(
    frames: Frames, folder: Path, sequence: str, images: Path, every: int, report: Prepared
) -> None:
    """Take in a sequence of one camera, and write its pictures."""
    subject = folder.name
    features = folder / "MyPoseFeatures"
    flat, solid = (
        _poses(features / name / f"{sequence}.cdf", axes, report)
        for name, axes in (("D2_Positions", 2), ("D3_Positions_mono", 3))
    )
    video = folder / "Videos" / f"{sequence}.mp4"
    if flat is None or solid is None or not video.is_file():
        report.drop("sequences without poses or video", f"{subject} {sequence}")
        return
    flat, solid = flat[::every], solid[::every] * _MM
    base = f"{subject}_{sequence.replace(' ', '_')}"
    names = [f"{subject}/{base}/{base}_{every * n + 1:06d}.jpg" for n in range(len(flat))]
    count = write_frames(video, images, names, report, f"{subject} {sequence}", every=every)
    if count:
        points = (np.insert(p[:count], p.shape[2], 1, axis=2) for p in (flat, solid))
        frames.add(names[:count], *points)


def _poses(path: Path, axes: int, report: Prepared) -> Array | None:
    """Joints (N, 17, axes) of a CDF file; None where it is absent or broken."""
    cdflib = needed(
        "cdflib", "Human3.6M's poses need the package cdflib: pip install 'poise[motion]'"
    )
    if not path.is_file():
        return None
    try:
        values = np.asarray(cdflib.CDF(str(path)).varget("Pose"), np.float64)
        return values.reshape(-1, 32, axes)[:, JOINTS]
    except (ValueError, OSError, KeyError, IndexError) as error:
        report.drop("CDF files that cannot be read", f"{path} ({error})")
        return None
