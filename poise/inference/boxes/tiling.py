"""Large pictures in parts: where the parts are, and one answer of what was found in them.

A network shrinks what it sees to some hundred pixels; people of 30 pixels in a picture of 4000 are
gone then. In overlapping tiles they are not (SAHI: Akyon et al., ICIP 2022, arXiv:2202.06934).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from poise.errors import ArgumentError, DataError
from poise.geometry.boxes import bbox_overlaps
from poise.geometry.oks import greedy_keep

__all__ = ["OVERLAP", "Tiling", "Views"]

#: Share of its sides that a tile has in common with the next one.
OVERLAP = 0.25
#: Pixels a side of the tiles of "auto": what most detectors look at without shrinking it.
AUTO_SIDE = 640
#: Pixels a side of the smallest tile; less shows nobody.
LEAST_SIDE = 32
#: Boxes of two views with more in common are of one thing.
SAME = 0.4
#: A box that ends so near at an inner border of its tile was cut there: pixels, share of the tile.
_NEAR_PIXELS, _NEAR_SHARE = 2.0, 0.01
#: One that ends within so much of its own side was perhaps cut: detectors place sides no better.
_PERHAPS_SHARE = 0.08


class Views:
    """The whole picture, and its tiles.

    Args:
        places: (V, 4) int xyxy, image space, the whole picture first.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def crops(self, image: np.ndarray) -> list[np.ndarray]:
        """What each view shows of a picture (H, W, 3), without a copy."""
        return [image[y1:y2, x1:x2] for x1, y1, x2, y2 in self.places.tolist()]

    def joined(self, found: Sequence[np.ndarray]) -> np.ndarray:
        """Boxes of the picture of those of its views: everybody once.

        Boxes of one view never rule each other out, for whoever found them has seen to that. Of
        what two views show, one that is whole stays before one that is cut by a border, then the
        surer one; of a thing that no view has whole, the parts make one box.

        Args:
            found: of each view (N, 5) or (N, 6) float32: xyxy in pixels of the view, score, and
                perhaps a category.

        Returns:
            (M, 5) or (M, 6) float32, image space, best first.
        """
        owners = np.repeat(np.arange(len(found)), [len(boxes) for boxes in found])
        if not len(owners):
            return found[0]
        rows = np.concatenate([boxes for boxes in found if len(boxes)])
        rows[:, :4] += np.tile(self.places[owners, :2], 2)
        parts = _Parts(
            np.ascontiguousarray(rows[:, :4]),
            owners,
            rows[:, 5] if rows.shape[1] > 5 else None,
            self._cut(rows[:, :4], owners),
        )
        kept = parts.settled(rows[:, 4])
        rows[:, :4] = parts.together(kept)
        return rows[kept[np.argsort(-rows[kept, 4], kind="stable")]]

    def kept(self, boxes: np.ndarray, scores: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """Which of the boxes stay, as `joined` has it; (M,) indices, whole ones first.

        Args:
            boxes: (N, 4) xyxy, image space. scores: (N,). owners: (N,) view that shows each.
        """
        return _Parts(boxes, owners, None, self._cut(boxes, owners)).settled(scores)

    def _cut(self, boxes: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """(N,) whether a box ends where its tile does and the picture does not.

        One that ends a little before counts where another view says so: with a box that goes on
        past that border, and of which this tile would show the same.
        """
        tiles = self.places[owners]
        inner = tiles != self.places[0]
        sides = tiles[:, 2:] - tiles[:, :2]
        inside = np.concatenate((boxes[:, :2] - tiles[:, :2], tiles[:, 2:] - boxes[:, 2:]), 1)
        near = np.maximum(_NEAR_PIXELS, _NEAR_SHARE * sides)
        cut = ((inside <= np.tile(near, 2)) & inner).any(1)
        perhaps = (inside <= _PERHAPS_SHARE * np.tile(boxes[:, 2:] - boxes[:, :2], 2)) & inner
        rows, whole = np.flatnonzero(perhaps.any(1) & ~cut), np.flatnonzero(~cut)
        ends, others = tiles[rows, None], boxes[None, whole]
        past = np.concatenate((others[..., :2] < ends[..., :2], others[..., 2:] > ends[..., 2:]), 2)
        low = np.maximum(others[..., :2], ends[..., :2])
        shown = np.concatenate((low, np.minimum(others[..., 2:], ends[..., 2:])), 2)
        alike = bbox_overlaps(boxes[rows, None], shown)[:, 0] > SAME
        elsewhere = owners[rows, None] != owners[whole]
        cut[rows] = ((past & perhaps[rows, None]).any(2) & alike & elsewhere).any(1)
        return np.asarray(cut)


class _Parts(NamedTuple):
    """Boxes that views show.

    Attributes:
        boxes: (N, 4) xyxy, image space. owners: (N,) view that shows each.
        kinds: (N,) what they are, None where all are of one kind.
        cut: (N,) bool, whether a border of its tile cuts a box.
    """

    boxes: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray | None
    cut: np.ndarray

    def settled(self, scores: np.ndarray) -> np.ndarray:
        """(M,) which boxes stay, whole ones first, of each sort the surest first."""
        order = np.lexsort((-scores, self.cut))
        kept = greedy_keep(len(order), lambda rows: self.same(order[rows])[:, order])
        return np.asarray(order[kept])

    def same(self, chosen: np.ndarray) -> np.ndarray:
        """(R, N) whether a chosen box (R,) and another are of one thing; the same both ways.

        Of a box that is cut, enough lies in the other; two whole ones have enough in common.
        """
        boxes, cut = self.boxes, self.cut
        own_cut = cut[chosen][:, None]
        own = np.where(own_cut, bbox_overlaps(boxes[chosen], boxes, "iof"), 0)
        others = np.where(cut, bbox_overlaps(boxes, boxes[chosen], "iof").T, 0)
        both_whole = np.where(own_cut | cut, 0, bbox_overlaps(boxes[chosen], boxes))
        same = np.maximum(np.maximum(own, others), both_whole) > SAME
        same &= self.owners[chosen][:, None] != self.owners
        if self.kinds is not None:
            same &= self.kinds[chosen][:, None] == self.kinds
        return same

    def together(self, kept: np.ndarray) -> np.ndarray:
        """(N, 4) boxes, those of kept ones that are cut around all parts of their things."""
        boxes = self.boxes.copy()
        stays = np.zeros(len(boxes), bool)
        stays[kept] = True
        first, rest = kept[self.cut[kept]], np.flatnonzero(self.cut & ~stays)
        # parts of a thing that is whole somewhere belong to that
        rest = rest[~self.same(rest)[:, stays & ~self.cut].any(1)]
        for index, parts in zip(first.tolist(), self.same(first)[:, rest], strict=True):
            own = self.boxes[np.append(rest[parts], index)]
            boxes[index] = *own[:, :2].min(0), *own[:, 2:].max(0)
        return boxes


class Tiling:
    """How pictures are cut into tiles.

    Args:
        tiles: columns and rows, (3, 2) or "3x2"; pixels a side that a tile has at most, 800 or
            "800", so that small pictures are not cut; or "auto", which is 640 pixels.
        overlap: share of its sides that a tile has in common with the next one, 0 to below 1. What
            is wider than that and is cut by a border, is put together again.

    Raises:
        ArgumentError: none of these.
    """

    def __init__(self, tiles: Any = "auto", *, overlap: float = OVERLAP) -> None:
        number = isinstance(overlap, (int, float, np.number))
        if not number or not 0 <= overlap < 1:
            raise ArgumentError(f"overlap of tiles is a number from 0 to below 1, got {overlap!r}")
        self.overlap = float(overlap)
        self._grid, self._side = _parsed(tiles)

    def __str__(self) -> str:
        if self._grid is not None:
            return f"{self._grid[0]}x{self._grid[1]} tiles"
        return f"tiles of {self._side} pixels"

    def views(self, shape: Sequence[int]) -> Views:
        """The whole of a picture and its tiles, or the whole alone where one tile would hold it.

        Args:
            shape: (height, width, ...) of the picture.

        Raises:
            DataError: the tiles would be too small to show anybody.
        """
        height, width = shape[:2]
        columns, rows = self._grid or (self._count(width), self._count(height))
        x, y = (self._spans(*span) for span in ((width, columns), (height, rows)))
        whole = [0, 0, width, height]
        if columns * rows == 1:
            return Views(np.array([whole]))
        wide, high = (int(spans[0, 1] - spans[0, 0]) for spans in (x, y))
        if min(wide, high) < LEAST_SIDE:
            raise DataError(
                f"{self} of a picture of {width} x {height} pixels would be {wide} x {high} "
                f"pixels, expected at least {LEAST_SIDE}; ask for fewer tiles, or 'auto'"
            )
        tiles = [[x1, y1, x2, y2] for y1, y2 in y.tolist() for x1, x2 in x.tolist()]
        return Views(np.array([whole, *tiles]))

    def _count(self, length: int) -> int:
        """Tiles that a side of the picture needs."""
        step = self._side * (1 - self.overlap)
        return max(1, math.ceil((length - self._side) / step) + 1)

    def _spans(self, length: int, count: int) -> np.ndarray:
        """(count, 2) begin and end of tiles of one size that cover a length evenly."""
        side = min(length, math.ceil(length / (count - (count - 1) * self.overlap)))
        begin = np.linspace(0, length - side, count).round().astype(np.int64)
        return np.stack((begin, begin + side), 1)


def _parsed(tiles: Any) -> tuple[tuple[int, int] | None, int]:
    """(columns, rows) or None, and pixels a side."""
    text = "x".join(map(str, tiles)) if isinstance(tiles, (tuple, list)) else str(tiles).strip()
    if text == "auto":
        return None, AUTO_SIDE
    numbers = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    if numbers is None:
        raise ArgumentError(
            "tiles are columns x rows such as 3x2, pixels a side such as 640, or auto; "
            f"got {tiles!r}"
        )
    first, second = int(numbers[1]), numbers[2]
    if second is not None:
        if not first or not int(second):
            raise ArgumentError(f"tiles have at least one column and one row, got {text}")
        return (first, int(second)), 0
    if first < LEAST_SIDE:
        raise ArgumentError(f"a side of a tile has at least {LEAST_SIDE} pixels, got {first}")
    return None, first
