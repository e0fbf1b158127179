"""Results that were written as JSON Lines, read back."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise._words import shortened
from poise.errors import DataError, FileMissingError
from poise.inference.results.pose_result import RESULT_VERSION, PoseResult, SourceInfo
from poise.structures import InstanceData, keypoint_names, parse_pose_metainfo

__all__ = ["read_results"]

#: Frames by whose times the rate is told; one alone may be rounded to milliseconds.
_RATED_FRAMES = 100

_LOG = logging.getLogger(__name__)

#: field of instances -> (key of the file, shape behind (N,) with "K" for keypoints)
_FIELDS = {
    "keypoints": ("keypoints", ("K", 2)),
    "keypoint_scores": ("keypoint_scores", ("K",)),
    "bboxes": ("bbox", (4,)),
    "bbox_scores": ("bbox_score", ()),
}
#: the same of fields that not all files have
_MORE_FIELDS = {
    "keypoint_covariances": ("keypoint_covariances", ("K", 2, 2)),
    "keypoint_probabilities": ("keypoint_probabilities", ("K",)),
    "keypoint_errors": ("keypoint_errors", ("K",)),
    "keypoint_views": ("keypoint_views", ("K",)),
    "track_ids": ("track_id", ()),
    "categories": ("category_id", ()),
}
_WHOLE_NUMBERS = ("keypoint_views", "track_ids", "categories")


def read_results(path: Any) -> Iterator[PoseResult]:
    """Results of a file of JSON Lines (docs/reference/result-json.md), one after the other.

    A last line that a run did not finish is left out, and a warning says so. Pictures are not
    there.

    Args:
        path: `NAME.jsonl`, in the layout "poise".

    Raises:
        FileMissingError: no such file.
        DataError: a line in another layout, or of a newer version; no lines.
    """
    file = Path(path)
    if file.is_dir():
        there = sorted(map(str, file.glob("*.jsonl")))
        raise FileMissingError(
            f"'{file}' is a folder; give the files in it that --save jsonl wrote: "
            + (shortened(there) if there else "it has none that end in .jsonl")
        )
    if not file.is_file():
        raise FileMissingError(f"there is no file '{file}' (looked in {Path.cwd()})")
    return _results(file)


def _results(file: Path) -> Iterator[PoseResult]:
    entries = _entries(file)
    number = 0
    try:
        first = list(itertools.islice(entries, _RATED_FRAMES))
        rate = _rate(first)
        only = _only_video(first)
        for number, entry in enumerate(itertools.chain(first, entries), start=1):
            found = _result(entry, rate, f"{file}, line {number}")
            if found.source is not None and found.video and found.name == only:
                # what is made of a file of one video is called like that file
                found.source = dataclasses.replace(found.source, relative=Path(file.name))
            yield found
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text; expected what --save jsonl writes") from error
    if not number:
        raise DataError(f"{file} holds no results; was the run that wrote it broken off?")


def _only_video(first: Sequence[Any]) -> str | None:
    """Name of the video whose frames a file begins with; None where they are of several."""
    names = {str(e.get("image")) for e in first if isinstance(e, dict) and "frame" in e}
    return names.pop() if len(names) == 1 else None


def _entries(file: Path) -> Iterator[Any]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                if number > 1 and not line.endswith("\n"):
                    _LOG.warning("%s: line %d is cut off and left out", file, number)
                    return
                raise DataError(
                    f"{file}, line {number} is no JSON: {error}; expected what --save jsonl "
                    "writes, a line a picture or frame"
                ) from error


def _rate(first: Sequence[Any]) -> float | None:
    """Frames a second of the first video, by the numbers and times of frames."""
    places: list[tuple[Any, ...]] = [
        (e.get("image"), e.get("frame"), e.get("time")) for e in first if isinstance(e, dict)
    ]
    own = [p[1:] for p in places if p[0] == places[0][0] and None not in p]
    if len(own) < 2:
        return None
    count, seconds = (last - begin for begin, last in zip(own[0], own[-1], strict=True))
    return count / seconds if count > 0 and seconds > 0 else None


def _result(entry: Any, rate: float | None, where: str) -> PoseResult:
    if not isinstance(entry, Mapping) or not {"instances", "image", "keypoint_names"} <= set(entry):
        raise DataError(
            f"{where} is no result of Poise; expected the layout of --save jsonl with "
            "--format poise"
        )
    version = entry.get("version", 0)
    if not isinstance(version, int) or version > RESULT_VERSION:
        raise DataError(
            f"{where} has the version {version!r}, this Poise reads up to {RESULT_VERSION}"
        )
    names = entry["keypoint_names"]
    moves = "frame" in entry
    name = str(entry["image"])
    found = PoseResult(
        None,
        _instances(entry["instances"], len(names), where),
        _metainfo(entry.get("schema", ""), tuple(names)),
        name,
        error=entry.get("error"),
        frame_index=entry.get("frame", 0),
        time=entry.get("time"),
        source=SourceInfo(
            name,
            "video" if moves else "picture",
            Path(Path(name).name),
            fps=rate if moves else None,
        ),
        noted_size=_size(entry),
    )
    if "keypoint_names_3d" in entry:
        names = entry["keypoint_names_3d"]
        found.metainfo_3d = _metainfo(entry.get("schema_3d", ""), tuple(names))
        found.space_3d = entry.get("space_3d")
        poses = _column(entry["instances"], "keypoints_3d", (len(names), 3), where)
        found.instances.set_field(poses, "keypoints_3d")
        if all("keypoint_scores_3d" in person for person in entry["instances"]):
            scores = _column(entry["instances"], "keypoint_scores_3d", (len(names),), where)
            found.instances.set_field(scores, "keypoint_scores_3d")
    return found


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) of an entry that has them."""
    width, height = entry.get("width"), entry.get("height")
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        return width, height
    return None


def _instances(people: Sequence[Mapping[str, Any]], count: int, where: str) -> InstanceData:
    fields = InstanceData()
    for name, (key, shape) in {**_FIELDS, **_MORE_FIELDS}.items():
        if name in _FIELDS or (people and all(key in person for person in people)):
            whole = tuple(count if size == "K" else size for size in shape)
            kind = np.int64 if name in _WHOLE_NUMBERS else np.float32
            fields.set_field(_column(people, key, whole, where, kind), name)
    return fields


def _column(
    people: Sequence[Mapping[str, Any]],
    key: str,
    shape: tuple[Any, ...],
    where: str,
    kind: type = np.float32,
) -> np.ndarray:
    """(N, *shape) of a type of numbers; None in the file is NaN."""
    try:
        values: np.ndarray = np.array([person[key] for person in people], kind)
        return values.reshape(len(people), *shape)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} has a person without a proper '{key}'") from error


@functools.lru_cache(maxsize=8)
def _metainfo(schema: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Parsed schema; the names alone where no schema of that name has just these keypoints."""
    if schema and schemas.known(schema):
        known = parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{schema}.py"})
        if tuple(keypoint_names(known)) == names:
            return known
    return {
        "dataset_name": schema,
        "num_keypoints": len(names),
        "keypoint_id2name": dict(enumerate(names)),
        "keypoint_name2id": {name: i for i, name in enumerate(names)},
        "sigmas": [],
    }
