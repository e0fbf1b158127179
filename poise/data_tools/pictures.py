"""A record of a data set as a picture: the person with keypoints, links, box and id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise._words import shortened
from poise.data_tools.stick_figures import draw_stick_figure
from poise.datasets.people import picture_path
from poise.transforms.image import stored_image
from poise.visualization import draw_instances
from poise.visualization.style import Array

__all__ = ["LABELLED", "NOT_FOUND", "record_picture"]

#: a box that covers less of the picture than this is shown enlarged
ENLARGE_BELOW = 0.35
#: how much around the box is shown then
AROUND = 1.5
#: keypoints whose visibility is below this were not labelled
LABELLED = 1e-6
#: what is said of a record whose picture is absent
NOT_FOUND = "picture not found"
_GROUND = 48


def record_picture(
    record: Mapping[str, Any],
    metainfo: Mapping[str, Any],
    *,
    folder: str = "",
    size: tuple[int, int] = (320, 320),
    whole: bool = False,
    boxes: bool = True,
    indices: bool = False,
) -> tuple[Array, str]:
    """One record, drawn.

    Args:
        record: as `dataset.get_data_info(i)` gives it.
        metainfo: parsed meta information of the data set.
        folder: where the pictures of records lie that name them without a folder.
        size: width and height that the picture is scaled into, pixels. Records with 3D keypoints
            get two stick figures of this size beside it.
        whole: show the whole picture; else the surroundings of small boxes.
        boxes: draw the boxes.
        indices: write the number of each keypoint.

    Returns:
        the picture, uint8 BGR, and a text: id, file, and what is odd about it.
    """
    path = picture_path(record, folder)
    image, problem = stored_image(path), ""
    if image is None:
        problem = "unreadable picture" if Path(path).is_file() else NOT_FOUND
    keypoints, visible, found = _columns(record)
    window = _window(image, keypoints, visible, found, whole=whole)
    canvas, scale = _fitted(image, window, size)
    corner = window[:2]
    people: dict[str, Any] = {}
    if keypoints is not None:
        people["keypoints"] = (keypoints[..., :2] - corner) * scale
        people["keypoints_visible"] = visible
    if boxes and found is not None:
        people["bboxes"] = (found.reshape(-1, 2, 2) - corner).reshape(-1, 4) * scale
    known = len(metainfo.get("keypoint_colors", ()))
    style: Mapping[str, Any] = metainfo
    if keypoints is not None and known and keypoints.shape[1] != known:
        # links of another set of keypoints would say something wrong
        style, problem = {}, f"{keypoints.shape[1]} keypoints, the schema has {known}"
    draw_instances(canvas, people, style, keypoint_threshold=LABELLED, show_indices=indices)
    solid = _in_space(record)
    if solid is not None:
        side = draw_stick_figure(*solid, metainfo=style, size=(size[0], canvas.shape[0]))
        canvas = np.concatenate([canvas, side], axis=1)
    number = record.get("id", record.get("img_id"))
    text = f"id {_short(number)}  {Path(path).name if path else 'no picture'}"
    return canvas, f"{text}  ({problem})" if problem else text


def _columns(record: Mapping[str, Any]) -> tuple[Array | None, Array | None, Array | None]:
    """Keypoints (N, K, 2 or 3), visibility (N, K) and boxes (N, 4), image space, or None."""
    keypoints = record.get("keypoints")
    if keypoints is None:
        return None, None, _boxes(record)
    points = np.asarray(keypoints, np.float64)
    points = points.reshape(-1, *points.shape[-2:])
    visible = record.get("keypoints_visible")
    if visible is None:
        seen = np.ones(points.shape[:2])
    else:
        seen = np.asarray(visible, np.float64)
        # a second channel holds weights
        seen = seen[..., 0] if seen.ndim == points.ndim else seen.reshape(points.shape[:2])
    if "lifting_target" in record:
        # a sequence: only its target frame is drawn
        points, seen = points[-1:], seen[-1:]
    return points, seen, _boxes(record)


def _boxes(record: Mapping[str, Any]) -> Array | None:
    found = record.get("bbox")
    if found is None or "lifting_target" in record:
        return None
    return np.asarray(found, np.float64).reshape(-1, 4)


def _window(
    image: Array | None,
    keypoints: Array | None,
    visible: Array | None,
    boxes: Array | None,
    *,
    whole: bool,
) -> Array:
    """What is shown: left, top, right, bottom in image space."""
    corners = [] if boxes is None else [boxes.reshape(-1, 2)]
    if keypoints is not None and visible is not None:
        points = keypoints[..., :2]
        corners.append(points[(visible > 0) & np.isfinite(points).all(-1)])
    around = np.concatenate(corners) if corners else np.zeros((0, 2))
    full = None if image is None else np.array([0.0, 0.0, image.shape[1], image.shape[0]])
    if not len(around):
        return np.array([0.0, 0.0, 1.0, 1.0]) if full is None else full
    low, high = around.min(axis=0), around.max(axis=0)
    side = np.maximum(high - low, 1.0)
    if full is not None and (whole or side.prod() > ENLARGE_BELOW * full[2] * full[3]):
        return full
    center, half = (low + high) / 2, side.max() * AROUND / 2
    window = np.concatenate([center - half, center + half])
    if full is not None:
        window = np.concatenate([np.maximum(window[:2], 0), np.minimum(window[2:], full[2:])])
    return window


def _fitted(image: Array | None, window: Array, size: tuple[int, int]) -> tuple[Array, float]:
    """The window, scaled to fit into the size, and the factor; grey where there is no picture."""
    span = np.maximum(window[2:] - window[:2], 1.0)
    scale = float(min(size[0] / span[0], size[1] / span[1]))
    width, height = (max(1, round(s * scale)) for s in span)
    if image is None:
        return np.full((height, width, 3), _GROUND, np.uint8), scale
    # by a warp, so that fractions of pixels are kept
    warp = np.array([[scale, 0, -window[0] * scale], [0, scale, -window[1] * scale]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(image, warp, (width, height), flags=way)), scale


def _in_space(record: Mapping[str, Any]) -> tuple[Array, Array | None] | None:
    """3D keypoints (N, K, 3) and visibility of a record that has them."""
    for name, seen_name in (
        ("keypoints_cam", "keypoints_visible"),
        ("lifting_target", "lifting_target_visible"),
        ("keypoints_3d", "keypoints_3d_visible"),
    ):
        value = record.get(name)
        if value is None:
            continue
        points = np.asarray(value, np.float64)
        points = points.reshape(-1, *points.shape[-2:])[-1:]
        visible = record.get(seen_name)
        if visible is not None:
            visible = np.asarray(visible, np.float64).reshape(-1, points.shape[1])[-1:]
        return points, visible
    return None


def _short(number: Any) -> str:
    return shortened(number, 4) if isinstance(number, (list, tuple, np.ndarray)) else str(number)
