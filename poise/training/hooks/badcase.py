"""BadCaseAnalysisHook: the samples of a test that a model is worst at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import ConfigError, one_of
from poise.registry import HOOKS, METRICS, MODELS
from poise.training.hooks.base import Hook
from poise.training.hooks.visualization import draw_sample

__all__ = ["BadCaseAnalysisHook"]


@HOOKS.register_module()
class BadCaseAnalysisHook(Hook):
    """Writes and draws the samples of a test whose error is beyond a threshold.

    Args:
        enable: whether anything is done.
        show: open a window for each picture.
        wait_time: seconds that a window stays.
        interval: kept for configs; every sample is looked at.
        kpt_thr: score below which a keypoint is not drawn.
        out_dir: folder of pictures and `results.json`, below the run's folder.
        backend_args: of remote storage in MMPose; not used.
        metric_type: "loss" (bad is at least the threshold) or "accuracy" (at most).
        metric: the loss or metric, a config or an object.
        metric_key: which of an accuracy metric's figures counts.
        badcase_thr: threshold.

    Raises:
        ConfigError: another `metric_type`.
    """

    def __init__(
        self,
        enable: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
        interval: int = 50,
        kpt_thr: float = 0.3,
        out_dir: str | None = None,
        backend_args: dict[str, Any] | None = None,
        metric_type: str = "loss",
        metric: Any = None,
        metric_key: str = "PCK",
        badcase_thr: float = 5,
    ) -> None:
        metric = metric or {"type": "KeypointMSELoss"}
        self.enable = enable
        self.drawing = {
            "show": show,
            "wait_time": wait_time,
            "kpt_thr": kpt_thr,
            "draw_bbox": True,
        }
        self.out_dir = out_dir
        self.metric_type = one_of(
            metric_type, ("loss", "accuracy"), "metric_type of BadCaseAnalysisHook"
        )
        self.metric_key = metric_key
        kind = metric["type"] if isinstance(metric, Mapping) else type(metric).__name__
        self.metric_name = metric_key if metric_type == "accuracy" else kind
        self.badcase_thr = badcase_thr
        self.results: list[dict[str, Any]] = []
        # not made where the hook, which all configs list, is off
        registry = MODELS if metric_type == "loss" else METRICS
        self.metric: Any = registry.build(metric) if enable else None

    def before_test(self, runner: Any) -> None:
        """Refuse a detector's boxes, which have no labels to compare with.

        Raises:
            ConfigError: the test data have a `bbox_file`.
        """
        dataset = getattr(runner.test_dataloader, "dataset", None)
        file = getattr(dataset, "bbox_file", None)
        if self.enable and file:
            raise ConfigError(
                f"bad cases need labelled keypoints, and the test has a detector's boxes of "
                f"{file}; test with the labelled boxes: --set "
                "test_dataloader.dataset.bbox_file=None"
            )

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Judge every sample of a batch, keep and draw the bad ones."""
        if not self.enable:
            return
        for sample in outputs or ():
            value = self.error_of(sample, data_batch, runner.test_evaluator.dataset_meta)
            accuracy, limit = self.metric_type == "accuracy", self.badcase_thr
            if value <= limit if accuracy else value >= limit:
                self._keep(runner, sample, value)

    def error_of(self, sample: Any, data_batch: Any, dataset_meta: Any) -> float:
        """The metric's value for one sample."""
        import torch

        if self.metric_type == "accuracy":
            self.metric.dataset_meta = dataset_meta
            self.metric.process([data_batch], [sample.to_dict()])
            # not evaluate(), which waits for the samples of other processes
            figures = self.metric.compute_metrics(self.metric.entries())
            self.metric.results.clear()
            return float(figures[self.metric_key])
        truth, poses = sample.gt_instances, sample.pred_instances
        arrays = (poses.keypoints, truth.keypoints, truth.keypoints_visible)
        with torch.no_grad():
            return float(self.metric(*(torch.as_tensor(np.asarray(a)) for a in arrays)))

    def _keep(self, runner: Any, sample: Any, value: float) -> None:
        path = Path(sample.get("img_path"))
        boxes = np.asarray(sample.gt_instances.bboxes).astype(int).tolist()
        self.results.append({"img": path.stem, "bbox": boxes, self.metric_name: value})
        name = f"{path.stem}_bbox{boxes}_{self.metric_name}{round(value, 2)}{path.suffix}"
        step = len(self.results)
        draw_sample(
            runner,
            sample,
            self._folder(runner) / name,
            name="badcase",
            step=step,
            draw_gt=True,
            **self.drawing,
        )

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the list of all processes."""
        results = self._of_all_processes(runner.world_size) if self.enable else []
        if results and runner.is_main:
            path = self._folder(runner) / "results.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results), encoding="utf-8")
            runner.logger.info(f"{len(results)} bad cases are in {path.parent}")

    def _of_all_processes(self, world_size: int) -> list[dict[str, Any]]:
        """The bad cases of every process; samples repeated to fill up a batch appear once."""
        if world_size == 1:
            return self.results
        import torch

        parts: list[Any] = [None] * world_size
        torch.distributed.all_gather_object(parts, self.results)
        return list({json.dumps(row): row for part in parts for row in part}.values())

    def _folder(self, runner: Any) -> Path:
        return Path(runner.log_dir) / (self.out_dir or "badcase")
