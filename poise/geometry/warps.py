"""Matrices that carry a box of the picture onto the network's input, and points through them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = [
    "get_3rd_point",
    "get_pers_warp_matrix",
    "get_udp_warp_matrix",
    "get_warp_matrix",
    "rotate_point",
    "warp_points",
]

Pair = Sequence[float] | Array


def get_warp_matrix(
    center: Pair,
    scale: Pair,
    rot: float,
    output_size: Pair,
    shift: Pair = (0.0, 0.0),
    inv: bool = False,
    fix_aspect_ratio: bool = True,
) -> Array:
    """2x3 affine matrix that takes a (rotated) box of the picture to the whole output.

    Three pairs of points decide it: the box centre, the middle of its left edge, and a third
    one. Points are rounded to float32 and solved by OpenCV, since equal pictures need equal
    last bits.

    Args:
        center: (x, y) of the box, image space.
        scale: (width, height) of the box in pixels.
        rot: rotation of the box in degrees.
        output_size: (width, height) of the output in pixels.
        shift: moves the box by this share of its width and height.
        inv: return the matrix from the output to the picture.
        fix_aspect_ratio: scale both axes by what the width needs; else each by its own.

    Returns:
        (2, 3) float64.

    Raises:
        DataError: one of the pairs is not a pair.
    """
    x, y = _pair("center", center)
    width, height = _pair("scale", scale)
    out_width, out_height = _pair("output_size", output_size)
    shift_x, shift_y = _pair("shift", shift)
    x, y = x + width * shift_x, y + height * shift_y
    # numpy keeps a float32 angle in float32, as the reference does
    angle = np.deg2rad(rot)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))

    src = np.array([[x, y], [x - cos * width * 0.5, y - sin * width * 0.5], [0, 0]], np.float32)
    dst = np.array([[out_width * 0.5, out_height * 0.5], [0, out_height * 0.5], [0, 0]], np.float32)
    if fix_aspect_ratio:
        src[2] = get_3rd_point(src[0], src[1])
        dst[2] = get_3rd_point(dst[0], dst[1])
    else:
        src[2] = x + sin * height * 0.5, y - cos * height * 0.5
        dst[2] = out_width * 0.5, 0
    return cv2.getAffineTransform(dst, src) if inv else cv2.getAffineTransform(src, dst)


def get_udp_warp_matrix(center: Pair, scale: Pair, rot: float, output_size: Pair) -> Array:
    """2x3 affine matrix of UDP: like `get_warp_matrix`, but between pixel centres.

    UDP measures a picture by the distance between its outermost pixel centres, hence
    size - 1, which makes flipping and resizing commute (Huang et al., CVPR 2020, section 3.2).

    Args:
        center: (x, y) of the box, image space.
        scale: (width, height) of the box in pixels.
        rot: rotation in degrees.
        output_size: (width, height) of the output in pixels.

    Returns:
        (2, 3) float32; not finite for a box without extent, so that codecs give what lies in
        it no weight.

    Raises:
        DataError: one of the pairs is not a pair.
    """
    x, y = _pair("center", center)
    width, height = _pair("scale", scale)
    out_width, out_height = _pair("output_size", output_size)
    angle = np.deg2rad(rot)
    cos, sin = math.cos(angle), math.sin(angle)
    # rotate about the box centre, move the box corner to the origin, scale each axis
    rows = [
        [cos, -sin, -x * cos + y * sin + 0.5 * width],
        [sin, cos, -x * sin - y * cos + 0.5 * height],
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.array([[out_width - 1], [out_height - 1]]) / [[width], [height]]
        return (np.array(rows) * factor).astype(np.float32)


def get_pers_warp_matrix(
    center: Pair, translate: Pair, scale: float, rot: float, shear: Pair
) -> Array:
    """3x3 matrix that scales, rotates and shears about a centre, then moves.

    Args:
        center: fixed point of scaling, rotation and shear, pixels.
        translate: final movement, pixels.
        scale: factor on both axes.
        rot: degrees.
        shear: degrees along x and along y.

    Returns:
        (3, 3) float32.
    """
    x, y = _pair("center", center)
    move_x, move_y = _pair("translate", translate)
    shear_x, shear_y = (math.tan(math.radians(degrees)) for degrees in _pair("shear", shear))
    cos, sin = math.cos(math.radians(rot)), math.sin(math.radians(rot))
    steps = (
        [[1, 0, move_x + x], [0, 1, move_y + y], [0, 0, 1]],
        [[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]],
        [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
        [[scale, 0, 0], [0, scale, 0], [0, 0, 1]],
        [[1, 0, -x], [0, 1, -y], [0, 0, 1]],
    )
    # float32 from the start and left to right, as the reference rounds
    matrix = np.array(steps[0], np.float32)
    for step in steps[1:]:
        matrix = matrix @ np.array(step, np.float32)
    return matrix


def warp_points(points: Array, matrix: Array) -> Array:
    """Points (..., 2) through an affine (2, 3) or perspective (3, 3) matrix.

    Returns:
        (..., 2), of the wider float type of both.

    Example:
        >>> warp_points(np.array([[1.0, 2.0]]), np.array([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]))
        array([[3., 4.]])
    """
    warped = points @ matrix[:, :2].T + matrix[:, 2]
    return warped[..., :2] / warped[..., 2:] if matrix.shape[0] == 3 else warped


def rotate_point(pt: Pair, angle_rad: float) -> Array:
    """Point (2,) rotated about the origin by an angle in radians (clockwise, as y points down)."""
    sin, cos = math.sin(angle_rad), math.cos(angle_rad)
    x, y = _pair("point", pt)
    return np.array([cos * x - sin * y, sin * x + cos * y])


def get_3rd_point(a: Array, b: Array) -> Array:
    """Third point (2,) that makes a right angle at b with a.

    An affine matrix needs three points; where both axes are scaled alike, two are known.
    """
    dx, dy = a[0] - b[0], a[1] - b[1]
    return np.array([b[0] - dy, b[1] + dx], dtype=np.result_type(a, b))


def _pair(name: str, value: Pair) -> tuple[float, float]:
    if len(value) != 2:
        raise DataError(f"{name} has two numbers (x, y), got {len(value)}: {value!r}")
    return float(value[0]), float(value[1])
