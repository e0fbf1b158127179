"""Boxes: conversions between their forms, flips, clipping and overlaps.

Forms: *xyxy* (left, top, right, bottom), *xywh* (left, top, width, height), *cs* (centre and
scale, scale being width and height, perhaps padded) and *corner* (four points: top left, bottom
left, top right, bottom right). Coordinates are pixels of whatever space the caller is in.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError, one_of

__all__ = [
    "AREA_PER_BOX",
    "BOX_MARGIN",
    "Box",
    "FLIPPED_AXES",
    "bbox_area",
    "bbox_clip_border",
    "bbox_corner2xywh",
    "bbox_corner2xyxy",
    "bbox_cs2xywh",
    "bbox_cs2xyxy",
    "bbox_of_keypoints",
    "bbox_overlaps",
    "bbox_xywh2corner",
    "bbox_xywh2cs",
    "bbox_xywh2xyxy",
    "bbox_xyxy2corner",
    "bbox_xyxy2cs",
    "bbox_xyxy2xywh",
    "box_around",
    "flip_bbox",
]

#: share of its box that a person covers, where no mask gives the area (CrowdPose, AIC)
AREA_PER_BOX = 0.53
#: around keypoints that have no box, part of the longer side of what they span
BOX_MARGIN = 0.1
#: left, top, right, bottom; image space
Box = tuple[float, float, float, float]

# corner -> which entries of an xyxy box are its x and y
_CORNERS = ((0, 1), (0, 3), (2, 1), (2, 3))
#: Direction of a flip -> axes that it mirrors.
FLIPPED_AXES = {"horizontal": (0,), "vertical": (1,), "diagonal": (0, 1)}
_FORMATS = ("xywh", "xyxy", "center")
_OVERLAP_MODES = ("iou", "iof", "giou")


def bbox_xyxy2xywh(bbox_xyxy: Array) -> Array:
    """Boxes (..., 4+) from xyxy to xywh.

    Columns after the fourth (scores) are passed through; the input is not changed.
    """
    box = _boxes(bbox_xyxy).copy()
    box[..., 2:4] -= box[..., :2]
    return box


def bbox_xywh2xyxy(bbox_xywh: Array) -> Array:
    """Boxes (..., 4+) from xywh to xyxy.

    Columns after the fourth (scores) are passed through; the input is not changed.
    """
    box = _boxes(bbox_xywh).copy()
    box[..., 2:4] += box[..., :2]
    return box


def bbox_xyxy2cs(bbox: Array, padding: float = 1.0) -> tuple[Array, Array]:
    """Centre (..., 2) and scale (..., 2) of xyxy boxes (..., 4).

    Args:
        bbox: xyxy boxes.
        padding: factor on the scale, to leave a margin around a person.
    """
    box = _boxes(bbox)
    near, far = box[..., :2], box[..., 2:4]
    return (far + near) * 0.5, (far - near) * padding


def bbox_xywh2cs(bbox: Array, padding: float = 1.0) -> tuple[Array, Array]:
    """Centre (..., 2) and scale (..., 2) of xywh boxes (..., 4).

    Args:
        bbox: xywh boxes.
        padding: factor on the scale, to leave a margin around a person.
    """
    box = _boxes(bbox)
    size = box[..., 2:4]
    return box[..., :2] + size * 0.5, size * padding


def bbox_cs2xyxy(center: Array, scale: Array, padding: float = 1.0) -> Array:
    """Xyxy boxes (..., 4) of centres (..., 2) and scales (..., 2).

    Args:
        center: box centres.
        scale: box widths and heights, times `padding`.
        padding: what the scale was multiplied by; divided out here.

    Raises:
        DataError: centres and scales do not pair up.
    """
    corner, size = _corner_and_size(center, scale, padding)
    return np.concatenate((corner, corner + size), axis=-1)


def bbox_cs2xywh(center: Array, scale: Array, padding: float = 1.0) -> Array:
    """Xywh boxes (..., 4) of centres (..., 2) and scales (..., 2).

    Args:
        center: box centres.
        scale: box widths and heights, times `padding`.
        padding: what the scale was multiplied by; divided out here.

    Raises:
        DataError: centres and scales do not pair up.
    """
    return np.concatenate(_corner_and_size(center, scale, padding), axis=-1)


def bbox_xyxy2corner(bbox: Array) -> Array:
    """Corner points (..., 4, 2) of xyxy boxes (..., 4): the left two from the top, then the right.

    A rotated or sheared box is a box no more, but its warped corners still bound it.

    Example:
        >>> bbox_xyxy2corner(np.array([0, 0, 100, 50])).tolist()
        [[0, 0], [0, 50], [100, 0], [100, 50]]
    """
    return _boxes(bbox)[..., _CORNERS]


def bbox_corner2xyxy(bbox: Array) -> Array:
    """Smallest xyxy boxes (..., 4) around corner points (..., 4, 2) or (..., 8).

    Inverse of `bbox_xyxy2corner`; after a warp it gives the upright box around the result.
    """
    corners = np.asarray(bbox)
    if corners.shape[-1] == 8:
        corners = corners.reshape(*corners.shape[:-1], 4, 2)
    if corners.shape[-2:] != (4, 2):
        raise DataError(f"corner boxes have the shape (..., 4, 2) or (..., 8), got {corners.shape}")
    return np.concatenate((corners.min(axis=-2), corners.max(axis=-2)), axis=-1)


def bbox_xywh2corner(bbox: Array) -> Array:
    """Corner points (..., 4, 2) of xywh boxes (..., 4), in the order of `bbox_xyxy2corner`."""
    return bbox_xyxy2corner(bbox_xywh2xyxy(bbox))


def bbox_corner2xywh(bbox: Array) -> Array:
    """Smallest xywh boxes (..., 4) around corner points (..., 4, 2) or (..., 8)."""
    return bbox_xyxy2xywh(bbox_corner2xyxy(bbox))


def bbox_clip_border(bbox: Array, shape: tuple[int, int]) -> Array:
    """Clip xyxy boxes (..., 4) or points (..., 2) to a picture, **in place**, and return them.

    Args:
        bbox: boxes or corner points, image space.
        shape: (width, height) of the picture in pixels; both borders are inclusive.
    """
    # x and y alternate in both forms
    for axis, limit in enumerate(shape[:2]):
        along = bbox[..., axis::2]
        np.clip(along, 0, limit, out=along)
    return bbox


def flip_bbox(
    bbox: Array,
    image_size: tuple[int, int],
    bbox_format: str = "xywh",
    direction: str = "horizontal",
) -> Array:
    """Mirror boxes with the picture they stand in.

    Pixel centres are mirrored, so x becomes w - 1 - x. The reference implementation mirrors
    only the first two numbers of an xywh box, which makes its left edge the mirrored left edge
    and not the left edge of the mirrored box; that is kept here. Mirror xyxy or centres where
    the box itself matters.

    Args:
        bbox: (..., 4) for 'xywh' and 'xyxy', (..., 2) for 'center'.
        image_size: (width, height) in pixels.
        bbox_format: 'xywh', 'xyxy' or 'center'.
        direction: 'horizontal', 'vertical' or 'diagonal' (both).

    Raises:
        DataError: unknown format or direction.
    """
    one_of(direction, FLIPPED_AXES, "flip direction", DataError)
    one_of(bbox_format, _FORMATS, "bbox_format", DataError)
    flipped = np.array(bbox)
    for axis in FLIPPED_AXES[direction]:
        if bbox_format == "xyxy":
            # the mirrored right edge is the new left one
            along = flipped[..., axis : axis + 3 : 2]
            along[...] = image_size[axis] - 1 - along[..., ::-1]
        else:
            flipped[..., axis] = image_size[axis] - 1 - flipped[..., axis]
    return flipped


def bbox_area(bboxes: Any) -> Any:
    """Areas of xyxy boxes (..., 4), array or tensor.

    Example:
        >>> bbox_area(np.array([[10, 10, 30, 15]])).tolist()
        [100]
    """
    return (bboxes[..., 2:] - bboxes[..., :2]).prod(-1)


def bbox_overlaps(
    bboxes1: Any, bboxes2: Any, mode: str = "iou", is_aligned: bool = False, eps: float = 1e-6
) -> Any:
    """Overlap of xyxy boxes, each with each or pair by pair; numpy arrays or torch tensors.

    'iou' is intersection over union, 'iof' intersection over the first box, 'giou' the
    generalised IoU, which also tells how far apart disjoint boxes are (Rezatofighi et al.,
    CVPR 2019).

    Args:
        bboxes1: (..., M, 4) xyxy, a single (4,), or empty.
        bboxes2: (..., N, 4) xyxy, a single (4,), or empty.
        mode: 'iou', 'iof' or 'giou'.
        is_aligned: compare box i with box i; then M must equal N.
        eps: least denominator, in square pixels.

    Returns:
        (..., M, N), or (..., M) if aligned; of the kind and on the device of the input, of float16,
        which areas exceed, in float32.

    Raises:
        DataError: unknown mode, or shapes that do not go together.
    """
    one_of(mode, _OVERLAP_MODES, "overlap mode", DataError)
    first, second = _wide(_as_rows(bboxes1)), _wide(_as_rows(bboxes2))
    aligned_mismatch = is_aligned and first.shape[-2] != second.shape[-2]
    if first.shape[:-2] != second.shape[:-2] or aligned_mismatch:
        pairing = "of equal number" if is_aligned else "of equal batch shape"
        raise DataError(
            f"boxes must be {pairing}, got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if not is_aligned:
        first, second = first[..., :, None, :], second[..., None, :, :]
    # np and torch share the few names used below
    xp = np if isinstance(first, np.ndarray) else sys.modules["torch"]

    near = xp.maximum(first[..., :2], second[..., :2])
    far = xp.minimum(first[..., 2:], second[..., 2:])
    overlap = (far - near).clip(min=0).prod(-1)
    area = bbox_area(first)
    if mode != "iof":
        area = area + bbox_area(second) - overlap
    area = area.clip(min=eps)
    ratio = overlap / area
    if mode != "giou":
        return ratio
    hull = xp.maximum(first[..., 2:], second[..., 2:]) - xp.minimum(first[..., :2], second[..., :2])
    hull_area = hull.clip(min=0).prod(-1).clip(min=eps)
    return ratio - (hull_area - area) / hull_area


def box_around(points: Array, size: tuple[int, int], margin: float = BOX_MARGIN) -> Box:
    """Box xyxy around keypoints (N, 2), inside of the picture as far as they are."""
    low, high = points.min(axis=0), points.max(axis=0)
    # one keypoint, or several at a place, still need a box of some size
    around = max(margin * float((high - low).max()), 1.0)
    left_top = np.maximum(low - around, np.minimum(low, 0))
    right_bottom = np.minimum(high + around, np.maximum(high, size))
    left, top = left_top.tolist()
    right, bottom = right_bottom.tolist()
    return left, top, right, bottom


def bbox_of_keypoints(
    triples: Any, size: tuple[int, int], margin: float = BOX_MARGIN
) -> list[float] | None:
    """Box xywh around the labelled ones of keypoints; None where none is labelled.

    Args:
        triples: x, y and visibility of K keypoints, 3 K numbers in a row as COCO writes them.
        size: (width, height) of the picture, which the margin does not leave.
        margin: as of `box_around`.

    Example:
        >>> bbox_of_keypoints([10, 20, 2, 30, 25, 1, 0, 0, 0], (100, 100))
        [8.0, 18.0, 24.0, 9.0]
    """
    points = np.asarray(triples, np.float64).reshape(-1, 3)
    seen = points[points[:, 2] > 0, :2]
    if not len(seen):
        return None
    left, top, right, bottom = box_around(seen, size, margin)
    return [left, top, right - left, bottom - top]


def _boxes(bbox: Any) -> Array:
    box = np.asarray(bbox)
    if box.ndim == 0 or box.shape[-1] < 4:
        raise DataError(f"boxes have four numbers in their last axis, got shape {box.shape}")
    return box


def _corner_and_size(center: Any, scale: Any, padding: float) -> tuple[Array, Array]:
    center, scale = np.asarray(center), np.asarray(scale)
    if center.ndim != scale.ndim:
        raise DataError(
            f"center and scale must have as many axes, got {center.shape} and {scale.shape}"
        )
    size = scale / padding
    return center - 0.5 * size, size


def _wide(bboxes: Any) -> Any:
    """The same, of float16 in float32."""
    if str(bboxes.dtype) not in ("float16", "torch.float16"):
        return bboxes
    return bboxes.astype(np.float32) if isinstance(bboxes, np.ndarray) else bboxes.float()


def _as_rows(bboxes: Any) -> Any:
    """(..., N, 4) view of boxes, where one box may be (4,) and none may be (0,) or (0, 5)."""
    if bboxes.shape[-1] != 4:
        if bboxes.shape[0] != 0:
            raise DataError(
                f"boxes have four numbers in their last axis, got shape {tuple(bboxes.shape)}"
            )
        return bboxes.reshape(0, 4) if bboxes.ndim < 2 else bboxes[..., :4].reshape(0, 4)
    return bboxes[None] if bboxes.ndim == 1 else bboxes
