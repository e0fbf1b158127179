"""Where cameras stand, from boards that several of them see at once.

Each sighting gives the board's pose before its camera; pictures of two cameras at once give their
relation; a tree of relations gives a start, and a bundle adjustment (`bundle`) the solution.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.inference.multiview.boards import Board, Sighting
from poise.inference.multiview.bundle import adjusted, corners_of, sighting_errors

__all__ = ["Places", "place_cameras"]

#: Sightings are dropped where their error is so many times the middle one's, and so many pixels.
_BAD_TIMES, _BAD_PIXELS = 4.0, 1.0
#: Boards that are adjusted at most.
_MOST_BOARDS = 80
#: From the board's axes (z into it) to a world whose z points to who looks at it.
_FACE_UP = np.diag([1.0, -1.0, -1.0])


@dataclasses.dataclass(frozen=True)
class Places:
    """Cameras in one world.

    Attributes:
        cameras: V of them; metres, the origin at the board's first corner in the picture `origin`,
            x along its columns, z towards who looks at it.
        errors: (V,) RMS reprojection error, pixels.
        counts: (V,) boards that each was placed by.
        origin: key of the picture.
        dropped: (camera, key) -> why the sighting was not used.
    """

    cameras: list[Camera]
    errors: list[float]
    counts: list[int]
    origin: str
    dropped: dict[tuple[str, str], str]


def place_cameras(
    lenses: Sequence[Camera],
    sightings: Sequence[Mapping[str, Sighting]],
    board: Board,
    *,
    origin: str | None = None,
    fixed: Collection[str] = (),
) -> Places:
    """Cameras in the world of the board of one picture.

    Args:
        lenses: V calibrated lenses.
        sightings: V times key of a picture -> the board in it; a key is one moment.
        board: what was shown.
        origin: key of the picture in which the board lies at the origin, such as on the floor.
            None: the first that most cameras see.
        fixed: names of cameras whose matrix and lens stay as they are; those of the others are
            adjusted with the places.

    Raises:
        DataError: cameras that no pictures connect, an origin without a board.
    """
    keys = _chosen(lenses, sightings, origin)
    origin = keys[0]
    poses = [
        {k: _pose(camera, seen[k], board) for k in keys if k in seen}
        for camera, seen in zip(lenses, sightings, strict=True)
    ]
    cameras = _tree(lenses, poses)
    boards = _boards(keys, poses, cameras)
    free = [camera.name not in fixed for camera in cameras]
    corners, pairs = corners_of(sightings, keys, board)
    dropped: dict[tuple[str, str], str] = {}
    while True:
        cameras, boards = adjusted(cameras, boards, corners, free)
        errors = sighting_errors(cameras, boards, corners, len(pairs))
        there = np.unique(corners.sighting)
        middle = float(np.median(errors[there]))
        # the origin stays, and every camera keeps something
        bad = (errors > max(_BAD_TIMES * middle, _BAD_PIXELS)) & (pairs[:, 1] > 0)
        left = np.setdiff1d(there, np.flatnonzero(bad))
        if not bad.any() or len(np.unique(pairs[left, 0])) < len(lenses):
            break
        for (v, b), error in zip(pairs[bad].tolist(), errors[bad].tolist(), strict=True):
            text = f"error of {error:.2f} px, the others' {middle:.2f}"
            dropped[lenses[v].name, keys[b]] = text
        corners = corners.where(~bad[corners.sighting])
    turn, shift = boards[0]
    to_world = (turn @ _FACE_UP).T
    placed = [camera.moved(to_world, -to_world @ shift) for camera in cameras]
    own = [errors[there[pairs[there, 0] == v]] for v in range(len(lenses))]
    rms = [float(np.sqrt((part**2).mean())) for part in own]
    return Places(placed, rms, [len(part) for part in own], origin, dropped)


def _chosen(
    lenses: Sequence[Camera], sightings: Sequence[Mapping[str, Sighting]], origin: str | None
) -> list[str]:
    """Keys of the pictures that are used, that of the origin first."""
    count: dict[str, int] = {}
    for seen in sightings:
        for key in seen:
            count[key] = count.get(key, 0) + 1
    if origin is not None and origin not in count:
        raise DataError(
            f"no camera finds the board in the picture '{origin}', which is to be the origin; "
            f"it is found in {', '.join(sorted(count)[:8])} ..."
        )
    shared = sorted((k for k, n in count.items() if n > 1), key=lambda k: (-count[k], k))
    if origin is None:
        if not count:
            raise DataError("no camera finds the board in any picture")
        origin = shared[0] if shared else sorted(count)[0]
    # pictures of one camera say nothing of places, but something of its lens
    single = sorted(key for key, n in count.items() if n == 1)
    others = [key for key in (*shared, *single) if key != origin]
    if len(others) > _MOST_BOARDS:
        many = max(len(shared), 1)
        pool = others[: max(many, _MOST_BOARDS)]
        places = np.linspace(0, len(pool) - 1, _MOST_BOARDS).round().astype(int)
        others = [pool[i] for i in places]
    return [origin, *others]


def _pose(camera: Camera, seen: Sighting, board: Board) -> tuple[Array, Array, float]:
    """Rotation and place of the board before a camera, and its error in pixels."""
    import cv2

    flat = camera.undistort(seen.pixels)
    points, lens = board.points[seen.ids], np.eye(3)
    # a plane seen from afar has two poses; this method looks at both
    _, turn, shift = cv2.solvePnP(points, flat, lens, None, flags=cv2.SOLVEPNP_IPPE)
    _, turn, shift = cv2.solvePnP(
        points, flat, lens, None, turn, shift, useExtrinsicGuess=True,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    posed = dataclasses.replace(camera, rotation=np.ravel(turn), translation=np.ravel(shift))
    away = posed.project(points) - seen.pixels
    return posed.rotation, posed.translation, float(np.sqrt((away**2).sum(-1).mean()))


def _tree(lenses: Sequence[Camera], poses: Sequence[Mapping[str, Any]]) -> list[Camera]:
    """Cameras in the axes of the first."""
    count = len(lenses)
    placed = {0: dataclasses.replace(lenses[0], rotation=np.eye(3), translation=np.zeros(3))}
    shared = {
        pair: [k for k in poses[pair[0]] if k in poses[pair[1]]]
        for pair in itertools.permutations(range(count), 2)
    }
    waiting = set(range(1, count))
    while waiting:
        # the pair of a placed and another camera that most pictures connect
        pairs = [(a, b) for a in placed for b in waiting]
        best = max(pairs, key=lambda pair: len(shared[pair]))
        if not shared[best]:
            here = ", ".join(lenses[v].name for v in placed)
            there = ", ".join(lenses[v].name for v in sorted(waiting))
            raise DataError(
                f"no picture shows the board to one of {here} and to one of {there} at the same "
                "time, so nothing tells how they stand to one another; do names or frame numbers "
                "of pictures taken together agree?"
            )
        a, b = best
        turn, shift = _relation(poses[a], poses[b], shared[best])
        rotation, translation = turn @ placed[a].rotation, turn @ placed[a].translation + shift
        placed[b] = dataclasses.replace(lenses[b], rotation=rotation, translation=translation)
        waiting.remove(b)
    return [placed[v] for v in range(count)]


def _relation(a: Mapping[str, Any], b: Mapping[str, Any], keys: list[str]) -> tuple[Array, Array]:
    """From one camera's axes to another's: of all pictures' answers the most central one."""
    turns = np.stack([b[k][0] @ a[k][0].T for k in keys])
    shifts = np.stack([b[k][1] - turn @ a[k][1] for k, turn in zip(keys, turns, strict=True)])
    trace = np.einsum("nij,mij->nm", turns, turns)
    angles = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    away = np.linalg.norm(shifts[:, None] - shifts[None], axis=-1)
    scale = max(float(np.linalg.norm(shifts, axis=-1).mean()), 1e-6)
    best = int((angles + away / scale).sum(1).argmin())
    return turns[best], shifts[best]


def _boards(
    keys: Sequence[str], poses: Sequence[Mapping[str, Any]], cameras: Sequence[Camera]
) -> list[tuple[Array, Array]]:
    """Pose of each board in the first camera's axes, by the camera that sees it best."""
    out = []
    for key in keys:
        seers = [v for v in range(len(poses)) if key in poses[v]]
        v = min(seers, key=lambda v: poses[v][key][2])
        turn, shift, _ = poses[v][key]
        back = cameras[v].rotation.T
        out.append((back @ turn, back @ (shift - cameras[v].translation)))
    return out
