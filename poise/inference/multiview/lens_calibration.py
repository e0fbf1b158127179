"""A camera's matrix and lens from pictures of a board (Zhang 2000, as OpenCV computes it)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError, UnknownNameError, one_of
from poise.geometry.camera_model import Camera
from poise.inference.multiview.boards import Board, Sighting

__all__ = ["LENSES", "LensFit", "calibrate_lens"]

#: Lens -> number of coefficients. A third radial one, as "brown" has it, fits noise where the
#: board seldom comes into the corners.
LENSES = {"standard": 4, "brown": 5, "rational": 8, "fisheye": 4, "none": 0}
#: Pictures that a lens needs, and that are used at most.
_LEAST_PICTURES, _MOST_PICTURES = 5, 60
#: A picture is dropped where its error is so many times the middle one's, and so many pixels.
_BAD_TIMES, _BAD_PIXELS = 3.0, 0.5


@dataclasses.dataclass(frozen=True)
class LensFit:
    """A calibrated lens.

    Attributes:
        camera: at the world's origin.
        error: RMS reprojection error, pixels.
        used: keys of the pictures it comes from.
        dropped: key of a picture -> why it was not used.
    """

    camera: Camera
    error: float
    used: list[str]
    dropped: dict[str, str]


def calibrate_lens(
    name: str,
    sightings: Mapping[str, Sighting],
    board: Board,
    size: tuple[int, int],
    *,
    lens: str = "standard",
) -> LensFit:
    """Matrix and lens of one camera.

    Args:
        name: of the camera.
        sightings: key of a picture -> the board in it.
        board: what was shown.
        size: (width, height) of the pictures.
        lens: one of `LENSES`.

    Raises:
        DataError: too few pictures, or OpenCV finds no solution.
        UnknownNameError: another lens.
    """
    one_of(lens, LENSES, "lens", UnknownNameError)
    if len(sightings) < _LEAST_PICTURES:
        raise DataError(
            f"camera '{name}': the board of {board.columns} x {board.rows} inner corners is found "
            f"in {len(sightings)} pictures, and {_LEAST_PICTURES} from different sides are needed; "
            "is the number of inner corners right, and the board whole in the pictures?"
        )
    keys = list(sightings)
    if len(keys) > _MOST_PICTURES:
        places = np.linspace(0, len(keys) - 1, _MOST_PICTURES).round().astype(int)
        keys = [keys[i] for i in places]
    dropped: dict[str, str] = {}
    while True:
        pictures = [sightings[key] for key in keys]
        matrix, coefficients, errors = _fitted(name, pictures, board, size, lens)
        middle = float(np.median(errors))
        bad = errors > max(_BAD_TIMES * middle, _BAD_PIXELS)
        if not bad.any() or (~bad).sum() < _LEAST_PICTURES:
            break
        for i in np.flatnonzero(bad).tolist():
            dropped[keys[i]] = f"error of {errors[i]:.2f} px, the others' {middle:.2f}"
        keys = [k for k in keys if k not in dropped]
    camera = Camera(name, matrix, coefficients, size=size, fisheye=lens == "fisheye")
    return LensFit(camera, float(np.sqrt((errors**2).mean())), keys, dropped)


def _fitted(
    name: str, sightings: list[Sighting], board: Board, size: tuple[int, int], lens: str
) -> tuple[Array, Array, Array]:
    """Matrix (3, 3), coefficients, and RMS pixels of each picture."""
    import cv2

    places = [board.points[s.ids].astype(np.float32)[:, None] for s in sightings]
    pixels = [s.pixels.astype(np.float32)[:, None] for s in sightings]
    try:
        if lens == "fisheye":
            matrix, coefficients, turns, shifts = _fisheye(cv2, places, pixels, size)
        else:
            radial = cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
            flags = {
                "standard": cv2.CALIB_FIX_K3,
                "brown": 0,
                "rational": cv2.CALIB_RATIONAL_MODEL,
                "none": radial | cv2.CALIB_ZERO_TANGENT_DIST,
            }[lens]
            _, matrix, coefficients, turns, shifts = cv2.calibrateCamera(
                places, pixels, size, None, None, flags=flags
            )
    except cv2.error as error:
        raise DataError(
            f"camera '{name}': no {lens} lens explains the pictures "
            f"({str(error).strip().splitlines()[-1]}); show the board from more sides"
        ) from error
    coefficients = np.ravel(coefficients)[: LENSES[lens]]
    camera = Camera(name, matrix, coefficients, fisheye=lens == "fisheye")
    errors = []
    for place, pixel, turn, shift in zip(places, pixels, turns, shifts, strict=True):
        posed = dataclasses.replace(camera, rotation=np.ravel(turn), translation=np.ravel(shift))
        away = posed.project(place[:, 0]) - pixel[:, 0]
        errors.append(np.sqrt((away**2).sum(-1).mean()))
    # a board that would lie behind the camera is as wrong as can be
    return np.asarray(matrix), coefficients, np.nan_to_num(errors, nan=np.inf)


def _fisheye(cv2: Any, places: Any, pixels: Any, size: tuple[int, int]) -> tuple[Any, ...]:
    # OpenCV 5 has moved the names
    home = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2
    flags = home.CALIB_FIX_SKEW | home.CALIB_RECOMPUTE_EXTRINSIC
    start = np.array([[size[0] / 2, 0, size[0] / 2], [0, size[0] / 2, size[1] / 2], [0, 0, 1]])
    _, matrix, coefficients, turns, shifts = cv2.fisheye.calibrate(
        [np.asarray(p, np.float64).reshape(1, -1, 3) for p in places],
        [np.asarray(p, np.float64).reshape(1, -1, 2) for p in pixels],
        size,
        start,
        np.zeros((4, 1)),
        flags=flags,
    )
    return matrix, coefficients, turns, shifts
