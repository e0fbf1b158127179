"""From what a head predicts to what a sample says: image space, chosen keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise.errors import ConfigError
from poise.geometry.covariances import scale_covariances
from poise.structures import InstanceData, PixelData

__all__ = ["covariances_to_image_space", "select_keypoints", "to_image_space"]


def to_image_space(points: Any, metainfo: Mapping[str, Any]) -> Any:
    """Points of the network's input in the original picture.

    Args:
        points: (..., 2) array, input space, pixels.
        metainfo: `input_center`, `input_scale` (the crop in image space) and `input_size`.

    Returns:
        (..., 2) array, image space.
    """
    center, scale, size = (
        np.asarray(metainfo[key]) for key in ("input_center", "input_scale", "input_size")
    )
    return points / size * scale + center - 0.5 * scale


def covariances_to_image_space(instances: InstanceData, metainfo: Mapping[str, Any]) -> None:
    """Bring `keypoint_covariances` (N, K, 2, 2), where there are some, to image space, in place.

    Args:
        instances: covariances in pixels² of the input; pixels² of the picture afterwards.
        metainfo: `input_scale` (of the crop in image space) and `input_size`.
    """
    if "keypoint_covariances" not in instances:
        return
    factors = np.divide(*(np.asarray(metainfo[key]) for key in ("input_scale", "input_size")))
    covariances = scale_covariances(instances.keypoint_covariances, factors)
    instances.set_field(covariances.astype(np.float32), "keypoint_covariances")


def select_keypoints(
    instances: InstanceData, fields: PixelData | None, indices: Sequence[int] | None
) -> None:
    """Keep some keypoints of a prediction, in place.

    Models that were trained on the union of several datasets answer for one of them so.

    Args:
        instances: all items whose name starts with "keypoint" are (N, K, ...).
        fields: maps with one channel a keypoint are selected too.
        indices: of the keypoints to keep; None keeps all.

    Raises:
        ConfigError: an index beyond the keypoints of the prediction.
    """
    if indices is None:
        return
    indices = list(indices)
    count = instances.keypoints.shape[1]
    if indices and max(indices) >= count:
        raise ConfigError(
            f"test_cfg.output_keypoint_indices asks for keypoint {max(indices)}, but the head "
            f"predicts {count} keypoints (0..{count - 1})"
        )
    for key, value in list(instances.items()):
        if key.startswith("keypoint"):
            instances.set_field(value[:, indices], key)
    if fields is None:
        return
    for key, value in list(fields.items()):
        if value.shape[0] == count:
            fields.set_field(value[indices], key)
