"""One metric for each of several parts of the body."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise._words import counted
from poise.errors import DataError
from poise.metrics.base import BaseMetric
from poise.registry import METRICS

__all__ = ["KeypointPartitionMetric"]

_SUPPORTED = ("CocoMetric", "PCKAccuracy", "AUC", "EPE", "NME")


@METRICS.register_module()
class KeypointPartitionMetric(BaseMetric):
    """A metric over chosen keypoints, such as the hands alone.

    Args:
        metric: config of a CocoMetric, PCKAccuracy, AUC, EPE or NME (with 'use_norm_item').
            CocoMetric takes its annotations from the samples, and scores and suppresses poses
            part by part.
        partitions: name -> indices of its keypoints.

    Raises:
        DataError: another metric, or a partition without keypoints.

    Example:
        >>> parts = dict(head=[0, 1, 2, 3, 4], arms=[5, 6, 7, 8, 9, 10])
        >>> sorted(KeypointPartitionMetric(dict(type="EPE"), parts).metrics)
        ['arms', 'head']
    """

    def __init__(self, metric: dict[str, Any], partitions: dict[str, Sequence[int]]) -> None:
        super().__init__()
        config = _checked(metric)
        if not partitions:
            raise DataError("there should be at least one partition")
        for name, keypoints in partitions.items():
            if not isinstance(keypoints, Sequence) or not all(
                isinstance(keypoint, (int, np.integer)) for keypoint in keypoints
            ):
                raise DataError(
                    f"partition {name!r} should be a list of indices, got {keypoints!r}"
                )
            if not len(keypoints):
                raise DataError(f"partition {name!r} should have at least one keypoint")
        self.partitions = {name: list(keypoints) for name, keypoints in partitions.items()}
        self.metrics: dict[str, BaseMetric] = {}
        for name in self.partitions:
            own = copy.deepcopy(config)
            if own.get("outfile_prefix") is not None:
                own["outfile_prefix"] = f"{own['outfile_prefix']}.{name}"
            self.metrics[name] = METRICS.build(own)

    def _taken(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Meta information, of which each part's metric gets its share."""
        # the dataset's file describes whole poses
        shared = {name: value for name, value in meta.items() if name != "ann_file"}
        for name, keypoints in self.partitions.items():
            sigmas = np.asarray(meta.get("sigmas", ()))
            number = len(sigmas) or meta.get("num_keypoints", np.inf)
            if max(keypoints) >= number:
                raise DataError(
                    f"partition {name!r} has keypoint {max(keypoints)}, but the dataset"
                    f" {meta.get('dataset_name', '')!r} has {counted(number, 'keypoint')}"
                )
            self.metrics[name].dataset_meta = {
                **shared,
                "num_keypoints": len(keypoints),
                "sigmas": sigmas[keypoints] if sigmas.size else sigmas,
            }
        return meta

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Hand each part of the samples to its metric.

        Args:
            data_batch: passed on.
            data_samples: what the metric takes, with all keypoints.
        """
        for name, metric in self.metrics.items():
            keypoints = self.partitions[name]
            metric.process(data_batch, [_part(sample, keypoints) for sample in data_samples])

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Nothing: the parts' metrics hold the results."""
        return {}

    def evaluate(self, size: int) -> dict[str, Any]:
        """Figures of all parts, as '<part>/<figure>'.

        Args:
            size: number of samples in the dataset.
        """
        figures: dict[str, Any] = {}
        for part, metric in self.metrics.items():
            own = metric.evaluate(size)
            figures.update((f"{part}/{name}", value) for name, value in own.items())
        return figures


def _checked(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Config of the parts' metric, or the reason why it cannot be one."""
    config = dict(metric)
    if "type" not in config:
        raise DataError(
            f"`metric` of KeypointPartitionMetric is a config with 'type', got {config}"
        )
    kind = config["type"] if isinstance(config["type"], str) else config["type"].__name__
    kind = kind.replace("::", ".").rpartition(".")[2]
    if kind not in _SUPPORTED:
        raise DataError(
            "Metrics supported by KeypointPartitionMetric are CocoMetric, PCKAccuracy, AUC, EPE"
            f" and NME, got {kind}"
        )
    if kind == "CocoMetric":
        if config.pop("ann_file", None) is not None:
            warnings.warn(
                "KeypointPartitionMetric takes annotations from the samples: `ann_file` of its"
                " CocoMetric is ignored",
                stacklevel=3,
            )
        for option, whole, default in (
            ("score_mode", "bbox", "bbox_keypoint"),
            ("nms_mode", "none", "oks_nms"),
        ):
            if config.get(option, default) != whole:
                warnings.warn(
                    f"KeypointPartitionMetric: with `{option}` other than '{whole}' poses are"
                    " ranked part by part, so figures differ from those of CocoWholeBodyMetric",
                    stacklevel=3,
                )
    if kind == "PCKAccuracy" and "torso" in config.get("norm_item", "bbox"):
        warnings.warn("norm_item 'torso' means two keypoints of JHMDB", stacklevel=3)
    if kind == "NME" and config.get("norm_mode") != "use_norm_item":
        raise DataError(
            f"NME norm_mode {config.get('norm_mode')!r} is incompatible with"
            " KeypointPartitionMetric: give norm_mode='use_norm_item' and a `norm_item`"
        )
    return config


def _part(sample: Mapping[str, Any], keypoints: list[int]) -> dict[str, Any]:
    """A sample with some of the keypoints only; the sample itself stays as it is."""
    part = dict(sample)
    for group, names in (
        ("pred_instances", ("keypoints", "keypoint_scores")),
        ("gt_instances", ("keypoints", "keypoints_visible")),
    ):
        # the parts' metrics say what they miss
        chosen = dict(sample.get(group) or {})
        for name in names:
            if name in chosen:
                whole = as_numpy(chosen[name])
                if whole.shape[1] <= max(keypoints):
                    raise DataError(
                        f"a partition has keypoint {max(keypoints)}, but `{name}` of `{group}` has"
                        f" the shape {whole.shape}"
                    )
                chosen[name] = whole[:, keypoints]
        part[group] = chosen
    if "raw_ann_info" in sample:
        anns = sample["raw_ann_info"]
        several = anns if isinstance(anns, list) else [anns]
        part["raw_ann_info"] = [ann and _part_of_annotation(ann, keypoints) for ann in several]
    return part


def _part_of_annotation(ann: Mapping[str, Any], keypoints: list[int]) -> dict[str, Any]:
    part = dict(ann)
    if "keypoints" in part:
        chosen = np.array(part["keypoints"]).reshape(-1, 3)[keypoints]
        part["keypoints"] = chosen.ravel().tolist()
        part["num_keypoints"] = int((chosen[:, 2] > 0).sum())
    return part
