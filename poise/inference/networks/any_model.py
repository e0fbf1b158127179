"""Networks of all models, by way of samples."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import host_array, is_tensor
from poise.inference.networks.crops import Crop
from poise.inference.networks.direct3d import hand_poses, standing
from poise.inference.networks.heat import warn_without_heatmaps
from poise.inference.networks.network import BATCH_SIZE, Poses

__all__ = ["AnyNetwork"]

#: Of networks that take whole pictures, on CPUs: so large maps leave the cache as it is.
WHOLE_BATCH_ON_CPU = 2


class AnyNetwork:
    """Calls the model as any test does: right for every model, which may keep what it likes.

    Args:
        model: an estimator.
        make_batch: crop maker.
        test_cfg: settings for predictions, instead of the model's.
        heatmaps: also keep where the network saw keypoints; a model that has no maps is named once.
        covariances: also keep how unsure each keypoint is.

    Raises:
        ConfigError: covariances of a model that does not know.
    """

    lanes = 1

    def __init__(
        self,
        model: Any,
        make_batch: Any,
        test_cfg: Mapping[str, Any],
        *,
        heatmaps: bool = False,
        covariances: bool = False,
    ) -> None:
        from poise.models.estimators import BottomupPoseEstimator, TopdownPoseEstimator3D

        weight = next(model.parameters(), None)
        slow = weight is not None and weight.device.type == "cpu"
        whole = isinstance(model, BottomupPoseEstimator)
        self.batch_size = WHOLE_BATCH_ON_CPU if slow and whole else BATCH_SIZE

        settings = dict(test_cfg)
        # what is shown to people can be less than what is measured
        settings |= settings.pop("shown", {})
        if heatmaps and not isinstance(model, TopdownPoseEstimator3D):
            # heads without maps leave this alone, but for those of 3D, which refuse it
            settings["output_heatmaps"] = True
        if covariances:
            # heads of other kinds are found out when they have predicted
            check = getattr(model.head, "require_covariances", None)
            if check is not None:
                check()
            settings["output_covariances"] = True
        # the same weights with settings of its own: others may use the model at the same time
        self._model = copy.copy(model)
        self._model.test_cfg = settings
        self._make_batch, self._heatmaps = make_batch, heatmaps

    def prepare(self, crops: Sequence[Crop]) -> Any:
        """Inputs and samples."""
        return self._make_batch(crops)

    def run(self, batch: Any) -> Any:
        """Samples with the predictions of the model's `predict` mode."""
        import torch

        with torch.inference_mode():
            batch = self._model.data_preprocessor(batch, False)
            return self._model(**batch, mode="predict")

    def decode(self, outputs: Any, batch: Any) -> list[Poses]:
        """The predictions as arrays."""
        poses = [_poses(sample.pred_instances) for sample in outputs]
        if not self._heatmaps:
            return poses
        count = self._model.dataset_meta["num_keypoints"]
        heats = [_heat_of_sample(sample, count) for sample in outputs]
        if any(heat is None for heat in heats):
            warn_without_heatmaps(type(self._model.head).__name__)
            return poses
        boxes = [_box_of_sample(sample.metainfo) for sample in outputs]
        rows = zip(poses, heats, boxes, strict=True)
        return [own._replace(heat=heat, heat_box=box) for own, heat, box in rows]


def _heat_of_sample(sample: Any, num_keypoints: int) -> np.ndarray | None:
    """(h, w) where the network saw keypoints in what it took; None where it did not say."""
    fields = sample.get("pred_fields")
    if fields is None or "heatmaps" not in fields:
        return None
    maps = _array(fields.heatmaps)
    # CID has maps of each person, perhaps of none; DEKR's last map is of people's centres
    maps = maps[: len(maps) // num_keypoints * num_keypoints]
    return maps.max(0, initial=0).astype(np.float32)


def _box_of_sample(metainfo: Mapping[str, Any]) -> np.ndarray:
    """(4,) xyxy, image space: what the network took."""
    center, scale = (np.asarray(metainfo[key]) for key in ("input_center", "input_scale"))
    return np.concatenate((center - scale / 2, center + scale / 2))


def _poses(instances: Any) -> Poses:
    """What samples say, with covariances where they have some."""
    spread = _array(instances.get("keypoint_covariances"))
    keypoints, scores = _array(instances.keypoints), _array(instances.keypoint_scores)
    boxes = _array(instances.get("bboxes")), _array(instances.get("bbox_scores"))
    if keypoints.shape[-1] == 2:
        kinds = _array(instances.get("categories"))
        return Poses(keypoints, scores, *boxes, covariances=spread, categories=kinds)
    flat = _array(instances.get("transformed_keypoints"))
    if "hand_type" in instances:
        depth, hands = _array(instances.rel_root_depth), _array(instances.hand_type)
        in_space, scores = hand_poses(keypoints, scores, depth, hands)
    else:
        in_space = standing(keypoints)
    flat = keypoints[..., :2] if flat is None else flat
    return Poses(flat, scores, *boxes, in_space, covariances=spread)


def _array(values: Any) -> Any:
    if values is None:
        return None
    return host_array(values) if is_tensor(values) else np.asarray(values)
