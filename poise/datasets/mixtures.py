"""Several data sets as one: end to end, repeated, balanced by category, or drawn in ratios."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from poise.datasets.base.dataset import BaseDataset, force_full_init
from poise.datasets.base.metainfo import PoseMetainfo
from poise.errors import ArgumentError, DataError
from poise.registry import DATASETS
from poise.structures.metainfo import parse_pose_metainfo
from poise.transforms.compose import Compose

__all__ = [
    "ClassBalancedDataset",
    "CombinedDataset",
    "ConcatDataset",
    "MultiImageMixDataset",
    "RepeatDataset",
]


class OutOfRangeError(DataError, IndexError):
    """A sample number that does not exist; an IndexError, so that `for` ends there."""


class _Mixture:
    """What data sets made of others have in common.

    A subclass loads its parts in `_load` and says in `_place` where a sample lies.
    """

    _fully_initialized = False
    _metainfo: dict[str, Any]

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of the facts about the (first) data set."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Load all parts; does nothing the second time."""
        if not self._fully_initialized:
            self._load()
            self._fully_initialized = True

    def _load(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define `_load`")

    def _place(self, idx: int) -> tuple[Any, int]:
        """The data set of sample `idx`, and its number there."""
        raise NotImplementedError(f"{type(self).__name__} does not define `_place`")

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Record `idx`, before the pipeline."""
        part, local = self._place(idx)
        info: dict[str, Any] = part.get_data_info(local)
        return info

    @force_full_init
    def __getitem__(self, idx: int) -> Any:
        part, local = self._place(idx)
        return part[local]

    def get_subset(self, indices: int | Sequence[int]) -> Any:
        """Not defined for a mixture: take the subset of its parts, or set their `indices`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no subsets of its own: call `get_subset` on its parts, or "
            "give them `indices`"
        )

    get_subset_ = get_subset


@DATASETS.register_module(scope="mmengine")
class ConcatDataset(_Mixture):
    """Data sets end to end.

    Args:
        datasets: data sets or their configs.
        lazy_init: load annotations at the first use.
        ignore_keys: keys of the metainfo in which they may differ.

    Raises:
        DataError: the data sets differ in metainfo.
        ArgumentError: an item is no data set, or `ignore_keys` no list of names.
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        lazy_init: bool = False,
        ignore_keys: str | list[str] | None = None,
    ) -> None:
        if not datasets:
            raise DataError("ConcatDataset: `datasets` is empty")
        self.datasets = [_built(d, "ConcatDataset") for d in datasets]
        if not isinstance(ignore_keys, str | list | None):
            raise ArgumentError(
                "ConcatDataset: `ignore_keys` must be a name or a list of names, got "
                f"{type(ignore_keys).__name__}"
            )
        self.ignore_keys = [ignore_keys] if isinstance(ignore_keys, str) else ignore_keys or []
        self._metainfo = self.datasets[0].metainfo
        for number, dataset in enumerate(self.datasets[1:], 1):
            self._check_same(number, dataset.metainfo)
        if not lazy_init:
            self.full_init()

    def _check_same(self, number: int, metainfo: dict[str, Any]) -> None:
        for key in (self._metainfo.keys() | metainfo.keys()) - set(self.ignore_keys):
            for where, facts in ((0, self._metainfo), (number, metainfo)):
                if key not in facts:
                    raise DataError(
                        f"ConcatDataset: the metainfo of data set {where} has no `{key}`, that of "
                        "another has; name it in `ignore_keys` if that is meant"
                    )
            if not _equal(self._metainfo[key], metainfo[key]):
                raise DataError(
                    f"ConcatDataset: `{key}` of data set {number} differs from that of the first; "
                    "use CombinedDataset with KeypointConverter to join different keypoints, or "
                    "`ignore_keys`"
                )

    def _load(self) -> None:
        for dataset in self.datasets:
            dataset.full_init()
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    @force_full_init
    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def _place(self, idx: int) -> tuple[Any, int]:
        idx = _positive(idx, len(self), "ConcatDataset")
        part = bisect_right(self.cumulative_sizes, idx)
        return self.datasets[part], idx - (self.cumulative_sizes[part - 1] if part else 0)


@DATASETS.register_module(scope="mmengine")
class RepeatDataset(_Mixture):
    """A data set several times over, so that an epoch of a small one is not over at once.

    Args:
        dataset: data set or its config.
        times: how often.
        lazy_init: load annotations at the first use.
    """

    def __init__(self, dataset: Any, times: int, lazy_init: bool = False) -> None:
        self.dataset = _built(dataset, "RepeatDataset")
        self.times = times
        self._metainfo = self.dataset.metainfo
        if not lazy_init:
            self.full_init()

    def _load(self) -> None:
        self.dataset.full_init()

    @force_full_init
    def __len__(self) -> int:
        return self.times * len(self.dataset)

    def _place(self, idx: int) -> tuple[Any, int]:
        return self.dataset, _positive(idx, len(self), "RepeatDataset") % len(self.dataset)


@DATASETS.register_module(scope="mmengine")
class ClassBalancedDataset(_Mixture):
    """Samples of rare categories several times over (Gupta et al., LVIS, CVPR 2019, sec. 4).

    A sample is repeated `max over its categories c of max(1, sqrt(t / f(c)))` times, where
    `f(c)` is the share of samples with the category and `t` the threshold.

    Args:
        dataset: data set that has `get_cat_ids`, or its config.
        oversample_thr: the threshold `t`.
        lazy_init: load annotations at the first use.
    """

    def __init__(self, dataset: Any, oversample_thr: float, lazy_init: bool = False) -> None:
        self.dataset = _built(dataset, "ClassBalancedDataset")
        self.oversample_thr = oversample_thr
        self._metainfo = self.dataset.metainfo
        if not lazy_init:
            self.full_init()

    def _load(self) -> None:
        self.dataset.full_init()
        size = len(self.dataset)
        categories = [set(self.dataset.get_cat_ids(i)) for i in range(size)]
        samples_with = Counter(c for found in categories for c in found)
        factor = {
            c: max(1.0, math.sqrt(self.oversample_thr * size / n)) for c, n in samples_with.items()
        }
        repeats = [math.ceil(max((factor[c] for c in found), default=1.0)) for found in categories]
        self.repeat_indices = np.repeat(np.arange(size), repeats).tolist()

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Category ids of sample `idx`."""
        part, local = self._place(idx)
        return list(part.get_cat_ids(local))

    @force_full_init
    def __len__(self) -> int:
        return len(self.repeat_indices)

    def _place(self, idx: int) -> tuple[Any, int]:
        return self.dataset, self.repeat_indices[idx]


@DATASETS.register_module(scope="mmdet")
class MultiImageMixDataset(_Mixture):
    """A data set with further steps that may mix several of its samples, such as Mosaic.

    Args:
        dataset: data set or its config; its own pipeline loads picture and annotations.
        pipeline: the further steps.
        skip_type_keys: names of steps to leave out, such as "Mosaic".
        max_refetch: how often a step that drops a sample is tried again.
        lazy_init: load annotations at the first use.

    Raises:
        DataError: a step dropped a sample each time.
    """

    def __init__(
        self,
        dataset: Any,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]],
        skip_type_keys: Sequence[str] | None = None,
        max_refetch: int = 15,
        lazy_init: bool = False,
    ) -> None:
        self.dataset = _built(dataset, "MultiImageMixDataset")
        self.pipeline = list(zip(map(_type_key, pipeline), Compose(pipeline), strict=True))
        self.update_skip_type_keys(skip_type_keys or ())
        self.max_refetch = max_refetch
        self._metainfo = self.dataset.metainfo
        if not lazy_init:
            self.full_init()

    def update_skip_type_keys(self, skip_type_keys: Sequence[str]) -> None:
        """Leave out these steps from now on."""
        self.skip_type_keys = tuple(skip_type_keys)

    def _load(self) -> None:
        self.dataset.full_init()
        self._metainfo = self.dataset.metainfo

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Sample `idx` after the data set's own pipeline, before the further steps."""
        info: dict[str, Any] = self.dataset[_positive(idx, len(self), "MultiImageMixDataset")]
        return info

    def __getitem__(self, idx: int) -> Any:
        results = self.get_data_info(idx) | {"dataset": self}
        for key, step in self.pipeline:
            if key not in self.skip_type_keys:
                results = self._after(step, results)
        return results

    def _after(self, step: Callable[..., Any], results: dict[str, Any]) -> dict[str, Any]:
        for _ in range(self.max_refetch):
            # a step may change what it gets before it drops the sample
            changed: dict[str, Any] | None = step(dict(results))
            if changed is not None:
                return changed
        raise DataError(
            f"MultiImageMixDataset: {type(step).__name__} dropped a sample {self.max_refetch} "
            "times (`max_refetch`); a step that does so for pictures without boxes needs a data "
            "set with filter_cfg=dict(filter_empty_gt=True)"
        )


@DATASETS.register_module()
class CombinedDataset(PoseMetainfo, BaseDataset):
    """Data sets with different keypoints under one schema; each converts to it by its pipeline.

    Args:
        metainfo: schema of the whole.
        datasets: data sets or configs; their pipelines convert keypoints (`KeypointConverter`).
        pipeline: applied to what their pipelines return.
        sample_ratio_factor: for each data set, how many samples an epoch has of it, as a factor
            on its size; which ones is drawn at random from numpy's global generator.

    Raises:
        DataError: `sample_ratio_factor` is negative or has not one entry a data set.
    """

    RECORD_METAINFO = (
        "upper_body_ids",
        "lower_body_ids",
        "flip_pairs",
        "dataset_keypoint_weights",
        "flip_indices",
    )

    def __init__(
        self,
        metainfo: dict[str, Any],
        datasets: Sequence[Any],
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = (),
        sample_ratio_factor: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.datasets = [_built(d, "CombinedDataset") for d in datasets]
        self.resample = sample_ratio_factor is not None
        self._lens_ori = [len(d) for d in self.datasets]
        self._lens = self._lens_ori
        if sample_ratio_factor is not None:
            _check_ratios(sample_ratio_factor, len(self.datasets))
            pairs = zip(self._lens_ori, sample_ratio_factor, strict=True)
            self._lens = [round(size * factor) for size, factor in pairs]
        super().__init__(pipeline=pipeline, **kwargs)
        self._metainfo = parse_pose_metainfo(metainfo)

    @property
    def lens(self) -> list[int]:
        """Samples an epoch has of each data set."""
        return list(self._lens)

    def __len__(self) -> int:
        return sum(self._lens)

    def full_init(self) -> None:
        """Load all parts; does nothing the second time."""
        if not self._fully_initialized:
            for dataset in self.datasets:
                dataset.full_init()
            self._fully_initialized = True

    def _get_subset_index(self, index: int) -> tuple[int, int]:
        """Number of the data set of a sample, and the sample's number there."""
        index = _positive(index, len(self), "CombinedDataset")
        ends = list(accumulate(self._lens))
        part = bisect_right(ends, index)
        index -= ends[part - 1] if part else 0
        if self.resample:
            # each of the epoch's samples stands for a stretch of the data set, from which one
            # is drawn; a hair less than its size keeps the last one inside
            stretch = (self._lens_ori[part] - 1e-4) / self._lens[part]
            index = round(stretch * index + np.random.rand() * stretch - 0.5)
        return part, index

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Sample `idx` of the whole, after the pipeline of its own data set."""
        part, local = self._get_subset_index(idx)
        info: dict[str, Any] = self.datasets[part][local]
        self._note_images(info)
        for key in ("dataset", *self.RECORD_METAINFO):
            info.pop(key, None)
        return self.add_metainfo(info, self._metainfo)

    def prepare_data(self, idx: int) -> Any:
        """Sample `idx` after both pipelines."""
        info = self.get_data_info(idx)
        info["dataset"] = self
        return self.pipeline(info)


def _built(dataset: Any, owner: str) -> Any:
    if isinstance(dataset, dict):
        return DATASETS.build(dataset)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "full_init"):
        return dataset
    raise ArgumentError(
        f"{owner}: expected data sets or their configs, got {type(dataset).__name__}"
    )


def _type_key(step: Any) -> str:
    """Name of a step as configs have it."""
    kind = step.get("type", "") if isinstance(step, dict) else type(step)
    return kind if isinstance(kind, str) else kind.__name__


def _positive(idx: int, size: int, owner: str) -> int:
    if not -size <= idx < size:
        raise OutOfRangeError(
            f"{owner}: index({idx}) is out of bounds for dataset with length({size})."
        )
    return idx % size


def _check_ratios(ratios: Sequence[float], datasets: int) -> None:
    if len(ratios) != datasets:
        raise DataError(
            f"CombinedDataset: the length of `sample_ratio_factor` {len(ratios)} does not match "
            f"the length of `datasets` {datasets}"
        )
    if min(ratios) < 0:
        raise DataError(
            "CombinedDataset: the ratio values in `sample_ratio_factor` should not be negative, "
            f"got {list(ratios)}"
        )


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        # statistics of a schema are arrays by name
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)
