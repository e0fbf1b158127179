"""Mean per-joint position error of lifted 3D poses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from poise._arrays import Array
from poise.errors import DataError, UnknownNameError, one_of
from poise.metrics.base import BaseMetric, field
from poise.metrics.functional.distances import keypoint_mpjpe
from poise.metrics.keypoint_2d import rated, stacked
from poise.registry import METRICS

__all__ = ["MPJPE", "SimpleMPJPE"]


@METRICS.register_module()
class SimpleMPJPE(BaseMetric):
    """Mean distance of predicted joints from the true ones, in the unit of the dataset.

    Args:
        mode: 'mpjpe' as they are; 'p-mpjpe' after moving, rotating and scaling the prediction
            onto the truth; 'n-mpjpe' after scaling it.
        collect_device, prefix: as in `BaseMetric`.
        skip_list: not used here; see `MPJPE`.

    Raises:
        UnknownNameError: another mode.
    """

    ALIGNMENT = {"mpjpe": "none", "p-mpjpe": "procrustes", "n-mpjpe": "scale"}

    def __init__(
        self,
        mode: str = "mpjpe",
        collect_device: str = "cpu",
        prefix: str | None = None,
        skip_list: Sequence[str] = (),
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.mode = one_of(mode, self.ALIGNMENT, "`mode`", UnknownNameError)
        self.skip_list = list(skip_list)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the poses of one batch.

        Args:
            data_batch: not used.
            data_samples: 'pred_instances' with 'keypoints' (T, K, 3) or (1, T, K, 3);
                'gt_instances' with 'lifting_target' (T, K, 3) and 'lifting_target_visible'
                (T, K) or (T, K, 1), camera space.
        """
        self.results.extend(self._pair(sample) for sample in data_samples)

    def _pair(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        name = type(self).__name__
        pred = field(sample, "pred_instances", "keypoints", name)
        gt = field(sample, "gt_instances", "lifting_target", name)
        visible = field(sample, "gt_instances", "lifting_target_visible", name)
        if pred.ndim == 4:
            pred = pred[0]
        if pred.shape != gt.shape:
            raise DataError(
                f"{name}: predicted poses {pred.shape} do not fit the target {gt.shape}"
            )
        if visible.size != gt.size // gt.shape[-1]:
            raise DataError(
                f"{name}: lifting_target_visible {visible.shape} do not fit the target {gt.shape};"
                f" expected {gt.shape[:2]}"
            )
        mask = visible.astype(bool).reshape(gt.shape[:2])
        return {"pred_coords": pred, "gt_coords": gt, "mask": mask}

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """{'MPJPE'}, {'P-MPJPE'} or {'N-MPJPE'}."""
        return {self.mode.upper(): self._error(*rated(results, type(self).__name__))}

    def _error(self, pred: Array, gt: Array, mask: Array) -> float:
        return keypoint_mpjpe(pred, gt, mask, self.ALIGNMENT[self.mode])


@METRICS.register_module()
class MPJPE(SimpleMPJPE):
    """MPJPE of Human3.6M: overall and by action.

    The action is read from the name of the picture, `<subject>_<action>.<camera>_<frame>.jpg`;
    `Walking 1` and `Walking 2` count as one.

    Args:
        mode, collect_device, prefix: as in `SimpleMPJPE`.
        skip_list: `<subject>_<action>` to leave out, such as 'S9_Greeting'.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the poses of one batch with their actions.

        Args:
            data_batch: not used.
            data_samples: as in `SimpleMPJPE`, with 'target_img_path'.

        Raises:
            DataError: a picture whose name does not tell the action.
        """
        for sample in data_samples:
            if "target_img_path" not in sample:
                raise DataError(
                    "MPJPE needs 'target_img_path' in the meta information of every sample; use"
                    " SimpleMPJPE for datasets without actions"
                )
            path = sample["target_img_path"]
            path = path if isinstance(path, str) else next(iter(path), "")
            stem = PurePath(path).name.split(".", 1)[0]
            _, underscore, action = stem.partition("_")
            if not underscore:
                raise DataError(
                    "the name of the picture should be '<subject>_<action>.<camera>_<frame>.jpg',"
                    f" got {path!r}; use SimpleMPJPE for other datasets"
                )
            if stem not in self.skip_list:
                self.results.append({**self._pair(sample), "action": action.split("_")[0]})

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """The error overall, and '<error>_<action>' for each action."""
        name = self.mode.upper()
        by_action: dict[str, list[Any]] = defaultdict(list)
        for result in results:
            by_action[result["action"]].append(result)
        figures = {name: self._error(*rated(results, type(self).__name__))}
        for action, some in by_action.items():
            figures[f"{name}_{action}"] = self._error(*stacked(some))
        return figures
