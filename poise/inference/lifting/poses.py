"""2D poses in the form that lifters take, and 3D poses in the form that people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.schemas import conversions

__all__ = [
    "SPACE_3D",
    "average_place",
    "box_places",
    "conversion_to",
    "lifter_item",
    "moved_to",
    "right_handed",
    "upright",
]

#: What `upright` gives, in words.
SPACE_3D = (
    "metres, axes along the camera's: x to the left of the picture, y away from the camera, z up; "
    "the root at x = y = 0, the lowest keypoint at z = 0"
)


def box_places(boxes: Any) -> tuple[Array, Array]:
    """Centres (N, 2) and longer sides (N,) of boxes (N, 4) xyxy."""
    boxes = np.asarray(boxes)
    low, high = boxes[:, :2], boxes[:, 2:4]
    return (low + high) / 2, (high - low).max(-1)


def average_place(metainfo: Mapping[str, Any] | None, boxes: Sequence[Any]) -> tuple[Array, float]:
    """Centre (1, 2) and size of the dataset's average box, else of the given ones'.

    Args:
        metainfo: of the lifter; `stats_info` knows the average box.
        boxes: (N, 4) xyxy of each frame or person.
    """
    stats = (metainfo or {}).get("stats_info")
    if stats:
        return np.asarray(stats["bbox_center"]), float(stats["bbox_scale"])
    if not boxes:
        return np.zeros((1, 2)), 1.0
    centers, sides = box_places(np.concatenate(boxes))
    return centers.mean(0, keepdims=True), float(sides.mean())


def moved_to(keypoints: Array, boxes: Any, place: tuple[Array, float]) -> Array:
    """Keypoints (N, K, 2) as if each person's box were the one at `place`."""
    centers, sides = box_places(boxes)
    return (keypoints - centers[:, None]) / sides[:, None, None] * place[1] + place[0]


def lifter_item(
    keypoints: Array,
    metainfo: Mapping[str, Any],
    image_size: Sequence[int] | None = None,
    *,
    targets: int = 1,
) -> dict[str, Any]:
    """`results` of one person; the targets are placeholders that the transforms expect.

    Args:
        keypoints: (T, K, 2) float32, image space.
        metainfo: of the lifter.
        image_size: (width, height).
        targets: frames whose 3D pose the network gives.
    """
    frames, joints = keypoints.shape[:2]
    results: dict[str, Any] = {
        "keypoints": keypoints,
        "keypoints_visible": np.ones((frames, joints), np.float32),
        "lifting_target": np.zeros((targets, joints, 3), np.float32),
        "lifting_target_visible": np.ones((targets, joints, 1), np.float32),
        "factor": np.zeros((frames,), np.float32),
    }
    if image_size is not None:
        results["camera_param"] = {"w": image_size[0], "h": image_size[1]}
    return {**results, **metainfo}


def conversion_to(target: str, source: str) -> conversions.Mapping:
    """How the keypoints of a 2D model become those that a lifter takes.

    Args:
        target: schema of the lifter.
        source: schema of the 2D model.

    Raises:
        DataError: nothing gives some of them.
    """
    mapping = conversions.find(source, target)
    lacking = [joint.name for joint in mapping.joints if joint.kind == "missing"]
    if lacking:
        raise DataError(
            f"poses of '{source}' cannot be lifted by a network for '{target}': nothing gives "
            f"{', '.join(lacking)}; choose a 2D model of whole people, such as one of coco"
        )
    return mapping


def upright(poses: Array, *, rebase: bool = True) -> Array:
    """Poses (..., K, 3) of the camera's axes (x right, y down, z away) as people draw them.

    Args:
        poses: relative to the root.
        rebase: put the lowest keypoint at the height 0.

    Returns:
        (..., K, 3): x to the left, y away, z up.
    """
    turned = poses[..., [0, 2, 1]] * np.array([-1, 1, -1], poses.dtype)
    if rebase:
        turned[..., 2] -= turned[..., 2].min(-1, keepdims=True)
    return turned


def right_handed(points: Array, space: str | None) -> Array:
    """3D keypoints (..., 3) as motion programs have them: x right, y away, z up.

    The lifters' space is MMPose's, which is a mirror image: left and right would be swapped.
    """
    return points * np.array([-1, 1, 1], points.dtype) if space == SPACE_3D else points
