"""Bundle adjustment: all cameras and all boards at once (Triggs et al. 2000).

What is found are the poses of cameras and boards, and the lenses of those cameras that have not
been given, at which the corners of the boards lie nearest to where they are seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.geometry.lens import distort
from poise.inference.multiview.boards import Board, Sighting

__all__ = ["Corners", "adjusted", "corners_of", "sighting_errors"]

#: Error in pixels above which a corner counts less than its square.
_TRUSTED = 1.0
#: Numbers of a pose, and of a lens: two focal lengths, the principal point, coefficients.
_POSE, _LENS = 6, 4 + 12
#: Evaluations at most, and the part of the cost that a step must save to be followed by another:
#: with less, four cameras and 80 boards took three times as long to be as near to the truth.
_EVALUATIONS, _ENOUGH = 60, 1e-6


@dataclasses.dataclass(frozen=True)
class Corners:
    """All corners that are seen, M of S sightings, side by side.

    Attributes:
        sighting: (M,) number of the sighting, which of a camera and a board there is one.
        camera, board: (M,) whose, and of which board.
        points: (M, 3) on the board, metres.
        pixels: (M, 2) image space.
    """

    sighting: Array
    camera: Array
    board: Array
    points: Array
    pixels: Array

    def where(self, keep: Array) -> Corners:
        """Some of them (M,); sightings keep their numbers."""
        return Corners(*(getattr(self, field.name)[keep] for field in dataclasses.fields(self)))


def corners_of(
    sightings: Sequence[Mapping[str, Sighting]], keys: Sequence[str], board: Board
) -> tuple[Corners, Array]:
    """Corners of the pictures `keys` of all cameras; and (S, 2) camera and board of sightings."""
    pairs = [(v, b) for v, seen in enumerate(sightings) for b, k in enumerate(keys) if k in seen]
    own = [sightings[v][keys[b]] for v, b in pairs]
    number = np.repeat(np.arange(len(own)), [len(seen.ids) for seen in own])
    camera, of = np.array(pairs)[number].T
    points, pixels = ([board.points[s.ids] for s in own], [s.pixels for s in own])
    corners = Corners(number, camera, of, np.concatenate(points), np.concatenate(pixels))
    return corners, np.array(pairs)


def sighting_errors(
    cameras: Sequence[Camera], boards: Sequence[tuple[Array, Array]], corners: Corners, count: int
) -> Array:
    """(count,) RMS pixels of each sighting, 0 of one without corners.

    Boards are rotations and places in the world.
    """
    problem = _Problem(cameras, boards, corners)
    squares = (problem.off(problem.values) ** 2).sum(-1)
    seen, total = (np.bincount(corners.sighting, w, count) for w in (None, squares))
    return np.sqrt(total / np.maximum(seen, 1))


def adjusted(
    cameras: Sequence[Camera],
    boards: Sequence[tuple[Array, Array]],
    corners: Corners,
    free: Sequence[bool],
) -> tuple[list[Camera], list[tuple[Array, Array]]]:
    """Cameras and boards at which corners lie where they are seen; the first camera stays.

    Args:
        cameras: V of them, near their places.
        boards: rotation (3, 3) and place (3,) of each board, metres.
        corners: what is seen.
        free: whether the matrix and lens of each camera are adjusted, too.
    """
    from scipy.optimize import least_squares

    problem = _Problem(cameras, boards, corners)
    moving = problem.moving(free)
    whole = problem.values.copy()

    def off(values: Array) -> Array:
        whole[moving] = values
        return problem.off(whole).ravel()

    solved = least_squares(
        off,
        problem.values[moving],
        jac_sparsity=problem.sparsity()[:, np.flatnonzero(moving)],
        x_scale="jac",
        loss="soft_l1",
        f_scale=_TRUSTED,
        max_nfev=_EVALUATIONS,
        ftol=_ENOUGH,
    )
    whole[moving] = solved.x
    return problem.read(whole)


class _Problem:
    """The numbers that are looked for, in one row: camera poses, lenses, board poses."""

    def __init__(
        self,
        cameras: Sequence[Camera],
        boards: Sequence[tuple[Array, Array]],
        corners: Corners,
    ) -> None:
        self.cameras, self.corners, self.count = cameras, corners, len(boards)
        poses = [(camera.rotation, camera.translation) for camera in cameras]
        lenses = np.zeros((len(cameras), _LENS))
        for row, camera in zip(lenses, cameras, strict=True):
            row[:4] = camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
            row[4 : 4 + len(camera.distortion)] = camera.distortion
        parts = _vectors(poses), lenses, _vectors(boards)
        self.values = np.concatenate([part.ravel() for part in parts])

    def _split(self, values: Array) -> tuple[Array, Array, Array]:
        V = len(self.cameras)
        poses, lenses, boards = np.split(values, (V * _POSE, V * (_POSE + _LENS)))
        return poses.reshape(V, _POSE), lenses.reshape(V, _LENS), boards.reshape(-1, _POSE)

    def moving(self, free: Sequence[bool]) -> Array:
        """Which of the numbers are looked for."""
        mask = np.zeros(len(self.values), bool)
        poses, lenses, boards = self._split(mask)
        poses[1:], boards[:] = True, True
        for row, camera, loose in zip(lenses, self.cameras, free, strict=True):
            row[: 4 + len(camera.distortion)] = loose
        return mask

    def off(self, values: Array) -> Array:
        """(M, 2) pixels between where corners would be and where they are seen."""
        poses, lenses, boards = self._split(values)
        corners = self.corners
        v, b = corners.camera, corners.board
        turns, board_turns = _matrices(poses), _matrices(boards)
        world = np.einsum("mij,mj->mi", board_turns[b], corners.points) + boards[b, 3:]
        seen = np.einsum("mij,mj->mi", turns[v], world) + poses[v, 3:]
        flat = seen[:, :2] / np.maximum(seen[:, 2:], 1e-6)
        out = np.empty_like(flat)
        for number, (lens, camera) in enumerate(zip(lenses, self.cameras, strict=True)):
            own = v == number
            bend = lens[4 : 4 + len(camera.distortion)]
            bent = distort(flat[own], bend, fisheye=camera.fisheye)
            skewed = bent[:, 1:] * [camera.matrix[0, 1], 0]
            out[own] = bent * lens[:2] + skewed + lens[2:4]
        return out - corners.pixels

    def sparsity(self) -> Any:
        """Which residuals depend on which numbers: on their camera's and their board's."""
        from scipy.sparse import coo_array

        V = len(self.cameras)
        # a residual along x, and one along y
        v, b = (np.repeat(owner, 2) for owner in (self.corners.camera, self.corners.board))
        columns = np.concatenate(
            (
                v[:, None] * _POSE + np.arange(_POSE),
                V * _POSE + v[:, None] * _LENS + np.arange(_LENS),
                V * (_POSE + _LENS) + b[:, None] * _POSE + np.arange(_POSE),
            ),
            axis=1,
        )
        rows = np.repeat(np.arange(len(v)), columns.shape[1])
        ones = np.ones(columns.size)
        shape = (len(v), len(self.values))
        return coo_array((ones, (rows, columns.ravel())), shape=shape).tocsc()

    def read(self, values: Array) -> tuple[list[Camera], list[tuple[Array, Array]]]:
        """Cameras and boards of a row of numbers."""
        poses, lenses, boards = self._split(values)
        out = []
        for pose, turn, lens, camera in zip(
            poses, _matrices(poses), lenses, self.cameras, strict=True
        ):
            matrix = camera.matrix.copy()
            matrix[[0, 1, 0, 1], [0, 1, 2, 2]] = lens[:4]
            bend = lens[4 : 4 + len(camera.distortion)]
            out.append(
                dataclasses.replace(
                    camera, matrix=matrix, distortion=bend, rotation=turn, translation=pose[3:]
                )
            )
        return out, list(zip(_matrices(boards), boards[:, 3:], strict=True))


def _vectors(poses: Sequence[tuple[Array, Array]]) -> Array:
    """(n, 6) Rodrigues vector and translation of each pose."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_matrix(np.stack([turn for turn, _ in poses])).as_rotvec()
    return np.concatenate((turns, np.stack([shift for _, shift in poses])), axis=1)


def _matrices(poses: Array) -> Array:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(poses[:, :3]).as_matrix()
