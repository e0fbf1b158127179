"""The base of all metrics: collect per batch, compute once at the end."""

from __future__ import annotations

import numbers
import pickle
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from poise._arrays import as_numpy
from poise._files import write_whole
from poise.errors import DataError
from poise.metrics.collecting import broadcast, collect, to_cpu
from poise.registry import METRICS

__all__ = ["BaseMetric", "DumpResults", "field", "id_order"]


class BaseMetric(metaclass=ABCMeta):
    """A figure of merit over a dataset.

    Subclasses put what they need of each sample into `self.results` in `process`, one entry per
    sample, and turn all entries into figures in `compute_metrics`. With several processes the
    entries are gathered and figures computed once.

    Args:
        collect_device: 'cpu' or 'gpu': where results of several processes meet.
        prefix: goes before the names, as in 'coco/AP'; `default_prefix` if None.
        collect_dir: shared folder to pass results through, for very large ones.

    Raises:
        DataError: `collect_dir` with results that meet on the GPU.
    """

    default_prefix: str | None = None
    #: entries may hold tensors, which go to the CPU before the figures are computed
    keeps_tensors: bool = True

    def __init__(
        self,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        if collect_dir is not None and collect_device != "cpu":
            raise DataError(f"collect_dir goes with collect_device='cpu', got {collect_device!r}")
        self._dataset_meta: dict[str, Any] | None = None
        self.collect_device = collect_device
        self.collect_dir = collect_dir
        self.results: list[Any] = []
        self.prefix = prefix or self.default_prefix

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset: number of keypoints, sigmas, names."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = None if dataset_meta is None else self._taken(dataset_meta)

    def _taken(self, meta: dict[str, Any]) -> dict[str, Any]:
        """What is kept of the dataset's meta information; some metrics read the file it names."""
        return meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep what the figures need of one batch, in `self.results`.

        Args:
            data_batch: what the data loader gave.
            data_samples: what the model gave, as dicts (`PoseDataSample.to_dict`).
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Figures by name from the kept entries of all processes."""

    def entries(self) -> list[Any]:
        """What `process` kept, an entry per sample; what `compute_metrics` gets."""
        return self.results

    def evaluate(self, size: int) -> dict[str, Any]:
        """Figures over the whole dataset; forgets the entries.

        Args:
            size: number of samples in the dataset; samples that a distributed sampler repeats
                beyond it are dropped.
        """
        if not self.results:
            warnings.warn(
                f"{type(self).__name__} has no results: process() was not called, or kept"
                " nothing in self.results",
                stacklevel=2,
            )
        collected = collect(
            self.entries(), size, device=self.collect_device, folder=self.collect_dir
        )
        figures = None
        if collected is not None:
            collected = to_cpu(collected) if self.keeps_tensors else collected
            figures = self.compute_metrics(collected)
            if self.prefix:
                figures = {f"{self.prefix}/{name}": value for name, value in figures.items()}
        self.results.clear()
        gathered: dict[str, Any] = broadcast(figures)
        return gathered


@METRICS.register_module(scope="mmengine")
class DumpResults(BaseMetric):
    """Write the predictions to a pickle file, to evaluate them later.

    Args:
        out_file_path: file that ends with .pkl or .pickle.
        collect_device, collect_dir: as in `BaseMetric`.

    Raises:
        DataError: another ending.
    """

    def __init__(
        self, out_file_path: str, collect_device: str = "cpu", collect_dir: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if not str(out_file_path).endswith((".pkl", ".pickle")):
            raise DataError(f"out_file_path must end with .pkl or .pickle, got {out_file_path}")
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the samples."""
        self.results.extend(to_cpu(list(data_samples)))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Write the file, and the folders above it; there are no figures."""
        path = Path(self.out_file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, pickle.dumps(results))
        return {}


def field(sample: Mapping[str, Any], group: str, name: str, metric: str) -> NDArray[Any]:
    """`sample[group][name]` as an array.

    Raises:
        DataError: the sample lacks it; the text names the metric and what is there.
    """
    values = sample.get(group)
    if values is None:
        raise DataError(
            f"{metric} needs `{group}` in every data sample, got only {sorted(sample)}; set"
            " `pred_instances` in the model's predict"
        )
    value = values.get(name)
    if value is None:
        raise DataError(
            f"{metric} needs '{name}' in `{group}` of every data sample, got only {sorted(values)}"
        )
    return as_numpy(value)


def id_order(value: Any) -> tuple[str, Any]:
    """Key that sorts ids of any kinds, also of several: numbers first, then texts.

    Example:
        >>> sorted(["b", 10, 9, ("a", 2), "a"], key=id_order)
        [9, 10, 'a', 'b', ('a', 2)]
    """
    if isinstance(value, tuple):
        return "tuple", tuple(map(id_order, value))
    return ("" if isinstance(value, numbers.Real) else type(value).__name__), value
