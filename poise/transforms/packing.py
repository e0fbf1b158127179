"""From `results` to what the network takes: a tensor and a `PoseDataSample`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from poise.errors import DataError
from poise.registry import TRANSFORMS
from poise.structures import InstanceData, MultilevelPixelData, PixelData, PoseDataSample
from poise.transforms.base import BaseTransform

if TYPE_CHECKING:
    import torch

__all__ = ["PackPoseInputs", "image_to_tensor", "keypoints_to_tensor"]

META_KEYS = (
    "id",
    "img_id",
    "img_path",
    "category_id",
    "crowd_index",
    "ori_shape",
    "img_shape",
    "input_size",
    "input_center",
    "input_scale",
    "flip",
    "flip_direction",
    "flip_indices",
    "raw_ann_info",
    "dataset_name",
)
"""Keys of `results` that become the sample's metainfo unless `meta_keys` says otherwise."""


@TRANSFORMS.register_module()
class PackPoseInputs(BaseTransform):
    """Last step: picture -> `inputs` tensor, annotations and targets -> `data_samples`.

    A mapping table says which keys of `results` are packed and under which names; a codec may
    bring its own tables in `results` (`GenerateTarget` puts them there).

    Args:
        meta_keys: keys of `results` that become metainfo, where they are there.
        pack_transformed: pack `transformed_keypoints`, too, to look at augmented samples.
        extra_mapping_labels: rows added to the label table.

    Raises:
        DataError: neither a picture nor keypoints to pack, levels mixed with single fields, or
            labels for different numbers of instances.
    """

    #: annotations, as they are, into `gt_instances`
    instance_mapping_table = {
        "bbox": "bboxes",
        "bbox_score": "bbox_scores",
        "keypoints": "keypoints",
        "keypoints_cam": "keypoints_cam",
        "keypoints_visible": "keypoints_visible",
        # CocoMetric takes a person's area from it
        "bbox_scale": "bbox_scales",
        # PCKh of MPII
        "head_size": "head_size",
    }
    #: maps for the loss, as tensors, into `gt_fields`
    field_mapping_table = {
        "heatmaps": "heatmaps",
        "instance_heatmaps": "instance_heatmaps",
        "heatmap_mask": "heatmap_mask",
        "heatmap_weights": "heatmap_weights",
        "displacements": "displacements",
        "displacement_weights": "displacement_weights",
    }
    #: other targets, as tensors, into `gt_instance_labels`
    label_mapping_table = {
        "keypoint_labels": "keypoint_labels",
        "keypoint_weights": "keypoint_weights",
        "keypoints_visible_weights": "keypoints_visible_weights",
    }

    def __init__(
        self,
        meta_keys: Sequence[str] = META_KEYS,
        pack_transformed: bool = False,
        *,
        extra_mapping_labels: Mapping[str, str] | None = None,
    ) -> None:
        self.meta_keys = tuple(meta_keys)
        self.pack_transformed = pack_transformed
        self.extra_mapping_labels = dict(extra_mapping_labels or {})

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Give `inputs` (a tensor) and `data_samples` (a `PoseDataSample`)."""
        sample = PoseDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        sample.gt_instances = self._instances(results)
        sample.gt_instance_labels = self._labels(results)
        fields = self._fields(results)
        if fields is not None:
            sample.gt_fields = fields
        return {"inputs": _inputs(results), "data_samples": sample}

    def _instances(self, results: dict[str, Any]) -> InstanceData:
        table = results.get("instance_mapping_table", self.instance_mapping_table)
        instances = InstanceData()
        for key, name in table.items():
            if key in results:
                instances.set_field(results[key], name)
        if self.pack_transformed and "transformed_keypoints" in results:
            instances.set_field(results["transformed_keypoints"], "transformed_keypoints")
        return instances

    def _labels(self, results: dict[str, Any]) -> InstanceData:
        table = results.get("label_mapping_table", self.label_mapping_table)
        labels = InstanceData()
        for key, name in {**table, **self.extra_mapping_labels}.items():
            if key not in results:
                continue
            value = results[key]
            # unlike set_field, this compares the number of instances
            setattr(labels, name, _stacked(key, value) if isinstance(value, list) else value)
        return labels.to_tensor()

    def _fields(self, results: dict[str, Any]) -> PixelData | MultilevelPixelData | None:
        table = results.get("field_mapping_table", self.field_mapping_table)
        present = {key: name for key, name in table.items() if key in results}
        if not present:
            return None
        levels = {key: isinstance(results[key], list) for key in present}
        if len(set(levels.values())) > 1:
            raise DataError(
                "some targets have levels (lists) and others have not: "
                f"{', '.join(f'{k}: {v}' for k, v in levels.items())}; encode all of them with "
                "multilevel=True or none"
            )
        fields = MultilevelPixelData() if any(levels.values()) else PixelData()
        for key, name in present.items():
            # unlike set_field, this compares sizes and gives a mask (h, w) its channel
            setattr(fields, name, results[key])
        return fields.to_tensor()


def _inputs(results: dict[str, Any]) -> torch.Tensor:
    if "img" in results:
        return image_to_tensor(results["img"])
    if "lifting_target" in results and "keypoints" in results:
        return keypoints_to_tensor(results.get("keypoint_labels", results["keypoints"]))
    raise DataError(
        "PackPoseInputs has nothing to pack: it needs results['img'] (from LoadImage), or "
        "results['keypoints'] with results['lifting_target'] (from a 3D dataset); the pipeline "
        f"gave {', '.join(sorted(map(str, results))) or 'nothing'}"
    )


def _stacked(key: str, labels: list[np.ndarray]) -> np.ndarray:
    """Labels of several encoders, along a new first axis."""
    try:
        return np.stack(labels)
    except ValueError as error:
        raise DataError(
            f"results['{key}'] comes from {len(labels)} encoders in different shapes "
            f"{[np.shape(label) for label in labels]}, which cannot be stacked; use encoders of "
            "one shape, or one encoder"
        ) from error


def image_to_tensor(img: np.ndarray | Sequence[np.ndarray]) -> torch.Tensor:
    """Picture (H, W) or (H, W, C) -> tensor (C, H, W); a sequence is stacked, (T, C, H, W).

    Example:
        >>> image_to_tensor(np.zeros((4, 6, 3), np.uint8)).shape
        torch.Size([3, 4, 6])
    """
    import torch

    if not isinstance(img, np.ndarray):
        return torch.stack([image_to_tensor(frame) for frame in _arrays("picture", img)])
    if img.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(img)[None])
    planes = np.empty((img.shape[2], *img.shape[:2]), img.dtype)
    if img.dtype in (np.uint8, np.float32) and img.size:
        # 20 times faster than a transposing copy
        cv2.split(np.ascontiguousarray(img), list(planes))
    else:
        planes[...] = img.transpose(2, 0, 1)
    return torch.from_numpy(planes)


def keypoints_to_tensor(keypoints: np.ndarray | Sequence[np.ndarray]) -> torch.Tensor:
    """Keypoints (..., K, D) -> tensor of the same shape; a sequence is stacked."""
    import torch

    if not isinstance(keypoints, np.ndarray):
        return torch.stack([keypoints_to_tensor(k) for k in _arrays("keypoints", keypoints)])
    return torch.from_numpy(np.ascontiguousarray(keypoints))


def _arrays(what: str, items: Any) -> list[np.ndarray]:
    if not isinstance(items, (list, tuple)) or not items:
        raise DataError(f"{what} must be a numpy array or a sequence of them, got {items!r:.80}")
    for place, item in enumerate(items):
        if not isinstance(item, np.ndarray):
            raise DataError(
                f"{what} {place} of the sequence must be a numpy array, got {type(item).__name__}"
            )
    return list(items)
