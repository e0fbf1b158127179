"""Distances between predicted and annotated keypoints: mean, normalised mean, and curve."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._options import options_of
from poise._words import counted
from poise.errors import DataError, UnknownNameError, one_of
from poise.metrics.base import BaseMetric, field
from poise.metrics.functional.distances import keypoint_auc, keypoint_epe, keypoint_nme
from poise.registry import METRICS

__all__ = ["AUC", "EPE", "NME", "KeypointMetric", "joined", "rated", "sides_of", "stacked"]


class KeypointMetric(BaseMetric):
    """Base of metrics that compare the keypoints of each sample with the annotated ones.

    Attributes:
        sizes: what else is kept of each sample: name -> (field of 'gt_instances', who needs it).
    """

    keeps_tensors = False
    sizes: Mapping[str, tuple[str, str]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep keypoints and which of them count.

        Args:
            data_batch: not used.
            data_samples: 'pred_instances' with 'keypoints' (N, K, D); 'gt_instances' with
                'keypoints' (N, K, D) and 'keypoints_visible' (N, K) or (N, K, 1|2), image space.
        """
        self.results.extend(map(self._entry, data_samples))

    def _entry(self, sample: Mapping[str, Any]) -> dict[str, Array]:
        name = type(self).__name__
        pred = field(sample, "pred_instances", "keypoints", name)
        gt = field(sample, "gt_instances", "keypoints", name)
        visible = field(sample, "gt_instances", "keypoints_visible", name)
        if pred.shape != gt.shape or gt.ndim != 3:
            raise DataError(
                f"{name}: predicted keypoints {pred.shape} do not fit the annotated ones"
                f" {gt.shape} of image {_image(sample)}; both should be (N, K, D)"
            )
        if visible.ndim == 3:
            visible = visible[..., 0]
        if visible.shape != gt.shape[:2]:
            if visible.size != len(gt) * gt.shape[1]:
                raise DataError(
                    f"{name}: keypoints_visible {visible.shape} do not fit the keypoints {gt.shape}"
                    f" of image {_image(sample)}; expected {gt.shape[:2]}"
                )
            visible = visible.reshape(gt.shape[:2])
        mask = visible.astype(bool, copy=False)
        entry = {"pred_coords": pred, "gt_coords": gt, "mask": mask}
        for size, (source, who) in self.sizes.items():
            entry[size] = value = field(sample, "gt_instances", source, who)
            if value.ndim and len(value) != len(gt):
                raise DataError(
                    f"{who}: '{source}' {value.shape} of `gt_instances` does not fit the keypoints"
                    f" {gt.shape} of image {_image(sample)}; expected one for each person"
                )
        return entry


def _image(sample: Mapping[str, Any]) -> Any:
    """What tells a picture in error texts."""
    return sample.get("img_id", sample.get("img_path", ""))


@METRICS.register_module()
class AUC(KeypointMetric):
    """Area under the PCK curve, from 0 to a distance in pixels.

    Args:
        norm_factor: the distance in pixels at which the curve ends.
        num_thrs: number of thresholds.
        **options: those of `BaseMetric`.

    Raises:
        DataError: no distance, or no threshold.
    """

    @options_of(BaseMetric, positional=True)
    def __init__(self, norm_factor: float = 30, num_thrs: int = 20, **options: Any) -> None:
        super().__init__(**options)
        numbers = isinstance(num_thrs, int) and isinstance(norm_factor, (int, float))
        if not numbers or num_thrs < 1 or norm_factor <= 0:
            raise DataError(
                "AUC needs a distance in pixels, such as norm_factor=30, and thresholds, such as"
                f" num_thrs=20, got {norm_factor=} and {num_thrs=}"
            )
        self.norm_factor = norm_factor
        self.num_thrs = num_thrs

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """{'AUC'}."""
        pred, gt, mask = rated(results, "AUC")
        return {"AUC": keypoint_auc(pred, gt, mask, self.norm_factor, self.num_thrs)}


@METRICS.register_module()
class EPE(KeypointMetric):
    """End-point error: mean distance in pixels."""

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """{'EPE'}."""
        return {"EPE": keypoint_epe(*rated(results, "EPE"))}


@METRICS.register_module()
class NME(KeypointMetric):
    """Normalised mean error: mean distance in units of a length of each face or body.

    Args:
        norm_mode: 'use_norm_item' divides by what the sample says, 'keypoint_distance' by the
            distance between two annotated keypoints.
        norm_item: 'bbox_size' (longer side of the box), or a field of 'gt_instances'.
        keypoint_indices: the two keypoints; known datasets have theirs (the outer corners of
            the eyes) by default.
        **options: those of `BaseMetric`.

    Raises:
        UnknownNameError: unknown mode, or a mode without what it needs.
    """

    DEFAULT_KEYPOINT_INDICES = {
        "horse10": [0, 1],  # nose and eye
        "300w": [36, 45],
        "coco_wholebody_face": [36, 45],
        "cofw": [8, 9],
        "wflw": [60, 72],
        "lapa": [66, 79],
    }

    @options_of(BaseMetric, positional=True)
    def __init__(
        self,
        norm_mode: str,
        norm_item: str | None = None,
        keypoint_indices: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        modes = ("use_norm_item", "keypoint_distance")
        one_of(norm_mode, modes, "`norm_mode`", UnknownNameError)
        if norm_mode == "use_norm_item" and not norm_item:
            raise UnknownNameError(
                "`norm_mode` is 'use_norm_item', please specify the `norm_item`: 'bbox_size', or a"
                " field of gt_instances"
            )
        self.norm_mode = norm_mode
        self.norm_item = norm_item
        self.keypoint_indices = keypoint_indices
        if norm_item == "bbox_size":
            self.sizes = {"bbox": ("bboxes", "NME with norm_item 'bbox_size'")}
        elif norm_item:
            self.sizes = {"length": (norm_item, "NME with its norm_item")}

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """{'NME'}."""
        pred, gt, mask = rated(results, "NME")
        return {"NME": keypoint_nme(pred, gt, mask, self.norm_of(results, gt))}

    def norm_of(self, results: list[Any], gt: Array) -> Array:
        """(N, D) lengths that distances of the annotated poses (N, K, D) are divided by."""
        if self.norm_mode == "use_norm_item":
            length = (
                sides_of(results) if self.norm_item == "bbox_size" else joined(results, "length")
            )
            length = length[:, None]
        else:
            first, second = self._two_keypoints(gt.shape[1])
            length = np.linalg.norm(gt[:, first] - gt[:, second], axis=1, keepdims=True)
        return np.repeat(length, gt.shape[2], axis=1)

    def _two_keypoints(self, number: int) -> tuple[int, int]:
        name = (self.dataset_meta or {}).get("dataset_name", "")
        indices = self.keypoint_indices or self.DEFAULT_KEYPOINT_INDICES.get(name)
        if indices is None:
            raise UnknownNameError(
                "`norm_mode` is 'keypoint_distance', but `keypoint_indices` is not given and the"
                f" dataset {name!r} has no default (those with one:"
                f" {', '.join(self.DEFAULT_KEYPOINT_INDICES)})"
            )
        if len(indices) != 2 or not all(-number <= index < number for index in indices):
            raise DataError(
                f"`keypoint_indices` should be a pair among the {counted(number, 'keypoint')} of "
                f"{name!r},"
                f" got {list(indices)}"
            )
        return indices[0], indices[1]


def stacked(results: list[Any]) -> tuple[Array, Array, Array]:
    """Predicted (N, K, D), annotated (N, K, D) and mask (N, K) of all samples.

    Raises:
        DataError: there are none, or they differ in their keypoints.
    """
    if not results:
        raise DataError("there are no results to evaluate: no sample went through process()")
    try:
        pred, gt, mask = (
            np.concatenate([result[name] for result in results])
            for name in ("pred_coords", "gt_coords", "mask")
        )
    except ValueError:
        shapes = sorted({result["gt_coords"].shape[1:] for result in results})
        raise DataError(
            f"samples have poses of different shapes, (K, D) of which are {shapes}; evaluate data"
            " sets of different keypoints by a metric each (MultiDatasetEvaluator)"
        ) from None
    return pred, gt, mask


def rated(results: list[Any], metric: str) -> tuple[Array, Array, Array]:
    """As `stacked`, with a warning about poses whose labelled keypoints are not numbers."""
    pred, gt, mask = stacked(results)
    lost = int((mask & ~np.isfinite(pred).all(axis=-1)).any(axis=1).sum())
    if lost:
        warnings.warn(
            f"{metric}: {lost} of {counted(len(pred), 'predicted pose')} with NaN or infinity at"
            " labelled keypoints: these are never near, and a mean distance with one is no number;"
            " look at what the model puts out",
            stacklevel=2,
        )
    return pred, gt, mask


def sides_of(results: list[Any]) -> Array:
    """(N,) longer sides of all samples' boxes, 'bbox' (N, 4) xyxy."""
    box = np.concatenate([result["bbox"] for result in results])
    return np.asarray((box[:, 2:4] - box[:, :2]).max(axis=1))


def joined(results: list[Any], name: str) -> Array:
    """(N,) numbers of all samples, one a person."""
    return np.concatenate([result[name].reshape(-1) for result in results])
