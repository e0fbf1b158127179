"""Pictures of the chosen frames, the model's poses as labels to correct, a table and a sheet."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from poise._files import write_whole, writing
from poise._words import counted
from poise.data_tools.formats.annotations import NUMBERS, Annotations, keypoints_of, new_annotation
from poise.data_tools.formats.deeplabcut import LABELS
from poise.data_tools.formats.deeplabcut_files import labelled_place
from poise.data_tools.formats.hdf_tables import import_h5py
from poise.data_tools.formats.reading import PICTURES
from poise.data_tools.formats.table import write_annotations
from poise.data_tools.picking.doubts import KINDS, Candidate
from poise.data_tools.picking.picking import Picked
from poise.data_tools.picking.shots import Place, Poses
from poise.errors import ArgumentError, DataError, one_of
from poise.geometry.boxes import bbox_xyxy2xywh
from poise.inference.detectors.targets import category_name
from poise.structures import keypoint_names
from poise.visualization import draw_instances
from poise.visualization.files import write_picture
from poise.visualization.sheets import contact_sheet

__all__ = ["PICTURE_FOLDER", "TARGETS", "Proposals", "picked_before", "write_proposals"]

#: form -> file of its labels, where all are in one
TARGETS = {
    "labelme": "",
    "cvat": "annotations.xml",
    "label-studio": "tasks.json",
    "deeplabcut": "",
    "sleap": "labels.slp",
    "coco": "labels.json",
}
#: folder of the pictures, but for DeepLabCut's
PICTURE_FOLDER = "images"
#: DeepLabCut's folder of pictures that are of no video
_STILLS = "pictures"
#: table of what was chosen; a second choice is added to it
TABLE = "picked.csv"
#: pictures on a sheet, and the side of each
_PER_SHEET, _SIDE = 60, 280


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """How labels are proposed.

    Attributes:
        form: one of `TARGETS`.
        threshold: keypoints that score lower are not labelled.
        model: name of the model, for tools that show it.
        category: what boxes are called where no labels say it; by the keypoints without it.
        replace: overwrite labels that are there.

    Raises:
        ArgumentError: another form.
    """

    form: str = "labelme"
    threshold: float = 0.3
    model: str = "poise"
    category: str | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        one_of(self.form, TARGETS, "--to", ArgumentError)

    def check(self, out: Path, inputs: Sequence[str]) -> None:
        """See that labels of an earlier choice are not in the way, and can be written.

        Args:
            out: folder.
            inputs: what is picked from; DeepLabCut has a table for each video.

        Raises:
            DataError: they are.
            MissingDependencyError: a package for the form is not installed.
        """
        if self.form == "sleap":
            import_h5py()
        file = out / TARGETS[self.form]
        there = file.is_file() and not self.replace
        if self.form == "deeplabcut" and not self.replace:
            stems = {Path(text).stem for text in inputs} | {_STILLS}
            tables = sorted(
                t for t in out.glob(f"labeled-data/*/{LABELS}") if t.parent.name in stems
            )
            there, file = bool(tables), tables[0] if tables else file
        if there:
            raise DataError(
                f"{file} is there already, perhaps with what somebody corrected; choose another "
                "--out, with --labelled for what is done, or say --force"
            )


def picked_before(out: Path) -> list[Path]:
    """Pictures of an earlier choice."""
    below = [out / PICTURE_FOLDER, *sorted(out.glob("labeled-data/*"))]
    files = itertools.chain.from_iterable(f.iterdir() for f in below if f.is_dir())
    return sorted(file for file in files if file.suffix.lower() in PICTURES)


def write_proposals(
    picked: Picked, out: Path, how: Proposals, inferencer: Any = None, *, progress: Any = iter
) -> list[Path]:
    """Write all of it.

    Args:
        picked: the chosen frames.
        out: folder.
        how: of the user.
        inferencer: looks at the chosen frames once more, with the flip test of its mode; without
            one the poses that were known are taken.
        progress: wraps the iteration over frames.

    Returns:
        files of labels, the table, the sheets.

    Raises:
        DataError: a file cannot be written.
    """
    found = _annotations(picked, how)
    # CVAT knows pictures by the names under which somebody uploads this folder's
    found.folder = out / PICTURE_FOLDER if how.form == "cvat" else out
    tiles, captions = [], []
    # of one video the number of a frame says all
    alone = len({frame.place.info.name for frame in picked.frames}) == 1
    frames = zip(progress(_images(picked.frames)), picked.reasons, strict=True)
    for (frame, image), reason in frames:
        poses = frame.poses
        if inferencer is not None:
            (result,) = inferencer.predict(image, keep_going=True)
            poses = Poses.of(result)
        name = _picture_name(frame, how.form)
        file = out / name
        _write_frame(file, frame, image)
        height, width = image.shape[:2]
        number = len(found.images) + 1
        about = {"id": number, "file_name": file.relative_to(found.folder).as_posix()}
        found.images.append({**about, "width": width, "height": height})
        if poses is not None:
            found.people += _people(poses, number, len(found.people), found, picked, how)
        tiles.append(_tile(image, poses, picked.metainfo, how.threshold))
        called = frame.frame if alone and frame.place.info.moves else frame.name
        captions.append(f"{called}: {reason}")
    if picked.metainfo:
        posed = len({person["image_id"] for person in found.people})
        total = counted(len(found.images), "frame")
        picked.said.append(
            f"{counted(len(found.people), 'pose')} proposed, in {posed:,} of {total}"
        )
    files: list[Path] = []
    # without any names there is nothing to say to a tool
    if found.names:
        target = out / TARGETS[how.form] if TARGETS[how.form] else out
        files += write_annotations(found, target, how.form, replace=how.replace)
    # labels in many files are beside the pictures
    if files in ([], [out]):
        files = [(out / _picture_name(frame, how.form)).parent for frame in picked.frames[:1]]
    picked.said += found.said
    files.append(_write_table(picked, out, how.form))
    for start in range(0, len(tiles), _PER_SHEET):
        end = start + _PER_SHEET
        highest = max(tile.shape[0] for tile in tiles[start:end])
        sheet = contact_sheet(tiles[start:end], captions[start:end], tile=(_SIDE, highest))
        numbered = (out / f"sheet_{n}.jpg" for n in itertools.count(2))
        names = itertools.chain([out / "sheet.jpg"], numbered)
        files.append(next(file for file in names if not file.exists()))
        write_picture(sheet, files[-1], order="bgr")
    return files


def _images(frames: Sequence[Candidate]) -> Iterator[tuple[Candidate, np.ndarray]]:
    """Frames with their pictures, each source read once more."""
    by_place: dict[Place, list[Candidate]] = defaultdict(list)
    for frame in frames:
        by_place[frame.place].append(frame)
    for place, mine in by_place.items():
        known = {frame.frame: frame for frame in mine}
        for number, image in place.images(list(known)):
            yield known[number], image


def _picture_name(frame: Candidate, form: str) -> str:
    """A frame's picture, below the folder that is written to."""
    path = frame.place.info.path
    # a picture stays as it is; frames lose nothing
    suffix = path.suffix if path is not None and not frame.place.info.moves else ".png"
    name = f"{frame.name}{suffix}"
    if form == "deeplabcut":
        folder = frame.place.name if frame.place.info.moves else _STILLS
        return labelled_place(name, folder).as_posix()
    return PurePosixPath(PICTURE_FOLDER, name).as_posix()


def _write_frame(file: Path, frame: Candidate, image: np.ndarray) -> None:
    path = frame.place.info.path
    if path is None or frame.place.info.moves:
        write_picture(image, file, order="bgr")
        return
    with writing(file):
        if not (file.exists() and file.samefile(path)):
            write_whole(file, path.read_bytes())


def _annotations(picked: Picked, how: Proposals) -> Annotations:
    """What is known of the keypoints; those of the labels that there are, where there are any."""
    old, meta = picked.labelled, picked.metainfo
    if old is not None:
        categories = old.categories[:1]
        found = Annotations([], [], old.names, old.swap, old.skeleton, categories, old.schema)
    else:
        categories = [{"id": 1, "name": how.category or category_name(meta)}]
        found = Annotations([], [], categories=categories, **keypoints_of(meta))
    found.proposed_by = how.model
    return found


def _people(
    poses: Poses, image: int, before: int, found: Annotations, picked: Picked, how: Proposals
) -> list[dict[str, Any]]:
    """Annotations of a frame's poses, with the keypoints that labels have."""
    theirs = keypoint_names(picked.metainfo)
    count = len(poses.keypoints)
    triples = np.zeros((count, len(found.names), NUMBERS))
    scores = np.zeros((count, len(found.names)))
    for k, name in enumerate(found.names):
        if name in theirs:
            column = theirs.index(name)
            triples[:, k, :2] = poses.keypoints[:, column]
            scores[:, k] = poses.scores[:, column]
    triples[..., 2] = np.where(scores >= how.threshold, 2, 0)
    if how.form != "cvat":
        # only there a point that is not labelled has a place
        triples[triples[..., 2] == 0] = 0
    boxes = bbox_xyxy2xywh(poses.boxes)
    category = found.categories[0]["id"]
    sure = np.flatnonzero((triples[..., 2] > 0).any(axis=1)).tolist()
    return [
        new_annotation(number, image, category, boxes[n].astype(np.float64), triples[n])
        | {
            "score": round(float(poses.whole[n]), 4),
            "keypoint_scores": scores[n].round(4).tolist(),
        }
        for number, n in enumerate(sure, before + 1)
    ]


def _tile(
    image: np.ndarray, poses: Poses | None, metainfo: dict[str, Any], threshold: float
) -> np.ndarray:
    """A small picture with the poses drawn."""
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    tile = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if poses is not None:
        # pixels are squares: their centres move when they shrink
        found = {
            "keypoints": (poses.keypoints + 0.5) * scale - 0.5,
            "keypoint_scores": poses.scores,
            "bboxes": poses.boxes * scale,
        }
        draw_instances(tile, found, metainfo, keypoint_threshold=threshold)
    return np.asarray(tile)


def _write_table(picked: Picked, out: Path, form: str) -> Path:
    """Write what was chosen and why, below what was chosen before."""
    file = out / TABLE
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if not file.exists():
        table.writerow(["picture", "source", "frame", "time", "reason", "doubt", *KINDS])
    for frame, reason, doubt in zip(picked.frames, picked.reasons, picked.doubts, strict=True):
        time = "" if frame.time is None else f"{frame.time:.3f}"
        values = [f"{frame.raw[k]:.4f}" if k in frame.raw else "" for k in KINDS]
        name = _picture_name(frame, form)
        about = (name, frame.place.info.name, frame.frame, time, reason, f"{doubt:.2f}")
        table.writerow([*about, *values])
    with writing(file), file.open("a", encoding="utf-8", newline="") as stream:
        stream.write(text.getvalue())
    return file
