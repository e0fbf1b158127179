"""Mirroring: picture, boxes and keypoints together."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError, one_of
from poise.geometry.boxes import flip_bbox
from poise.geometry.keypoints import flip_keypoints, flip_keypoints_custom_center
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.image import FLIP_DIRECTIONS, flip_image
from poise.transforms.randomness import cache_randomness

__all__ = ["HandRandomFlip", "RandomFlip", "RandomFlipAroundRoot"]


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror the picture at random, with boxes, keypoints and mask.

    Left and right keypoints change places (`flip_indices`), except in a diagonal flip, which is
    a rotation by 180 degrees.

    Args:
        prob: how often; a list gives one probability a direction, summing to at most 1.
        direction: "horizontal", "vertical" or "diagonal", or a list of them. With one `prob` and
            several directions, each is equally likely.
        mmpose_faults: read an `input_size` that is there already as (height, width) like MMPose,
            which is wrong after BottomupRandomAffine with a non-square input; False reads it as
            (width, height).

    Raises:
        ArgumentError: wrong kind, unknown direction, or lists of different lengths.
    """

    def __init__(
        self,
        prob: float | list[float] = 0.5,
        direction: str | list[str] = "horizontal",
        *,
        mmpose_faults: bool = True,
    ) -> None:
        self.prob = prob
        self.direction = direction
        self.mmpose_faults = mmpose_faults
        self._directions, self._cumulative = _distribution(prob, direction)

    @cache_randomness
    def _choose_direction(self) -> str | None:
        """Draw a direction; None means no flip."""
        place = int(np.searchsorted(self._cumulative, np.random.random(), side="right"))
        return self._directions[place] if place < len(self._directions) else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Set `flip` and `flip_direction`; change `img`, `img_mask`, boxes and keypoints."""
        direction = self._choose_direction()
        results["flip"] = direction is not None
        results["flip_direction"] = direction
        if direction is None:
            return results

        size = self._image_size(results)
        image = results["img"]
        if isinstance(image, list):
            results["img"] = [flip_image(frame, direction) for frame in image]
        else:
            results["img"] = flip_image(image, direction)
        if "img_mask" in results:
            results["img_mask"] = flip_image(results["img_mask"], direction)

        for key, layout in (("bbox", "xyxy"), ("bbox_center", "center")):
            if results.get(key) is not None:
                results[key] = flip_bbox(results[key], size, layout, direction)
        if results.get("keypoints") is not None:
            if direction != "diagonal":
                _check_flip_indices(results)
            results["keypoints"], results["keypoints_visible"] = flip_keypoints(
                results["keypoints"],
                results.get("keypoints_visible"),
                image_size=size,
                flip_indices=results["flip_indices"],
                direction=direction,
            )
        return results

    def _image_size(self, results: dict[str, Any]) -> tuple[int, int]:
        """(width, height) in which coordinates are mirrored."""
        if "input_size" not in results:
            height, width = results["img_shape"][:2]
            return width, height
        first, second = results["input_size"]
        return (second, first) if self.mmpose_faults else (first, second)


def _distribution(
    prob: float | list[float], direction: str | list[str]
) -> tuple[list[str], np.ndarray]:
    """Directions, and the cumulated probability of each."""
    if not isinstance(direction, (str, list, tuple)):
        raise ArgumentError(
            f"direction must be a name or a list of names, got {type(direction).__name__}"
        )
    directions = [direction] if isinstance(direction, str) else list(direction)
    for name in directions:
        one_of(name, FLIP_DIRECTIONS, "a flip", ArgumentError)
    if isinstance(prob, (list, tuple)):
        each = [float(p) for p in prob]
    elif isinstance(prob, (int, float)) and not isinstance(prob, bool):
        each = [float(prob) / len(directions)] * len(directions)
    else:
        raise ArgumentError(f"prob must be a number or a list of them, got {type(prob).__name__}")
    if len(each) != len(directions):
        raise ArgumentError(
            f"prob and direction must have equal lengths, got {len(each)} and {len(directions)}"
        )
    if min(each) < 0 or sum(each) > 1 + 1e-9:
        raise ArgumentError(f"prob must be between 0 and 1 in total, got {prob}")
    return directions, np.cumsum(each)


def _check_flip_indices(results: dict[str, Any]) -> None:
    known, have = len(results["flip_indices"]), results["keypoints"].shape[-2]
    if known != have:
        raise DataError(
            f"flip_indices has {known} entries but there are {have} keypoints; the metainfo does "
            "not belong to these annotations (a KeypointConverter before the flip keeps the old "
            "flip_indices: set the mixture's metainfo to the target's)"
        )


@TRANSFORMS.register_module()
class HandRandomFlip(RandomFlip):
    """Mirror two interacting hands: the hand type and their relative depth change, too.

    Args:
        prob: how often.
    """

    def __init__(self, prob: float | list[float] = 0.5) -> None:
        super().__init__(prob=prob, direction="horizontal")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """As `RandomFlip`, and `hand_type` (1, 2), `rel_root_depth` (1,)."""
        results = super().transform(results)
        hand_type, depth = results["hand_type"], results["rel_root_depth"]
        if results["flip"]:
            results["hand_type"] = hand_type[..., [1, 0]]
            results["rel_root_depth"] = -depth
        return results


@TRANSFORMS.register_module()
class RandomFlipAroundRoot(BaseTransform):
    """Mirror the 2D input and the 3D target of a lifting model around a line or a root joint.

    Args:
        keypoints_flip_cfg, target_flip_cfg: `center_mode` ("static" or "root"), `center_x`,
            `center_index` of `flip_keypoints_custom_center`, for the input and the target.
        flip_prob: how often.
        flip_camera: mirror the camera's centre and tangential distortion, too.
        flip_label: flip `keypoint_labels` and `lifting_target_label` (what a codec made) instead
            of `keypoints` and `lifting_target`.

    Raises:
        DataError: `flip_camera` without `camera_param` or its centre `c`.
    """

    def __init__(
        self,
        keypoints_flip_cfg: dict[str, Any],
        target_flip_cfg: dict[str, Any],
        flip_prob: float = 0.5,
        flip_camera: bool = False,
        flip_label: bool = False,
    ) -> None:
        self.keypoints_flip_cfg = keypoints_flip_cfg
        self.target_flip_cfg = target_flip_cfg
        self.flip_prob = flip_prob
        self.flip_camera = flip_camera
        self.flip_label = flip_label

    @cache_randomness
    def _flips(self) -> bool:
        return bool(np.random.rand() <= self.flip_prob)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the keypoints (T, K, 2) and the target (T, K, 3) with their visibilities."""
        if not self._flips():
            return results
        source = "keypoint_labels" if self.flip_label else "keypoints"
        target = "lifting_target_label" if self.flip_label else "lifting_target"
        plan = (
            (source, f"{source}_visible", self.keypoints_flip_cfg),
            (target, "lifting_target_visible", self.target_flip_cfg),
        )
        for key, visible_key, cfg in plan:
            points = results[key]
            visible = results.get(visible_key)
            if visible is None:
                visible = np.ones(points.shape[:-1], dtype=np.float32)
            results[key], results[visible_key] = flip_keypoints_custom_center(
                points,
                visible,
                results.get("flip_indices", list(range(points.shape[-2]))),
                center_mode=cfg.get("center_mode", "static"),
                center_x=cfg.get("center_x", 0.5),
                center_index=cfg.get("center_index", 0),
            )
        if self.flip_camera:
            results["camera_param"] = _mirrored_camera(results["camera_param"])
        return results


def _mirrored_camera(camera: dict[str, Any]) -> dict[str, Any]:
    if "c" not in camera:
        raise DataError(
            "flip_camera needs the camera's centre camera_param['c'] (x, y), got only "
            f"{sorted(camera)}; leave flip_camera off for this dataset"
        )
    mirrored = deepcopy(camera)
    for key in ("c", "p"):
        if key in mirrored:
            mirrored[key][0] *= -1
    return mirrored
