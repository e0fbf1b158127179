"""Samples of one picture put together, and instances taken apart for JSON."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise._arrays import as_numpy
from poise.errors import DataError
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_warp_matrix
from poise.structures.instance_data import InstanceData
from poise.structures.pixel_data import PixelData
from poise.structures.pose_data_sample import PoseDataSample

__all__ = ["merge_data_samples", "revert_heatmap", "split_instances"]

#: OpenCV 5 knows pictures of 128 channels at most
_MOST_CHANNELS = 128


def merge_data_samples(data_samples: Sequence[PoseDataSample]) -> PoseDataSample:
    """One sample with the instances of all, and their heatmaps painted over the picture.

    A top-down model gives a sample per person; a picture of everyone needs them in one.

    Args:
        data_samples: samples of one picture. The meta information is the first one's; fields
            that the first one has are merged.

    Raises:
        DataError: something else than samples.
    """
    several = data_samples if isinstance(data_samples, (list, tuple)) else [data_samples]
    wrong = [type(s).__name__ for s in several if not isinstance(s, PoseDataSample)]
    if wrong or several is not data_samples:
        came = wrong[0] if wrong else type(data_samples).__name__
        raise DataError(f"merge_data_samples takes a list of PoseDataSample, got {came}")
    if not data_samples:
        warnings.warn("merging an empty list of samples gives an empty sample", stacklevel=2)
        return PoseDataSample()
    first = data_samples[0]
    merged = PoseDataSample(metainfo=first.metainfo)
    for name in ("gt_instances", "pred_instances"):
        if name in first:
            parts = [getattr(sample, name) for sample in data_samples]
            setattr(merged, name, InstanceData.cat(parts))
    for name in ("pred_fields", "gt_fields"):
        fields = first.get(name)
        if isinstance(fields, PixelData) and "heatmaps" in fields:
            painted = [
                revert_heatmap(
                    getattr(s, name).heatmaps, s.input_center, s.input_scale, s.ori_shape
                )
                for s in data_samples
            ]
            setattr(merged, name, PixelData(heatmaps=np.max(painted, axis=0)))
    return merged


def revert_heatmap(
    heatmap: Any,
    input_center: NDArray[Any],
    input_scale: NDArray[Any],
    img_shape: tuple[int, int],
) -> NDArray[Any]:
    """Heatmaps of a crop at their place in the picture.

    Args:
        heatmap: (K, H, W) or (H, W), output space; numpy or torch.
        input_center: (2,) or (1, 2) centre of the crop, image space.
        input_scale: (2,) or (1, 2) size of the crop in pixels.
        img_shape: (height, width) of the picture.

    Returns:
        (K, height, width) or (height, width), image space, 0 outside of the crop.
    """
    maps = as_numpy(heatmap)
    height, width = img_shape[:2]
    matrix = get_warp_matrix(
        np.reshape(input_center, 2),
        np.reshape(input_scale, 2),
        rot=0,
        output_size=maps.shape[:-3:-1],
        inv=True,
    )
    if maps.ndim == 2:
        return warp_picture(maps, matrix, (width, height))
    painted = np.empty((len(maps), height, width), maps.dtype)
    for first in range(0, len(maps), _MOST_CHANNELS):
        part = slice(first, first + _MOST_CHANNELS)
        warped = warp_picture(np.moveaxis(maps[part], 0, -1), matrix, (width, height))
        # OpenCV drops the axis of a single channel
        painted[part] = np.moveaxis(warped.reshape(height, width, -1), -1, 0)
    return painted


def split_instances(instances: InstanceData | None) -> list[dict[str, Any]]:
    """One plain dict per instance, for JSON.

    Args:
        instances: with `keypoints` and `keypoint_scores`, perhaps `bboxes` and `bbox_scores`;
            None gives an empty list.

    Returns:
        Dicts with 'keypoints', 'keypoint_scores', and where there are boxes 'bbox' (a tuple
        that holds the one box, as MMPose writes it) and 'bbox_score'.
    """
    if instances is None:
        return []
    rows: list[dict[str, Any]] = []
    has_boxes, has_scores = "bboxes" in instances, "bbox_scores" in instances
    for index in range(len(instances.keypoints)):
        row = {
            "keypoints": instances.keypoints[index].tolist(),
            "keypoint_scores": instances.keypoint_scores[index].tolist(),
        }
        if has_boxes:
            row["bbox"] = (instances.bboxes[index].tolist(),)
            if has_scores:
                row["bbox_score"] = float(instances.bbox_scores[index])
        rows.append(row)
    return rows
