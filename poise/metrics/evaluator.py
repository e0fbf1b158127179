"""Several metrics driven together, over one dataset or over several."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

from poise.errors import DataError
from poise.metrics.base import BaseMetric
from poise.registry import DATASETS, EVALUATORS, METRICS
from poise.structures.element import BaseDataElement
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["Evaluator", "MultiDatasetEvaluator", "build_evaluator", "meta_for_metrics"]


@EVALUATORS.register_module(scope="mmengine")
class Evaluator:
    """Metrics over one dataset.

    Args:
        metrics: a metric or several, each a config or an object.
    """

    def __init__(self, metrics: Any) -> None:
        self._dataset_meta: dict[str, Any] | None = None
        several = metrics if isinstance(metrics, (list, tuple)) else [metrics]
        self.metrics: list[BaseMetric] = [METRICS.build(metric) for metric in several]

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset; setting it sets that of all metrics."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta
        self._share(dataset_meta)

    def _share(self, dataset_meta: dict[str, Any]) -> None:
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Hand one batch to every metric, as dicts.

        Args:
            data_samples: what the model gave.
            data_batch: what the data loader gave.
        """
        samples = [_as_dict(sample) for sample in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, samples)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Figures of all metrics.

        Args:
            size: number of samples in the dataset.

        Raises:
            DataError: two metrics give a figure of the same name.
        """
        figures: dict[str, Any] = {}
        for metric in self.metrics:
            own = metric.evaluate(size)
            if twice := sorted(figures.keys() & own.keys()):
                raise DataError(
                    f"several metrics give {twice}; set a different `prefix` on"
                    f" {type(metric).__name__}"
                )
            figures.update(own)
        return figures

    def offline_evaluate(
        self, data_samples: Iterable[Any], data: Iterable[Any] | None = None, chunk_size: int = 1
    ) -> dict[str, Any]:
        """Figures of predictions that were saved.

        Args:
            data_samples: predictions, as samples or dicts.
            data: what the data loader gave for each, where a metric needs it.
            chunk_size: how many go to `process` at a time.

        Raises:
            DataError: another number of data than of predictions.
        """
        if isinstance(data, Sequence) and isinstance(data_samples, Sequence):
            _same_length("data_samples", data_samples, "data", data)
        parts = [_chunks(data_samples, chunk_size), _chunks(data or (), chunk_size)]
        size = 0
        for chunk, batch in zip_longest(*parts, fillvalue=()):
            if data is not None:
                _same_length("data_samples", chunk, "data", batch)
            self.process(chunk, None if data is None else batch)
            size += len(chunk)
        return self.evaluate(size)


def build_evaluator(cfg: Any) -> Any:
    """Evaluator of a metric config, a list of them, or one of an evaluator; an object as it is."""
    if not isinstance(cfg, (Mapping, list, tuple)):
        return cfg
    if isinstance(cfg, Mapping):
        found = EVALUATORS.get(str(cfg.get("type", "")))
        # a whole path such as mmpose.evaluation.CocoMetric leads to metrics from any registry
        if found is not None and not issubclass(found, BaseMetric):
            return EVALUATORS.build(cfg)
    return Evaluator(list(cfg) if isinstance(cfg, (list, tuple)) else cfg)


def meta_for_metrics(dataset: Any) -> dict[str, Any] | None:
    """Schema of a data set, with the file of its annotations as `ann_file`.

    Metrics without a file of their own take that one, as in MMPose.
    """
    meta = getattr(dataset, "metainfo", None)
    file = getattr(dataset, "ann_file", None)
    whole = getattr(dataset, "_indices", None) is None
    if meta is None or not file or not whole or not str(file).endswith((".json", ".json.gz")):
        return meta
    return {"ann_file": str(file), **meta}


@EVALUATORS.register_module()
class MultiDatasetEvaluator(Evaluator):
    """A metric for each of several datasets; samples go to their dataset's by name.

    Args:
        metrics: metric of each dataset. Several of one dataset all get its samples.
        datasets: configs of the datasets, in the same order; only 'type' is read.

    Raises:
        DataError: another number of metrics than of datasets.
    """

    def __init__(self, metrics: Any, datasets: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(metrics)
        _same_length("metrics", self.metrics, "datasets", datasets)
        self.metrics_dict: dict[str, BaseMetric] = {}
        self._names: list[str] = []
        self._unknown: set[str] = set()
        for dataset, metric in zip(datasets, self.metrics, strict=True):
            kind = dataset["type"]
            known = DATASETS.get(kind) if isinstance(kind, str) else kind
            if known is None:
                raise DATASETS.unknown(kind)
            meta = parse_pose_metainfo(dataset.get("metainfo") or known.METAINFO)
            metric.dataset_meta = meta
            self.metrics_dict[meta["dataset_name"]] = metric
            self._names.append(meta["dataset_name"])

    def _share(self, dataset_meta: dict[str, Any]) -> None:
        """Each metric keeps its own dataset's."""

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Deal one batch out to the metrics of its datasets.

        Args:
            data_samples: what the model gave; 'dataset_name' says whose a sample is, the
                mixture's own name where it is missing.
            data_batch: what the data loader gave: 'inputs' and 'data_samples'.
        """
        columns = {} if data_batch is None else data_batch
        dealt: dict[str, list[int]] = defaultdict(list)
        samples = [_as_dict(sample) for sample in data_samples]
        for index, sample in enumerate(samples):
            name = sample.get("dataset_name") or (self._dataset_meta or {}).get("dataset_name")
            dealt[name or ""].append(index)
        self._warn_of_unknown(dealt.keys() - self.metrics_dict.keys())
        for name, metric in zip(self._names, self.metrics, strict=True):
            if chosen := dealt.get(name):
                batch = {key: [column[i] for i in chosen] for key, column in columns.items()}
                metric.process(batch, [samples[i] for i in chosen])

    def _warn_of_unknown(self, names: Iterable[str]) -> None:
        """Say once of each dataset that nobody evaluates its samples."""
        for name in sorted(set(names) - self._unknown):
            self._unknown.add(name)
            warnings.warn(
                f"no metric of MultiDatasetEvaluator takes the samples of '{name}'; it has metrics "
                f"of {', '.join(self.metrics_dict)}",
                stacklevel=3,
            )


def _as_dict(sample: Any) -> Any:
    return sample.to_dict() if isinstance(sample, BaseDataElement) else sample


def _chunks(entries: Iterable[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _same_length(name: str, entries: Sequence[Any], other: str, others: Sequence[Any]) -> None:
    if len(entries) != len(others):
        raise DataError(
            f"{name} and {other} need the same length, got {len(entries)} and {len(others)}"
        )
