"""The caller's boxes, picture by picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from poise.errors import DataError
from poise.inference.boxes.files import Boxes, BoxFile, parse_boxes, read_boxes
from poise.inference.sources.frame import Frame, Source

__all__ = ["GivenBoxes"]


class GivenBoxes:
    """The caller's boxes of the n-th picture or frame, whichever form they came in.

    Args:
        boxes: see `Inferencer.predict`; not None.
        count: pictures there are, where known before they are read.

    Raises:
        DataError: boxes for another number of pictures, or something else.
    """

    def __init__(self, boxes: Any, count: int | None) -> None:
        self._by_name: BoxFile | None = None
        self._coming: Iterator[Any] | None = None
        self._same: Any = None
        #: those that are there already, to be checked
        self._known: Any = ()
        if isinstance(boxes, (str, os.PathLike)):
            self._by_name = read_boxes(boxes)
        elif isinstance(boxes, Mapping):
            self._by_name = BoxFile(None, dict(boxes))
        elif not hasattr(boxes, "__iter__"):
            raise DataError(
                f"boxes are an array (N, 4), a list with one a picture, a dict, a file or an "
                f"iterator; got {boxes!r}"
            )
        elif not isinstance(boxes, (list, tuple, np.ndarray)):
            # an iterator, such as the detections of another program
            self._coming = iter(boxes)
        elif count is None and not _is_nested(boxes):
            self._same, self._known = boxes, [boxes]
        else:
            self._known = [boxes] if count == 1 and not _is_nested(boxes) else boxes
            if count is not None and len(self._known) != count:
                raise DataError(
                    f"there are {count} pictures and boxes for {len(boxes)}; give one array "
                    f"(N, 4) a picture, empty where nobody is"
                )
            self._coming = iter(self._known)

    def check(self, sources: Iterable[Source]) -> None:
        """Raise now what `of` would raise, as far as it is known before pictures are read.

        Args:
            sources: all there are.

        Raises:
            DataError: wrong boxes, or none for one of the sources.
        """
        for number, rows in enumerate(self._known):
            one = len(self._known) == 1
            parse_boxes(rows, where="boxes" if one else f"boxes of picture or frame {number}")
        if self._by_name is not None:
            for source in sources:
                found = self._by_name.required(source.info.name)
                nested = source.info.moves and _is_nested(found)
                for rows in found if nested else [found]:
                    parse_boxes(rows, where=f"boxes of {source.info.name}")

    def of(self, frame: Frame, where: str) -> Boxes:
        """Boxes of a picture; call it once for each, in order.

        Args:
            frame: the picture.
            where: for error texts.

        Raises:
            DataError: wrong boxes, or none for this picture.
        """
        return parse_boxes(self._raw(frame, where), where=f"boxes of {where}")

    def _raw(self, frame: Frame, where: str) -> Any:
        if self._same is not None:
            return self._same
        if self._coming is not None:
            found = next(self._coming, _NONE_LEFT)
            if found is _NONE_LEFT:
                raise DataError(f"there are no boxes left for {where}; give one array a frame")
            return found
        assert self._by_name is not None
        found = self._by_name.required(frame.source.name)
        if not frame.source.moves or not _is_nested(found):
            return found
        if frame.index >= len(found):
            raise DataError(
                f"{self._by_name.describe()} has boxes for {len(found)} frames of "
                f"'{frame.source.name}', none for frame {frame.index}"
            )
        return found[frame.index]


_NONE_LEFT = object()


def _is_nested(boxes: Any) -> bool:
    """Whether boxes are a list with one array a picture rather than the array itself."""
    return len(boxes) > 0 and (np.ndim(boxes[0]) == 2 or np.size(boxes[0]) == 0)
