"""Real pictures on which a model and its file are tried: with labels, with boxes, or bare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import DataError
from poise.inference.sources.pictures import list_pictures

__all__ = ["Pictures"]

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures, and what is known about them.

    Attributes:
        paths: of the pictures.
        boxes: for each picture (N, 4) xyxy of the people in it, image space; None: not known.
        records: for each picture the records of the data set, one a person ("topdown") or one for
            all ("bottomup"); None without labels.
        dataset: that the records are of.
    """

    paths: Sequence[str]
    boxes: Sequence[Array] | None = None
    records: Sequence[Sequence[Any]] | None = None
    dataset: Any = None

    @classmethod
    def of(cls, source: Any) -> Pictures:
        """Those of a folder, a list of files, or a data set.

        Args:
            source: path or paths; `Pictures`; or a data set without transforms, as
                `poise.data_tools.opening.open_dataset` gives it.

        Raises:
            FileMissingError: a folder or pattern without pictures.
            DataError: a data set without samples, or of pictures that it does not name.
        """
        if isinstance(source, Pictures):
            return source
        if isinstance(source, (str, os.PathLike, list, tuple)):
            return cls([str(picture.source) for picture in list_pictures(source)])
        return cls._of_dataset(source)

    @classmethod
    def _of_dataset(cls, dataset: Any) -> Pictures:
        rows: dict[str, list[Any]] = {}
        for index in range(len(dataset)):
            record = dataset.get_data_info(index)
            path = record.get("img_path")
            if not isinstance(path, (str, os.PathLike)):
                raise DataError(
                    f"sample {index} of the {type(dataset).__name__} names no single picture; "
                    "expected a data set of labelled pictures"
                )
            rows.setdefault(os.fspath(path), []).append(record)
        if not rows:
            raise DataError(f"the {type(dataset).__name__} has no samples to try the model on")
        boxes = None
        if all("bbox" in record for records in rows.values() for record in records):
            # of whole pictures a record may say that nobody is there
            boxes = [
                np.concatenate([np.asarray(r["bbox"], np.float32).reshape(-1, 4) for r in records])
                for records in rows.values()
            ]
        return cls(list(rows), boxes, list(rows.values()), dataset)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labelled(self) -> bool:
        """Whether it is known what the right answer is."""
        return self.records is not None

    def chosen(self, places: Sequence[int]) -> Pictures:
        """Some of them."""

        def some(values: Sequence[Any] | None) -> list[Any] | None:
            return None if values is None else [values[i] for i in places]

        paths = [self.paths[i] for i in places]
        return replace(self, paths=paths, boxes=some(self.boxes), records=some(self.records))

    def spread(self, most: int) -> Pictures:
        """At most so many, from all over."""
        if len(self) <= most:
            return self
        return self.chosen([i * len(self) // most for i in range(most)])

    def split(self, every: int) -> tuple[Pictures, Pictures]:
        """Each `every`-th one, and the others; all of them twice where there are too few."""
        first = range(0, len(self), every)
        others = [i for i in range(len(self)) if i % every]
        if len(first) < _FEW or len(others) < _FEW:
            return self, self
        return self.chosen(first), self.chosen(others)

    def with_boxes(self, boxes: Sequence[Array]) -> Pictures:
        """The same with people's places."""
        return replace(self, boxes=list(boxes))

    def check(self) -> None:
        """See that the files are there.

        Raises:
            DataError: some are not; the text names the first.
        """
        missing = [path for path in self.paths if not Path(path).is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(self)} pictures are missing, such as {missing[0]}; give "
                "their folder with --images"
            )


#: Pictures below which a part says nothing.
_FEW = 4
