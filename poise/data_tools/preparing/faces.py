"""Faces: WFLW, LaPa, 300W-LP, 300VW, COFW."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.data_tools.formats.hdf_tables import import_h5py
from poise.data_tools.preparing.coco_writer import UNIT, CocoWriter, bounds
from poise.data_tools.preparing.files import (
    link_file,
    link_folder,
    part_of,
    video_frames,
)
from poise.data_tools.preparing.report import Prepared
from poise.datasets.safe_pickle import read_mat
from poise.errors import DataError
from poise.visualization.files import write_picture

__all__ = ["cofw", "face300vw", "face300wlp", "lapa", "wflw"]

#: folders of 300W-LP with pictures that are not mirrored, and shares of its parts
_WLP_FOLDERS = ("AFW", "HELEN", "IBUG", "LFPW")
_WLP_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
#: videos of the three categories that 300VW is tested on; all others are for training
_VW_TESTS = {
    "test_1": "114 124 125 126 150 158 401 402 505 506 507 508 509 510 511 514 515 518 519 520 521 "
    "522 524 525 537 538 540 541 546 547 548",
    "test_2": "203 208 211 212 213 214 218 224 403 404 405 406 407 408 409 412 550 551 553",
    "test_3": "410 411 516 517 526 528 529 530 531 533 557 558 559 562",
}


def wflw(root: Path, out: Path, report: Prepared) -> None:
    """WFLW: `WFLW_annotations/**/*.txt`, pictures in `WFLW_images`."""
    folder, pictures = part_of(root, "WFLW_annotations"), part_of(root, "WFLW_images")
    lists: dict[str, Path] = {}
    for file in sorted(folder.rglob("*.txt")):
        part = file.stem.rpartition("_")[2]
        name = part if part in ("train", "test") else f"test_{part}"
        lists.setdefault(name, file)
    if not lists:
        raise DataError(f"{folder} holds no lists of faces (*.txt)")
    for name, file in report.progress(lists.items(), "WFLW"):
        coco = CocoWriter(report, "wflw", "face")
        numbers: dict[str, int | None] = {}
        for number, line in enumerate(_lines(file)):
            fields = line.split()
            points = _numbers(fields[:-1][: 2 * 98], 2)
            if points is None or len(points) != 98:
                where = f"{file}:{number + 1}"
                report.drop("lines without 98 points and the name of a picture", where)
                continue
            picture = fields[-1]
            if picture not in numbers:
                place = len(coco.images)
                found = coco.picture(place, picture, pictures / picture)
                numbers[picture] = place if found else None
            image = numbers[picture]
            if image is not None:
                box = bounds(points)
                coco.person(number, image, _seen(points, 1), box, **_center_and_scale(box))
        coco.write(out / "annotations" / f"face_landmarks_wflw_{name}.json")
    link_folder(pictures, out / "images", report)


def lapa(root: Path, out: Path, report: Prepared) -> None:
    """LaPa: `train`, `val` and `test` with `images` and `landmarks`."""
    parts = [part for part in ("train", "val", "test") if (root / part / "landmarks").is_dir()]
    if not parts:
        part_of(root, "train/landmarks", "val/landmarks", "test/landmarks")
    files = {part: [part] for part in parts}
    if {"train", "val"} <= set(parts):
        files["trainval"] = ["train", "val"]
    for name, folders in files.items():
        coco = CocoWriter(report, "lapa", "face")
        landmarks = [
            (part, file)
            for part in folders
            for file in sorted((root / part / "landmarks").glob("*.txt"))
        ]
        for number, (part, file) in enumerate(report.progress(landmarks, f"LaPa {name}"), 1):
            points = _numbers(" ".join(_lines(file)[1:]).split(), 2)
            if points is None or len(points) != 106:
                report.drop("files without 106 points", file)
                continue
            picture = f"{part}/images/{file.stem}.jpg"
            if coco.picture(number, picture, root / picture):
                box = bounds(points)
                area = int(box[2] * box[3])
                coco.person(number, number, _seen(points, 2), box, area=area)
        coco.write(out / "annotations" / f"lapa_{name}.json")
    for part in parts:
        link_folder(root / part, out / part, report)


def face300wlp(root: Path, out: Path, report: Prepared) -> None:
    """300W-LP: `AFW`, `HELEN`, `IBUG`, `LFPW` with pictures, `landmarks/*/*_pts.mat`.

    Its pictures are divided at random, always in the same way, and linked into `train`, `val` and
    `test`, unless these folders have other ones.
    """
    landmarks = part_of(root, "300W_LP/landmarks", "300W-LP/landmarks", "landmarks")
    for part, names in _wlp_parts(root, out).items():
        coco = CocoWriter(report, "300wlp", "face")
        for number, name in enumerate(report.progress(names, f"300W-LP {part}"), 1):
            stem = name.partition(".")[0]
            file = landmarks / name.partition("_")[0] / f"{stem}_pts.mat"
            try:
                points = np.asarray(read_mat(file)["pts_2d"], np.float64)
            except (DataError, KeyError):
                report.drop("pictures without readable landmarks", name)
                continue
            if coco.picture(number, name, out / part / name):
                box = bounds(points)
                area = int(box[2] * box[3])
                coco.person(number, number, _seen(points, 2), box, area=area)
        coco.write(out / "annotations" / f"face_landmarks_300wlp_{part}.json")
        if part == "val":
            # MMPose's config calls it so, its script does not
            coco.write(out / "annotations" / "face_landmarks_300wlp_valid.json")


def _wlp_parts(root: Path, out: Path) -> dict[str, list[str]]:
    """Part -> names of its pictures, which lie in the folder of the part."""
    homes = (root / "300W_LP", root / "300W-LP", root)
    folders = [home / name for home in homes for name in _WLP_FOLDERS]
    pictures = [path for folder in folders for path in sorted(folder.glob("*.jpg"))]
    order = np.random.default_rng(0).permutation(len(pictures))
    first = int(len(order) * _WLP_SHARES["train"])
    second = first + int(len(order) * _WLP_SHARES["val"])
    divided = zip(_WLP_SHARES, np.split(order, [first, second]), strict=True)
    parts = {part: {pictures[n].name: pictures[n] for n in chosen} for part, chosen in divided}
    there = {p: sorted(f.name for f in (out / p).glob("*.jpg")) for p in _WLP_SHARES}
    if any(set(names) - parts[part].keys() for part, names in there.items()):
        # somebody's own division
        return there
    if not pictures:
        raise DataError(f"{root} holds no pictures (*.jpg) in {', '.join(_WLP_FOLDERS)}")
    for part, chosen in parts.items():
        for name, picture in chosen.items():
            link_file(picture, out / part / name)
    return {part: sorted(chosen) for part, chosen in parts.items()}


def face300vw(root: Path, out: Path, report: Prepared) -> None:
    """300VW: folders of videos with `annot/*.pts`, and `vid.avi` or its frames in `imgs`."""
    coco = CocoWriter(report, "300vw", "person")
    broken = _broken_frames(root / "broken_frames.npy")
    videos = sorted(folder.parent for folder in root.glob("*/annot"))
    if not videos:
        raise DataError(f"{root} holds no folders of videos, such as 001, with annot/*.pts")
    parts: dict[str, list[int]] = {}
    number = 0
    links = Prepared()
    for video in report.progress(videos, "300VW"):
        frames = _frame_folder(video, out / video.name / "imgs", links)
        there = {picture.stem: picture for picture in sorted(frames.iterdir(), reverse=True)}
        tests = (part for part, names in _VW_TESTS.items() if video.name in names.split())
        part = parts.setdefault(next(tests, "train"), [])
        for file in sorted((video / "annot").glob("*.pts")):
            where = f"{video.name}/{file.stem}"
            if int(file.stem) in broken.get(video.name, ()):
                report.drop("frames that broken_frames.npy names", where)
                continue
            points = _points_of_pts(file)
            if points is None:
                report.drop("files without 68 points", where)
                continue
            stem = f"{int(file.stem):06d}"
            picture = there.get(stem, frames / f"{stem}.png")
            if coco.picture(number, f"{video.name}/imgs/{picture.name}", picture):
                box = bounds(points)
                coco.person(number, number, _seen(points, 1), box, **_center_and_scale(box))
                part.append(number)
                number += 1
    coco.write(out / "anno_300vw.json")
    for name, images in parts.items():
        if images:
            coco.write(out / f"anno_300vw_{name}.json", images)
    if links.said:
        more = f", and so on for {len(links.said) - 1} more videos" if len(links.said) > 1 else ""
        report.said.append(links.said[0] + more)


def _frame_folder(video: Path, out: Path, report: Prepared) -> Path:
    """Folder with the frames of a video, written as PNG files if there is none."""
    there = video / "imgs"
    if there.is_dir():
        link_folder(there, out, report)
        return there
    if not out.is_dir():
        # a folder with some of them would be taken for all
        part = out.with_name(f".{out.name}.partial")
        part.mkdir(parents=True, exist_ok=True)
        for n, frame in enumerate(video_frames(video / "vid.avi"), 1):
            write_picture(frame, part / f"{n:06d}.png", order="bgr")
        part.rename(out)
    return out


def _broken_frames(path: Path) -> dict[str, list[int]]:
    """Video -> frames without a face, of the file that MMPose has for it; without one nothing."""
    from poise.datasets.safe_pickle import load_array

    return load_array(str(path), "frames", owner="300vw").item() if path.is_file() else {}


def _points_of_pts(file: Path) -> Array | None:
    inside = re.search(r"\{(.*)\}", " ".join(_lines(file)), re.DOTALL)
    points = _numbers(inside[1].split(), 2) if inside else None
    return points if points is not None and len(points) == 68 else None


def cofw(root: Path, out: Path, report: Prepared) -> None:
    """COFW: `COFW_train_color.mat` and `COFW_test_color.mat`, which hold the pictures too."""
    h5py = import_h5py()
    number = 0
    for part, ending in (("train", "Tr"), ("test", "T")):
        path = part_of(root, f"COFW_{part}_color.mat")
        coco = CocoWriter(report, "cofw", "face")
        try:
            with h5py.File(path, "r") as mat:
                pictures, points = mat[f"Is{ending}"], mat[f"phis{ending}"][()]
                boxes = mat[f"bboxes{ending}"][()]
                for n in report.progress(range(points.shape[1]), f"COFW {part}"):
                    number += 1
                    name = f"{number:06d}.jpg"
                    image = np.asarray(mat[pictures[0, n]]).T
                    # grey pictures have no third axis
                    way = cv2.COLOR_RGB2BGR if image.ndim == 3 else cv2.COLOR_GRAY2BGR
                    write_picture(cv2.cvtColor(image, way), out / "images" / name, order="bgr")
                    coco.sized_picture(number, name, (image.shape[1], image.shape[0]))
                    triples = points[:, n].reshape(3, -1).T
                    # Matlab counts from 1; occluded ones are 1 there
                    triples = triples * [1, 1, -1] + [-1, -1, 2]
                    box = boxes[:, n].clip(0)
                    coco.person(number, number, triples.clip(0), box, num_keypoints=len(triples))
        except (OSError, KeyError) as error:
            raise DataError(f"{path} is no file of COFW's colour pictures: {error}") from error
        coco.write(out / "annotations" / f"cofw_{part}.json")


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _numbers(fields: list[str], columns: int) -> Array | None:
    """Texts as an array (N, columns); None if they are no finite numbers, or do not fit."""
    try:
        values = np.array(fields, np.float64).reshape(-1, columns)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _seen(points: Array, visibility: int) -> Array:
    """Points (K, 2) as triples (K, 3)."""
    return np.insert(points, 2, visibility, axis=1)


def _center_and_scale(box: list[float]) -> dict[str, Any]:
    """What WFLW's and 300VW's readers take instead of the box."""
    x, y, width, height = box
    center = [x + width / 2, y + height / 2]
    return {"center": center, "scale": math.ceil(max(width, height)) / UNIT}
