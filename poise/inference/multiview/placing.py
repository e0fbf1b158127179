"""Where cameras stand, from boards that several of them see at once.

Each sighting gives the board's pose before its camera; pictures of two cameras at once give their
relation; a tree of relations gives a start, and a bundle adjustment (Triggs et al. 2000) over all
cameras and boards the solution.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.inference.multiview.boards import Board, Sighting

__all__ = ["Places", "place_cameras"]

#: Sightings are dropped where their error is so many times the middle one's, and so many pixels.
_BAD_TIMES, _BAD_PIXELS = 4.0, 1.0
#: Boards that are adjusted at most.
_MOST_BOARDS = 80
#: Error in pixels above which a corner counts less than its square.
_TRUSTED = 1.0
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


@dataclasses.dataclass(frozen=True)
class _Corners:
    """All sightings side by side; M corners of S sightings.

    Attributes:
        sighting: (M,) which one.
        cameras, boards: (S,) whose, and of which board.
        points: (M, 3) on the board.
        flat: (M, 2) undistorted.
        keys: (S,) name of camera and picture.
    """

    sighting: Array
    cameras: Array
    boards: Array
    points: Array
    flat: Array
    keys: list[tuple[str, str]]


def place_cameras(
    lenses: Sequence[Camera],
    sightings: Sequence[Mapping[str, Sighting]],
    board: Board,
    *,
    origin: str | None = None,
) -> Places:
    """Cameras in the world of the board of one picture.

    Args:
        lenses: V calibrated lenses.
        sightings: V times key of a picture -> the board in it; a key is one moment.
        board: what was shown.
        origin: key of the picture in which the board lies at the origin, such as on the floor.
            None: the first that most cameras see.

    Raises:
        DataError: cameras that no pictures connect, an origin without a board.
    """
    keys = _chosen(lenses, sightings, origin)
    origin = keys[0]
    poses = [
        {k: _pose(camera, seen[k], board) for k in keys if k in seen}
        for camera, seen in zip(lenses, sightings, strict=True)
    ]
    turns, shifts = _tree(lenses, poses)
    boards = _boards(keys, poses, turns, shifts)
    dropped: dict[tuple[str, str], str] = {}
    corners = _corners(lenses, sightings, keys, board)
    while True:
        turns, shifts, boards = _adjusted(lenses, corners, turns, shifts, boards)
        errors = _errors(lenses, corners, turns, shifts, boards)
        middle = float(np.median(errors))
        bad = errors > max(_BAD_TIMES * middle, _BAD_PIXELS)
        # the origin stays, and every camera keeps something
        bad &= corners.boards > 0
        left = np.bincount(corners.cameras[~bad], minlength=len(lenses))
        if not bad.any() or not left.all():
            break
        for i in np.flatnonzero(bad).tolist():
            dropped[corners.keys[i]] = f"error of {errors[i]:.2f} px, the others' {middle:.2f}"
        corners = _without(corners, bad)
    cameras = []
    for lens, turn, shift in zip(lenses, turns, shifts, strict=True):
        rotation = turn @ boards[0][0] @ _FACE_UP
        translation = turn @ boards[0][1] + shift
        cameras.append(dataclasses.replace(lens, rotation=rotation, translation=translation))
    rms = [float(np.sqrt((errors[corners.cameras == v] ** 2).mean())) for v in range(len(lenses))]
    counts = np.bincount(corners.cameras, minlength=len(lenses)).tolist()
    return Places(cameras, rms, counts, origin, dropped)


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
    others = [key for key in shared if key != origin]
    if len(others) > _MOST_BOARDS:
        places = np.linspace(0, len(others) - 1, _MOST_BOARDS).round().astype(int)
        others = [others[i] for i in places]
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


def _tree(lenses: Sequence[Camera], poses: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """Rotations (V, 3, 3) and translations (V, 3) from the first camera's axes."""
    count = len(lenses)
    turns = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    shifts = np.zeros((count, 3))
    shared = {
        pair: [k for k in poses[pair[0]] if k in poses[pair[1]]]
        for pair in itertools.permutations(range(count), 2)
    }
    reached, waiting = [0], set(range(1, count))
    while waiting:
        # the pair of a placed and another camera that most pictures connect
        pairs = [(a, b) for a in reached for b in waiting]
        best = max(pairs, key=lambda pair: len(shared[pair]))
        if not shared[best]:
            here = ", ".join(lenses[v].name for v in reached)
            there = ", ".join(lenses[v].name for v in sorted(waiting))
            raise DataError(
                f"no picture shows the board to one of {here} and to one of {there} at the same "
                "time, so nothing tells how they stand to one another; do names or frame numbers "
                "of pictures taken together agree?"
            )
        a, b = best
        turn, shift = _relation(poses[a], poses[b], shared[best])
        turns[b], shifts[b] = turn @ turns[a], turn @ shifts[a] + shift
        reached.append(b)
        waiting.remove(b)
    return turns, shifts


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
    keys: Sequence[str], poses: Sequence[Mapping[str, Any]], turns: Array, shifts: Array
) -> list[tuple[Array, Array]]:
    """Pose of each board in the first camera's axes, by the camera that sees it best."""
    out = []
    for key in keys:
        seers = [v for v in range(len(poses)) if key in poses[v]]
        v = min(seers, key=lambda v: poses[v][key][2])
        turn, shift, _ = poses[v][key]
        out.append((turns[v].T @ turn, turns[v].T @ (shift - shifts[v])))
    return out


def _corners(
    lenses: Sequence[Camera],
    sightings: Sequence[Mapping[str, Sighting]],
    keys: Sequence[str],
    board: Board,
) -> _Corners:
    rows = [
        (v, b, seen[key])
        for v, seen in enumerate(sightings)
        for b, key in enumerate(keys)
        if key in seen
    ]
    counts = [len(sighting.ids) for _, _, sighting in rows]
    return _Corners(
        sighting=np.repeat(np.arange(len(rows)), counts),
        cameras=np.array([v for v, _, _ in rows]),
        boards=np.array([b for _, b, _ in rows]),
        points=np.concatenate([board.points[s.ids] for _, _, s in rows]),
        flat=np.concatenate([lenses[v].undistort(s.pixels) for v, _, s in rows]),
        keys=[(lenses[v].name, keys[b]) for v, b, _ in rows],
    )


def _without(corners: _Corners, bad: Array) -> _Corners:
    keep = ~bad
    number = np.cumsum(keep) - 1
    rows = keep[corners.sighting]
    return _Corners(
        sighting=number[corners.sighting[rows]],
        cameras=corners.cameras[keep],
        boards=corners.boards[keep],
        points=corners.points[rows],
        flat=corners.flat[rows],
        keys=[key for key, good in zip(corners.keys, keep.tolist(), strict=True) if good],
    )


def _off(corners: _Corners, focal: Array, turns: Any, shifts: Any, boards: Any) -> Array:
    """(M, 2) pixels between corners and where the poses put them, without the lens's bend."""
    board_turns, board_shifts = boards
    v, b = corners.cameras[corners.sighting], corners.boards[corners.sighting]
    world = np.einsum("mij,mj->mi", board_turns[b], corners.points) + board_shifts[b]
    seen = np.einsum("mij,mj->mi", turns[v], world) + shifts[v]
    depth = np.maximum(seen[:, 2:], 1e-6)
    return (seen[:, :2] / depth - corners.flat) * focal[v][:, None]


def _errors(
    lenses: Sequence[Camera], corners: _Corners, turns: Any, shifts: Any, boards: Any
) -> Array:
    """(S,) RMS pixels of each sighting."""
    stacked = np.stack([t for t, _ in boards]), np.stack([s for _, s in boards])
    squares = (_off(corners, _focal(lenses), turns, shifts, stacked) ** 2).sum(-1)
    count = np.bincount(corners.sighting)
    return np.sqrt(np.bincount(corners.sighting, squares) / np.maximum(count, 1))


def _focal(lenses: Sequence[Camera]) -> Array:
    return np.array([np.sqrt(c.matrix[0, 0] * c.matrix[1, 1]) for c in lenses])


def _adjusted(
    lenses: Sequence[Camera], corners: _Corners, turns: Array, shifts: Array, boards: Any
) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """All poses at once, so that corners lie where they are seen; the first camera stays."""
    from scipy.optimize import least_squares
    from scipy.sparse import coo_array
    from scipy.spatial.transform import Rotation

    V, F, focal = len(lenses), len(boards), _focal(lenses)

    def split(values: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        table = values.reshape(-1, 6)
        matrices = Rotation.from_rotvec(table[:, :3]).as_matrix()
        first = turns[:1], shifts[:1]
        return (
            np.concatenate((first[0], matrices[: V - 1])),
            np.concatenate((first[1], table[: V - 1, 3:])),
            (matrices[V - 1 :], table[V - 1 :, 3:]),
        )

    everything = [*zip(turns[1:], shifts[1:], strict=True), *boards]
    vectors = Rotation.from_matrix(np.stack([turn for turn, _ in everything])).as_rotvec()
    start = np.concatenate((vectors, np.stack([shift for _, shift in everything])), -1)
    # a corner depends on its camera's six numbers and on its board's
    rows = np.arange(2 * len(corners.flat))
    owner = np.repeat(corners.sighting, 2)
    blocks = [corners.cameras[owner] - 1, corners.boards[owner] + V - 1]
    cells = [(rows[block >= 0], block[block >= 0]) for block in blocks]
    columns = np.concatenate([(b[:, None] * 6 + np.arange(6)).ravel() for _, b in cells])
    lines = np.concatenate([np.repeat(r, 6) for r, _ in cells])
    shape = (len(rows), 6 * (V - 1 + F))
    sparsity = coo_array((np.ones(len(lines)), (lines, columns)), shape=shape).tocsr()
    solved = least_squares(
        lambda values: _off(corners, focal, *split(values)).ravel(),
        start.ravel(),
        jac_sparsity=sparsity,
        x_scale="jac",
        loss="soft_l1",
        f_scale=_TRUSTED,
        max_nfev=50,
    )
    turns, shifts, (board_turns, board_shifts) = split(solved.x)
    return turns, shifts, list(zip(board_turns, board_shifts, strict=True))
