"""SLEAP: labels of video frames in an HDF5 file (.slp), perhaps with the pictures inside.

Tables of frames, instances and points refer to one another by number; skeletons and videos are
JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import counted
from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.collection import HIDDEN, VISIBLE, Collection, Draft
from poise.data_tools.formats.hdf_tables import import_h5py, is_hdf5
from poise.data_tools.formats.reading import Reading, picture_folder, picture_size
from poise.data_tools.formats.sleap_frames import FrameNames, save_frames
from poise.errors import DataError

__all__ = ["BY_HAND", "LINK", "PREDICTED", "SYMMETRY", "is_sleap", "read_sleap"]

#: files of earlier forms count pixels from their corner, later ones from their centre
CENTRED_SINCE = 1.1
_CORNER_SHIFT = 0.5
#: kinds of instances
BY_HAND, PREDICTED = 0, 1
#: kinds of edges of a skeleton
LINK, SYMMETRY = 1, 2


@dataclass(frozen=True)
class _Skeleton:
    """Keypoints, links and pairs of sides, by name."""

    name: str
    keypoints: list[str]
    links: list[tuple[str, str]]
    pairs: dict[str, str]


def is_sleap(path: Path) -> bool:
    """A file of SLEAP."""
    return path.suffix == ".slp" and is_hdf5(path)


def read_sleap(path: Path, reading: Reading) -> Annotations:
    """Annotations of a .slp file.

    Args:
        path: the file.
        reading: `schema`, `images`, `category` (name of a skeleton), `predicted`,
            `save_pictures`, `margin`.

    Raises:
        DataError: no such file, or a broken one.
        MissingDependencyError: h5py is not installed.
    """
    try:
        with import_h5py().File(path, "r") as file:
            return _read(file, path, reading)
    except (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no file of SLEAP: {type(error).__name__}: {error}") from error


def _read(file: Any, path: Path, reading: Reading) -> Annotations:
    about = file["metadata"].attrs
    skeletons = _skeletons(json.loads(about["json"]))
    names = FrameNames([json.loads(text) for text in file["videos_json"][()]], file)
    frames = file["frames"][()]
    keys = [(int(f["video"]), int(f["frame_idx"])) for f in frames]
    wanted = [names.of(*key) for key in keys]
    if reading.save_pictures is None:
        folder, places = picture_folder(
            wanted, (path.parent, path.parent / "images"), reading.images
        )
    else:
        folder = reading.save_pictures
        places = save_frames(file, path, names, keys, folder)
    book = Collection(reading, path, folder)
    shift = _CORNER_SHIFT if about.get("format_id", 1.0) < CENTRED_SINCE else 0.0
    instances = file["instances"][()]
    tables = {BY_HAND: file["points"][()], PREDICTED: file["pred_points"][()]}
    tracks = _tracks(file)
    corrected = set(instances["from_predicted"][instances["instance_type"] == BY_HAND].tolist())
    for frame, key, name in zip(frames, keys, wanted, strict=True):
        rows = instances[int(frame["instance_id_start"]) : int(frame["instance_id_end"])]
        drafts = [
            _draft(row, tables, skeletons, shift, name, tracks)
            for row in rows
            if row["instance_type"] == BY_HAND
            or (reading.predicted and int(row["instance_id"]) not in corrected)
        ]
        left = len(rows) - len(drafts)
        if left:
            for _ in range(left):
                book.found.drop(
                    "predictions of SLEAP (--predicted keeps those not corrected)", name
                )
        drafts = [draft for draft in drafts if draft.points]
        size = picture_size(folder / places.get(name, name)) or names.size(key[0])
        if not drafts:
            book.found.drop("frames without labels", name)
        elif size is None:
            book.found.drop("frames whose size is not known", name)
        else:
            book.add(book.add_image(places.get(name, name), size, frame_id=key[1]), drafts)
    absent = len(set(wanted) - places.keys())
    if absent:
        why = "could not be read from their videos"
        if reading.save_pictures is None:
            why = (
                f"are not in {folder}: --save-pictures FOLDER writes them, --images FOLDER says "
                "where they are"
            )
        book.found.said.append(f"pictures of {counted(absent, 'frame')} {why}")
    return book.finish(
        {skeleton.name: skeleton.keypoints for skeleton in skeletons},
        [link for skeleton in skeletons for link in skeleton.links],
        {a: b for skeleton in skeletons for a, b in skeleton.pairs.items()},
    )


def _draft(
    row: Any,
    tables: Mapping[int, np.ndarray],
    skeletons: list[_Skeleton],
    shift: float,
    where: str,
    tracks: Mapping[int, Mapping[str, Any]],
) -> Draft:
    """An instance with the keypoints that have a place."""
    skeleton = skeletons[int(row["skeleton"])]
    kind = int(row["instance_type"])
    points = tables[kind][int(row["point_id_start"]) : int(row["point_id_end"])]
    found = {
        name: (
            float(point["x"]) - shift,
            float(point["y"]) - shift,
            VISIBLE if point["visible"] else HIDDEN,
        )
        for name, point in zip(skeleton.keypoints, points, strict=True)
        if np.isfinite(point["x"]) and np.isfinite(point["y"])
    }
    track = int(row["track"])
    more = dict(tracks.get(track, {"track_id": track})) if track >= 0 else {}
    if kind == PREDICTED:
        more["score"] = round(float(row["score"]), 4)
    return Draft(found, None, skeleton.name, where, more)


def _tracks(file: Any) -> dict[int, dict[str, Any]]:
    """Track -> what its people get: its number, and its name where that says more.

    Names that are all numbers are the numbers of the tracks.
    """
    stored = file["tracks_json"][()] if "tracks_json" in file else ()
    names = [str(json.loads(text)[1]) for text in stored]
    if all(name.isdecimal() for name in names):
        return {n: {"track_id": int(name)} for n, name in enumerate(names)}
    return {n: {"track_id": n, "individual": name} for n, name in enumerate(names)}


def _skeletons(about: Mapping[str, Any]) -> list[_Skeleton]:
    names = [str(node["name"]) for node in about["nodes"]]
    return [_skeleton(graph, names) for graph in about["skeletons"]]


def _skeleton(graph: Mapping[str, Any], names: list[str]) -> _Skeleton:
    links, pairs = [], {}
    for source, target, kind in _edges(graph["links"]):
        a, b = names[source], names[target]
        if kind == SYMMETRY:
            pairs[a], pairs[b] = b, a
        else:
            links.append((a, b))
    title = str((graph.get("graph") or {}).get("name") or "animal")
    return _Skeleton(title, [names[int(node["id"])] for node in graph["nodes"]], links, pairs)


def _edges(links: list[Mapping[str, Any]]) -> Iterator[tuple[int, int, int]]:
    """Source, target and kind; a kind is written out once, and then meant by its number."""
    kinds: list[int] = []
    for link in links:
        kind = link.get("type") or {}
        if "py/reduce" in kind:
            kinds.append(int(kind["py/reduce"][1]["py/tuple"][0]))
            yield int(link["source"]), int(link["target"]), kinds[-1]
        else:
            number = int(kind.get("py/id", 0))
            known = kinds[number - 1] if 0 < number <= len(kinds) else LINK
            yield int(link["source"]), int(link["target"]), known
