"""A data set: records from an annotation file, each turned into a sample by a pipeline."""

from __future__ import annotations

import copy
import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from poise._collector import no_gc
from poise._failures import noting
from poise._files import is_file
from poise.datasets.base.unreadable import UnreadableImages, image_problem
from poise.datasets.coco_file import read_json
from poise.datasets.paths import is_absolute, join_path
from poise.datasets.records import Records
from poise.errors import ArgumentError, DataError, PoiseError
from poise.registry import DATASETS
from poise.transforms.compose import Compose
from poise.transforms.loading import remember_pictures

__all__ = ["BaseDataset", "force_full_init"]

logger = logging.getLogger("poise.datasets")

Method = TypeVar("Method", bound=Callable[..., Any])


def force_full_init(old_func: Method) -> Method:
    """Make a method load the annotations first, where `lazy_init=True` left that for later."""

    @functools.wraps(old_func)
    def wrapper(obj: Any, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(obj, "full_init"):
            raise AttributeError(
                f"{type(obj).__name__}.{old_func.__name__} needs a method `full_init`, and "
                f"{type(obj).__name__} has none"
            )
        if not getattr(obj, "_fully_initialized", False):
            logger.info("%s loads its annotations on first use", type(obj).__name__)
            obj.full_init()
            obj._fully_initialized = True
        return old_func(obj, *args, **kwargs)

    return wrapper  # type: ignore[return-value]


@DATASETS.register_module(scope="mmengine")
class BaseDataset:
    """Records plus a pipeline; readers of a format override `load_data_list`.

    By itself it reads JSON of the form `{"metainfo": {...}, "data_list": [{...}, ...]}`.

    Args:
        ann_file: annotation file; relative paths start at `data_root`.
        metainfo: facts about the data set; win over `METAINFO` and over those of the file.
        data_root: folder of `ann_file` and `data_prefix`.
        data_prefix: kind of file -> its folder, such as `dict(img="val2017/")`.
        filter_cfg: settings of `filter_data`.
        indices: keep only the first (negative: last) so many records, or those listed.
        serialize_data: hold records in numpy buffers that workers share (`Records`); otherwise
            as dicts, copied at each access.
        pipeline: transforms or their configs.
        test_mode: every record counts: a sample that fails is an error, not replaced.
        lazy_init: load annotations at the first use.
        max_refetch: while training, how often to draw another record for one that the pipeline
            drops.

    Attributes:
        METAINFO: class attribute, facts about the data set.
        max_unreadable: class attribute, how many different unreadable images one process may
            skip while training.
    """

    METAINFO: dict[str, Any] = {}
    max_unreadable: int = 100
    _fully_initialized: bool = False

    def __init__(
        self,
        ann_file: str | None = "",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | None = "",
        data_prefix: Mapping[str, str] = {"img_path": ""},
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.ann_file = ann_file and os.fspath(ann_file)
        self._metainfo = self._load_metainfo(copy.deepcopy(metainfo))
        self.data_root = data_root and os.fspath(data_root)
        self.data_prefix = dict(data_prefix)
        self.filter_cfg = copy.deepcopy(filter_cfg)
        self._indices = indices
        self.serialize_data = serialize_data
        self.test_mode = test_mode
        self.max_refetch = max_refetch
        self.data_list: Sequence[dict[str, Any]] = []
        self.unreadable = UnreadableImages(self.max_unreadable)
        # images of the sample being made: its own and those that are mixed into it
        self._fetched: list[str] = []
        self._last_error: Exception | None = None
        self._join_prefix()
        self.pipeline = Compose(pipeline)
        if test_mode:
            remember_pictures(self.pipeline)
        if not lazy_init:
            self.full_init()

    # loading ------------------------------------------------------------------------------

    def full_init(self) -> None:
        """Load, filter, cut and pack the records; does nothing the second time."""
        if self._fully_initialized:
            return
        with no_gc():
            self.data_list = self.load_data_list()
            self.data_list = self.filter_data()
            if self._indices is not None:
                self.data_list = self._pick(self._indices)
            if self.serialize_data:
                self.data_list = Records.pack(self.data_list)
            elif isinstance(self.data_list, Records):
                self.data_list = list(self.data_list)
        self._fully_initialized = True

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Read `ann_file`.

        Returns:
            list of dicts (or `Records`), one a record.

        Raises:
            FileMissingError: there is no such file.
            DataError: the file is not JSON with `metainfo` and `data_list`.
        """
        content = read_json(self.ann_file or "", owner=type(self).__name__)
        if not isinstance(content, dict) or not {"data_list", "metainfo"} <= content.keys():
            has = ", ".join(content) if isinstance(content, dict) else type(content).__name__
            raise DataError(
                f"{type(self).__name__}: {self.ann_file} must be an object with `metainfo` and "
                f"`data_list`, found: {has}; other formats need a class that overrides "
                "`load_data_list`"
            )
        for key, value in content["metainfo"].items():
            self._metainfo.setdefault(key, value)
        records: list[dict[str, Any]] = []
        for raw in content["data_list"]:
            parsed = self.parse_data_info(raw)
            several = parsed if isinstance(parsed, list) else [parsed]
            wrong = next((p for p in several if not isinstance(p, dict)), None)
            if wrong is not None or parsed is None:
                raise ArgumentError(
                    f"{type(self).__name__}.parse_data_info must return a dict or a list of "
                    f"dicts, returned {type(parsed if wrong is None else wrong).__name__}"
                )
            records.extend(several)
        return records

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> Any:
        """Turn one entry of the file into a record (or several): here, join the prefixes."""
        for key, prefix in self.data_prefix.items():
            if key not in raw_data_info:
                raise DataError(
                    f"{type(self).__name__}: `data_prefix` has `{key}`, but an entry of "
                    f"{self.ann_file} has only: {', '.join(raw_data_info)}"
                )
            raw_data_info[key] = join_path(prefix, raw_data_info[key])
        return raw_data_info

    def filter_data(self) -> Sequence[dict[str, Any]]:
        """The records to keep; override to use `filter_cfg`. Here: all."""
        return self.data_list

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`METAINFO` updated with `metainfo`; a string that names a file gives its lines."""
        merged = copy.deepcopy(cls.METAINFO)
        if metainfo is None:
            return merged
        if not isinstance(metainfo, Mapping):
            raise ArgumentError(
                f"{cls.__name__}: `metainfo` must be a dict, got {type(metainfo).__name__}"
            )
        for key, value in metainfo.items():
            names_file = isinstance(value, str) and is_file(Path(value))
            merged[key] = Path(value).read_text("utf-8").splitlines() if names_file else value
        return merged

    def _join_prefix(self) -> None:
        """Put `data_root` before relative paths of `ann_file` and `data_prefix`."""
        if self.ann_file and not is_absolute(self.ann_file) and self.data_root:
            self.ann_file = join_path(self.data_root, self.ann_file)
        for key, prefix in self.data_prefix.items():
            if not isinstance(prefix, (str, os.PathLike)):
                raise ArgumentError(
                    f"{type(self).__name__}: `data_prefix['{key}']` must be a string, got "
                    f"{type(prefix).__name__}"
                )
            self.data_prefix[key] = join_path(self.data_root, prefix)

    # access -------------------------------------------------------------------------------

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of the facts about the data set."""
        return copy.deepcopy(self._metainfo)

    @force_full_init
    def __len__(self) -> int:
        return len(self.data_list)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Record `idx` as a fresh dict, with its place as `sample_idx`."""
        stored = self.data_list[idx]
        info: dict[str, Any] = (
            stored if isinstance(self.data_list, Records) else copy.deepcopy(stored)
        )
        info["sample_idx"] = idx if idx >= 0 else len(self) + idx
        info = self.complete_record(info)
        self._note_images(info)
        return info

    def complete_record(self, info: dict[str, Any]) -> dict[str, Any]:
        """Put into a record what all records share and none stores. Here: nothing."""
        return info

    def _note_images(self, info: dict[str, Any]) -> None:
        paths = info.get("img_path") or info.get("img_paths") or ()
        self._fetched += [paths] if isinstance(paths, str) else [str(p) for p in paths]

    def prepare_data(self, idx: int) -> Any:
        """Record `idx` after the pipeline; `None` where the pipeline drops it."""
        return self.pipeline(self.get_data_info(idx))

    @force_full_init
    def __getitem__(self, idx: int) -> Any:
        """Sample `idx`; while training another one where it fails.

        Raises:
            DataError: in test mode the pipeline dropped the record; while training no usable
                sample came in `max_refetch` draws, or too many images are unreadable.
        """
        owner = type(self).__name__
        if self.test_mode:
            self._fetched = []
            try:
                sample = self._sample(idx)
            except PoiseError as error:
                if any(image_problem(path) for path in self._fetched):
                    error.add_note(
                        "pictures are skipped in training only: without one a score would mean "
                        f"something else. Fetch it again, or take it out of {self.ann_file}"
                    )
                raise
            if sample is None:
                raise DataError(
                    f"{owner}: the pipeline returned None for sample {idx} in test mode, where "
                    "every sample counts; a transform that drops samples belongs in training"
                )
            return sample
        first = idx
        for _ in range(self.max_refetch + 1):
            sample = self._try_sample(idx)
            if sample is not None:
                return sample
            idx = self._rand_another()
        raise DataError(
            f"{owner}: no usable sample in place of sample {first} after {self.max_refetch} "
            "draws (`max_refetch`): the pipeline failed or returned None each time; check the "
            f"images ({len(self.unreadable.paths)} unreadable so far{self.unreadable.example}) and "
            "the transforms"
        ) from self._last_error

    def _sample(self, idx: int) -> Any:
        owner = type(self).__name__
        with noting(
            lambda: " ".join((f"while making sample {idx} of {owner}", *self._fetched[:1]))
        ):
            return self.prepare_data(idx)

    def _try_sample(self, idx: int) -> Any:
        self._fetched = []
        try:
            return self._sample(idx)
        except Exception as error:
            # an image that cannot be read is no reason to end a training of days; any other
            # fault is, so the images are looked at rather than the kind of exception
            if self.unreadable.note(self._fetched, type(self).__name__):
                self._last_error = error
                return None
            raise

    def _rand_another(self) -> int:
        """A random place, drawn from numpy's global generator."""
        return int(np.random.randint(0, len(self)))

    def get_cat_ids(self, idx: int) -> list[int]:
        """Category ids of record `idx` (needed by `ClassBalancedDataset`)."""
        raise NotImplementedError(f"{type(self).__name__} has no `get_cat_ids`")

    # subsets ------------------------------------------------------------------------------

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep only the first (negative: last) so many records, or those listed, in place."""
        self.data_list = self._pick(indices)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> BaseDataset:
        """A data set of the first (negative: last) so many records, or of those listed."""
        other = self._copy_without_annotation()
        picked = self._pick(indices)
        other.data_list = picked if isinstance(picked, Records) else copy.deepcopy(picked)
        return other

    def _pick(self, indices: int | Sequence[int]) -> Sequence[dict[str, Any]]:
        size = len(self.data_list)
        if isinstance(indices, int | np.integer):
            chosen: Sequence[int] = range(size)[: int(indices)]
            if indices < 0:
                chosen = range(size)[int(indices) :]
        elif isinstance(indices, Sequence | np.ndarray) and not isinstance(indices, str):
            chosen = [int(i) for i in indices]
        else:
            raise ArgumentError(
                f"{type(self).__name__}: `indices` must be an int or a sequence of ints, got "
                f"{type(indices).__name__}"
            )
        wrong = next((i for i in chosen if not -size <= i < size), None)
        if wrong is not None:
            raise DataError(
                f"{type(self).__name__}: index {wrong} is out of range: there are {size} records"
            )
        if isinstance(self.data_list, Records):
            return self.data_list.select(chosen)
        return [self.data_list[i] for i in chosen]

    def _copy_without_annotation(self, memo: dict[int, Any] | None = None) -> Any:
        """A deep copy of everything but the records."""
        memo = {} if memo is None else memo
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for name, value in self.__dict__.items():
            if name != "data_list":
                setattr(other, name, copy.deepcopy(value, memo))
        other.data_list = []
        return other
