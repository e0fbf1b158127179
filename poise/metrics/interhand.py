"""Errors of two hands in 3D, as InterHand2.6M reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array, as_numpy
from poise._options import options_of
from poise.errors import DataError, UnknownNameError, one_of
from poise.geometry.cameras import pixel_to_camera
from poise.metrics.base import BaseMetric, field
from poise.metrics.functional.distances import keypoint_epe
from poise.registry import METRICS

__all__ = ["InterHandMetric"]

# the right hand's 21 joints come first; each hand's wrist is its last
_HAND_JOINTS = 21
_RIGHT_WRIST, _LEFT_WRIST = 20, 41


@METRICS.register_module()
class InterHandMetric(BaseMetric):
    """Joint errors, root distance and handedness of InterHand2.6M (Moon et al., ECCV 2020).

    Args:
        modes: any of 'MPJPE' (mean joint error relative to each wrist, in mm: 'MPJPE_all',
            'MPJPE_single', 'MPJPE_interacting'), 'MRRPE' (mean error of the left wrist relative
            to the right one) and 'HandednessAcc' (share of samples with the right hands).
        **options: those of `BaseMetric`.

    Raises:
        DataError: another mode.
    """

    METRICS = {"MPJPE", "MRRPE", "HandednessAcc"}

    @options_of(BaseMetric, positional=True)
    def __init__(
        self, modes: Sequence[str] = ("MPJPE", "MRRPE", "HandednessAcc"), **options: Any
    ) -> None:
        super().__init__(**options)
        self.modes = [one_of(mode, self.METRICS, "`mode`", DataError) for mode in modes]

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep what the modes need of one batch.

        Args:
            data_batch: not used.
            data_samples: 'pred_instances' with 'keypoints' (1, 42, 3) (pixels and depth
                relative to the wrist), 'hand_type' (1, 2) and 'rel_root_depth';
                'gt_instances' with 'keypoints_cam' (1, 42, 3) and 'keypoints_visible' (1, 42);
                'hand_type', 'hand_type_valid', 'abs_depth' of both wrists, 'focal' and
                'principal_pt' of the camera.

        Raises:
            UnknownNameError: the model does not predict what a mode needs.
        """
        for sample in data_samples:
            result: dict[str, Array] = {}
            if "MPJPE" in self.modes:
                result.update(self._joints(sample))
            if "HandednessAcc" in self.modes:
                predicted = self._predicted(sample, "hand_type", "HandednessAcc")
                result["hand_right"] = (predicted == as_numpy(sample["hand_type"])).all(axis=-1)
                result["hand_known"] = as_numpy(sample["hand_type_valid"]) > 0
            if "MRRPE" in self.modes:
                result.update(self._roots(sample))
            self.results.append(result)

    def _predicted(self, sample: Mapping[str, Any], name: str, mode: str) -> Array:
        value = sample["pred_instances"].get(name)
        if value is None:
            raise UnknownNameError(
                f"metric {mode} is not supported: the model predicts no '{name}'; leave {mode} out"
                " of `modes`"
            )
        return as_numpy(value)

    def _joints(self, sample: Mapping[str, Any]) -> dict[str, Array]:
        """Both hands relative to their wrists, camera space."""
        pred = field(sample, "pred_instances", "keypoints", "InterHandMetric").copy()
        gt = field(sample, "gt_instances", "keypoints_cam", "InterHandMetric")
        visible = field(sample, "gt_instances", "keypoints_visible", "InterHandMetric")
        mask = visible.astype(bool).reshape(1, -1)
        pred[..., :_HAND_JOINTS, 2] += sample["abs_depth"][0]
        pred[..., _HAND_JOINTS:, 2] += sample["abs_depth"][1]
        both = bool(as_numpy(sample["hand_type"]).all())
        return {
            "pred": _from_wrists(_to_camera(pred, sample)),
            "gt": _from_wrists(gt),
            "all": mask,
            "single": mask & (not both),
            "interacting": mask & both,
        }

    def _roots(self, sample: Mapping[str, Any]) -> dict[str, Array]:
        """The left wrist seen from the right one, where both are there."""
        pred = field(sample, "pred_instances", "keypoints", "InterHandMetric")
        gt = field(sample, "gt_instances", "keypoints_cam", "InterHandMetric")
        visible = field(sample, "gt_instances", "keypoints_visible", "InterHandMetric")
        apart = self._predicted(sample, "rel_root_depth", "MRRPE")
        wrists = [_RIGHT_WRIST, _LEFT_WRIST]
        there = as_numpy(sample["hand_type"]).all() and visible.reshape(1, -1)[:, wrists].all()
        ends = pred[:, wrists].astype(np.float32)
        ends[..., 2] += sample["abs_depth"][0]
        ends[:, 1, 2] += apart.reshape(-1)
        ends = _to_camera(ends, sample)
        return {
            "pred_root": ends[:, 1:] - ends[:, :1],
            "gt_root": gt[:, [_LEFT_WRIST]] - gt[:, [_RIGHT_WRIST]],
            "root_known": np.full((1, 1), bool(there)),
        }

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """The figures of the modes."""
        if not results:
            raise DataError("there are no results to evaluate: no sample went through process()")
        column = {name: np.concatenate([r[name] for r in results]) for name in results[0]}
        figures: dict[str, Any] = {}
        if "MPJPE" in self.modes:
            for which in ("all", "single", "interacting"):
                figures[f"MPJPE_{which}"] = keypoint_epe(
                    column["pred"], column["gt"], column[which]
                )
        if "HandednessAcc" in self.modes:
            rated = column["hand_right"][column["hand_known"].reshape(-1)]
            figures["HandednessAcc"] = float(rated.mean()) if rated.size else 0.0
        if "MRRPE" in self.modes:
            figures["MRRPE"] = keypoint_epe(
                column["pred_root"], column["gt_root"], column["root_known"]
            )
        return figures


def _to_camera(pixels: Array, sample: Mapping[str, Any]) -> Array:
    """Pixels with depth (..., 3) in camera space."""
    (fx, fy), (cx, cy) = sample["focal"][:2], sample["principal_pt"][:2]
    return pixel_to_camera(pixels, fx, fy, cx, cy)


def _from_wrists(hands: Array) -> Array:
    """Joints (1, 42, 3) relative to the wrist of their hand."""
    hands = hands.copy()
    hands[:, :_HAND_JOINTS] -= hands[:, [_RIGHT_WRIST]]
    hands[:, _HAND_JOINTS:] -= hands[:, [_LEFT_WRIST]]
    return hands
