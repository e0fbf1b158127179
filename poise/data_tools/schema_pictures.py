"""A schema as a picture: where its keypoints lie on a body, what links them, their numbers.

No data set says where keypoints are on a figure at rest, so bodies, faces and hands stand on a
figure of our own, to which the mappings of `poise.schemas.conversions` lead; everything else is
laid out by its links alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poise import schemas
from poise.errors import DataError
from poise.schemas import conversions
from poise.structures.metainfo import parse_pose_metainfo
from poise.visualization import draw_keypoints
from poise.visualization.style import Array

__all__ = ["draw_schema", "figure_positions"]

#: The figure faces the viewer: its left is on the right. x from the middle and y from the top of
#: the head, in parts of its height; of a pair the left one.
_MIDDLE = {"nose": (0, 0.09)}
_LEFT = {
    "eye": (0.022, 0.07),
    "ear": (0.045, 0.08),
    "shoulder": (0.11, 0.2),
    "elbow": (0.19, 0.34),
    "wrist": (0.25, 0.47),
    "hip": (0.07, 0.5),
    "knee": (0.08, 0.73),
    "ankle": (0.09, 0.94),
    "big_toe": (0.11, 1.0),
    "small_toe": (0.145, 0.985),
    "heel": (0.075, 0.965),
    "hand_root": (0.26, 0.49),
}
#: fingers of the left hand from its root: direction in degrees from downwards, length
_FINGERS = {
    "thumb": (-70, 0.055),
    "forefinger": (-25, 0.085),
    "middle_finger": (-5, 0.09),
    "ring_finger": (15, 0.085),
    "pinky_finger": (35, 0.07),
}
#: the face: middle, and half of its width
_FACE, _FACE_HALF = (0.0, 0.09), 0.045
#: from the neck to the top of the head
_HEAD = 0.18
#: with fewer keypoints than this on the figure, a schema is laid out by its links
LEAST_PLACED = 0.5
_MARGIN = 0.08
_GROUND = 24


def draw_schema(name: str, *, size: int = 800) -> Array:
    """Keypoints with their numbers, and links.

    Args:
        name: of a schema, or path of a metadata file.
        size: height and width, pixels.

    Returns:
        (size, size, 3) uint8, BGR.
    """
    meta = parse_pose_metainfo({"from_file": name})
    points = figure_positions(name)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size * (1 - 2 * _MARGIN) / max((high - low).max(), 1e-9)
    moved = (points - (low + high) / 2) * scale + size / 2
    canvas = np.full((size, size, 3), _GROUND, np.uint8)
    return draw_keypoints(canvas, moved[None], metainfo=meta, show_indices=True)


def figure_positions(name: str) -> Array:
    """(K, 2) places of a schema's keypoints on a figure at rest; x right, y down, no unit."""
    info = schemas.get(name)
    count = len(info["keypoint_info"])
    known = np.full((count, 2), np.nan)
    mapping = _from_figure(name)
    figure = _whole_body()
    for i, joint in enumerate(mapping.joints if mapping else ()):
        if joint.terms:
            known[i] = sum(weight * figure[index] for index, weight in joint.terms)
    placed = np.isfinite(known[:, 0])
    if placed.mean() < LEAST_PLACED:
        return _by_links(info)
    return _with_the_rest(known, info)


def _from_figure(name: str) -> conversions.Mapping | None:
    for side in ("", "left"):
        try:
            return conversions.find("coco_wholebody", name, side=side)
        except DataError:
            continue
    return None


def _whole_body() -> Array:
    """(133, 2) places of COCO-WholeBody's keypoints."""
    places: dict[str, tuple[float, float]] = dict(_MIDDLE)
    for part, (x, y) in _LEFT.items():
        places[f"left_{part}"], places[f"right_{part}"] = (x, y), (-x, y)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        x, y = places[f"{side}_hand_root"]
        for finger, (angle, length) in _FINGERS.items():
            # the hand continues the arm
            turn = np.radians(angle + 25)
            for i, share in enumerate((0.35, 0.6, 0.8, 1.0), 1):
                reach = length * share
                at = (x + sign * np.sin(turn) * reach, y + np.cos(turn) * reach)
                places[f"{side}_{finger}{i}"] = at
    for i, (x, y) in enumerate(_face()):
        places[f"face-{i}"] = (_FACE[0] + x * _FACE_HALF, _FACE[1] + y * _FACE_HALF)
    names = [p["name"] for p in schemas.get("coco_wholebody")["keypoint_info"].values()]
    return np.array([places[name] for name in names])


def _face() -> list[tuple[float, float]]:
    """68 points of a face between -1 and 1: jaw, brows, nose, eyes, lips."""

    def arc(
        count: int, middle: tuple[float, float], half: tuple[float, float], start: int, end: int
    ) -> list[tuple[float, float]]:
        angles = np.radians(np.linspace(start, end, count))
        x, y = middle[0] + half[0] * np.cos(angles), middle[1] + half[1] * np.sin(angles)
        return list(zip(x.tolist(), y.tolist(), strict=True))

    jaw = arc(17, (0, -0.1), (1, 1.1), 180, 0)
    brows = arc(5, (-0.45, -0.35), (0.3, 0.2), 195, 345) + arc(
        5, (0.45, -0.35), (0.3, 0.2), 195, 345
    )
    ridge = [(0.0, -0.25 + 0.15 * i) for i in range(4)]
    nose = arc(5, (0, 0.25), (0.2, 0.08), 160, 20)
    eyes = [
        point
        for x in (-0.42, 0.42)
        for point in arc(4, (x, -0.2), (0.18, 0.1), 180, 360)
        + arc(4, (x, -0.2), (0.18, 0.1), 0, 180)[1:3]
    ]
    lips = []
    for count, half in ((7, (0.38, 0.18)), (5, (0.28, 0.08))):
        lips += arc(count, (0, 0.58), half, 180, 360)
        lips += arc(count, (0, 0.58), half, 0, 180)[1:-1]
    return jaw + brows + ridge + nose + eyes + lips


def _with_the_rest(known: Array, info: dict[str, Any]) -> Array:
    """Keypoints that the figure lacks, beside their links' other ends or their neighbours."""
    names = [point["name"] for point in info["keypoint_info"].values()]
    ends: dict[int, list[int]] = {i: [] for i in range(len(names))}
    for link in info["skeleton_info"].values():
        first, second = (names.index(end) for end in link["link"])
        ends[first].append(second)
        ends[second].append(first)
    placed = np.isfinite(known[:, 0])
    for i in np.flatnonzero(~placed).tolist():
        near = [j for j in ends[i] if placed[j]]
        if not near:
            near = np.flatnonzero(placed)[
                np.argsort(np.abs(np.flatnonzero(placed) - i))[:2]
            ].tolist()
        known[i] = known[near].mean(axis=0)
        # what hangs on one point alone is the top of the head
        known[i, 1] -= _HEAD if len(near) == 1 else 0
    return known


def _by_links(info: dict[str, Any]) -> Array:
    """Places by the links alone: each part that hangs together by itself, parts in rows."""
    from scipy.sparse.csgraph import connected_components, shortest_path

    names = [point["name"] for point in info["keypoint_info"].values()]
    count = len(names)
    if not info["skeleton_info"]:
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        return np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    graph = np.zeros((count, count))
    for link in info["skeleton_info"].values():
        first, second = (names.index(end) for end in link["link"])
        graph[first, second] = graph[second, first] = 1
    parts, part_of = connected_components(graph)
    columns = int(np.ceil(np.sqrt(parts)))
    places = np.zeros((count, 2))
    for part in range(parts):
        members = np.flatnonzero(part_of == part)
        alone = _scaled(shortest_path(graph[np.ix_(members, members)], unweighted=True))
        alone = alone / max(np.abs(alone).max(), 1e-9) * 0.42
        places[members] = alone + np.array([part % columns, part // columns])
    return places


def _scaled(apart: Array) -> Array:
    """(N, 2) places whose distances are about those given (classical scaling)."""
    if len(apart) < 2:
        return np.zeros((len(apart), 2))
    squared = apart**2
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    return np.asarray(vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0)))
