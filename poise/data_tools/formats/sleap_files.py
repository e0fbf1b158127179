"""SLEAP's labels (.slp) of pictures.

What a model proposes become predicted instances, which SLEAP shows to be taken over with a double
click. Pictures of one size are a video.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.formats.annotations import Annotations, link_to, real_place
from poise.data_tools.formats.hdf_tables import import_h5py
from poise.data_tools.formats.shown import Shown, category_keypoints, identity, shown_people
from poise.data_tools.formats.sleap import BY_HAND, LINK, PREDICTED, SYMMETRY

__all__ = ["sleap_files"]

#: of the layout: pixels count from their centre, instances have a score of their track
_FORM = 1.2
_FRAME = [
    ("frame_id", "u8"),
    ("video", "u4"),
    ("frame_idx", "u8"),
    ("instance_id_start", "u8"),
    ("instance_id_end", "u8"),
]
_INSTANCE = [
    ("instance_id", "i8"),
    ("instance_type", "u1"),
    ("frame_id", "u8"),
    ("skeleton", "u4"),
    ("track", "i4"),
    ("from_predicted", "i8"),
    ("score", "f4"),
    ("point_id_start", "u8"),
    ("point_id_end", "u8"),
    ("tracking_score", "f4"),
]
_POINT = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
_PREDICTED_POINT = [*_POINT, ("score", "f8")]


def sleap_files(found: Annotations, out: Path) -> dict[Path, bytes]:
    """The file.

    Args:
        found: annotations. SLEAP has no boxes.
        out: .slp file, or the folder for `labels.slp`.

    Raises:
        MissingDependencyError: h5py is not installed.
    """
    file = out if out.suffix == ".slp" else out / "labels.slp"
    pictures = shown_people(found, posed=True)
    known = (identity(person.about) for _, people in pictures for person in people)
    tracks = sorted({name for name in known if name is not None}, key=lambda n: (len(n), n))
    videos = _videos(found, [image for image, _ in pictures], file.parent)
    places = {
        number: (n, row) for n, (_, rows) in enumerate(videos) for row, number in enumerate(rows)
    }
    skeletons = list(category_keypoints(found))
    kind = BY_HAND if found.proposed_by is None else PREDICTED
    frames: list[tuple[int, ...]] = []
    instances: list[tuple[float, ...]] = []
    points: list[tuple[float, float, bool, bool, float]] = []
    for number, (_, people) in enumerate(pictures):
        first = len(instances)
        for person in people:
            start = len(points)
            points += _points(person)
            name = identity(person.about)
            track = -1 if name is None else tracks.index(name)
            whole = (len(instances), kind, number, skeletons.index(person.label), track, -1)
            score = float(person.about.get("score", 0.0))
            instances.append((*whole, score, start, len(points), 0.0))
        frames.append((number, *places[number], first, len(instances)))
    predicted = [(*point, score) for *point, score in points] if kind == PREDICTED else []
    by_hand = [point[:-1] for point in points] if kind == BY_HAND else []
    content = {
        "frames": np.array(frames, _FRAME),
        "instances": np.array(instances, _INSTANCE),
        "points": np.array(by_hand, _POINT),
        "pred_points": np.array(predicted, _PREDICTED_POINT),
        "videos_json": _lines(about for about, _ in videos),
        "tracks_json": _lines([0, track] for track in tracks),
        "suggestions_json": _lines(
            {"video": str(video), "frame_idx": row, "group": 0} for video, row in places.values()
        ),
    }
    raw = io.BytesIO()
    with import_h5py().File(raw, "w") as stored:
        about = {"json": json.dumps(_metadata(found)), "format_id": _FORM}
        stored.create_group("metadata").attrs.update(about)
        for name, values in content.items():
            # SLEAP appends to them
            stored.create_dataset(name, data=values, maxshape=(None,))
    return {file: raw.getvalue()}


def _lines(entries: Any) -> np.ndarray:
    """JSON texts, as bytes of any number."""
    texts = [json.dumps(entry).encode() for entry in entries]
    return np.array(texts, f"S{max(map(len, texts), default=1)}")


def _points(person: Shown) -> list[tuple[float, float, bool, bool, float]]:
    """x, y, visible, complete, score of each keypoint; NaN without a label."""
    rows = zip(person.triples.tolist(), person.scores.tolist(), strict=True)
    return [
        (x, y, seen == 2, True, score) if seen > 0 else (np.nan, np.nan, False, False, 0.0)
        for (x, y, seen), score in rows
    ]


def _videos(
    found: Annotations, images: Sequence[Mapping[str, Any]], home: Path
) -> list[tuple[dict[str, Any], list[int]]]:
    """Videos that are lists of pictures of one size, and the numbers of these."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for number, image in enumerate(images):
        by_size.setdefault((image["height"], image["width"]), []).append(number)
    videos = []
    for (height, width), numbers in by_size.items():
        # absolute, as SLEAP has them: it looks for others from where it was started
        links = (link_to(found, images[n]["file_name"], home) for n in numbers)
        files = [real_place(home.resolve() / link).as_posix() for link in links]
        backend = {
            "type": "ImageVideo",
            "shape": [len(files), height, width, 3],
            "filename": files[0],
            "filenames": files,
            "height_": height,
            "width_": width,
            "channels_": 3,
            "grayscale": False,
        }
        videos.append(({"filename": files, "backend": backend}, numbers))
    return videos


def _metadata(found: Annotations) -> dict[str, Any]:
    """Skeletons: one for each category, over the same nodes."""
    pairs = {(a, b) for a, b in enumerate(found.swap) if a < b}
    edges = [(a, b, LINK) for a, b in found.skeleton]
    edges += [(*pair, SYMMETRY) for a, b in sorted(pairs) for pair in ((a, b), (b, a))]
    skeletons = []
    for label, names in category_keypoints(found).items():
        nodes = [found.names.index(name) for name in names]
        own = [edge for edge in edges if edge[0] in nodes and edge[1] in nodes]
        links = [
            {"edge_insert_idx": n, "key": 0, "source": a, "target": b, "type": _kind(kind)}
            for n, (a, b, kind) in enumerate(own)
        ]
        graph = {"name": label, "num_edges_inserted": len(own)}
        skeletons.append(
            {
                "directed": True,
                "graph": graph,
                "links": links,
                "multigraph": True,
                "nodes": [{"id": node} for node in nodes],
            }
        )
    return {
        "version": "2.0.0",
        "skeletons": skeletons,
        "nodes": [{"name": name, "weight": 1.0} for name in found.names],
        "videos": [],
        "tracks": [],
        "suggestions": [],
        "negative_anchors": {},
        "provenance": {},
    }


def _kind(number: int) -> dict[str, Any]:
    return {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [number]}]}
