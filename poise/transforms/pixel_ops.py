"""The pixel operators that pose configs take from albumentations, built in.

Parameters, defaults, draws and pixels are those of albumentations before 1.4, which later
versions renamed or changed. Numbers come from Python's `random`, as there.

Each operator is a config-like object: `op(image, force=False)` draws whether and how, then
applies. `draw(image)` gives the parameters of one application, `apply(image, ...)` uses them.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, DataError

__all__ = [
    "NATIVE_OPERATORS",
    "Blur",
    "CoarseDropout",
    "GridDropout",
    "MedianBlur",
    "OneOf",
    "PixelOperator",
]

#: One rectangle x1, y1, x2, y2 in pixels, the last ones outside.
Hole = tuple[int, int, int, int]

SMALLEST_KERNEL = 3


class PixelOperator(ABC):
    """A random change of pixels that moves nothing.

    Args:
        always_apply: apply whatever `p` says.
        p: how often it is applied.
    """

    def __init__(self, always_apply: bool = False, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p is a probability in 0..1, got {p}")
        self.always_apply = always_apply
        self.p = p

    def __call__(self, image: np.ndarray, force: bool = False) -> np.ndarray:
        """A changed copy of `image` (H, W, C), or `image` itself."""
        # the draw comes first: the stream of numbers must not depend on the flags
        if random.random() < self.p or self.always_apply or force:
            return self.apply(image, *self.draw(image))
        return image

    @abstractmethod
    def draw(self, image: np.ndarray) -> tuple[Any, ...]:
        """Random parameters for `apply`."""

    @abstractmethod
    def apply(self, image: np.ndarray, *drawn: Any) -> np.ndarray:
        """A changed copy of an image (H, W, C)."""


class Blur(PixelOperator):
    """Mean over a square of random odd size.

    Args:
        blur_limit: largest kernel size, or (smallest, largest), pixels.
        always_apply, p: see `PixelOperator`.
    """

    def __init__(
        self, blur_limit: int | Sequence[int] = 7, always_apply: bool = False, p: float = 0.5
    ) -> None:
        super().__init__(always_apply, p)
        limits = (SMALLEST_KERNEL, blur_limit) if isinstance(blur_limit, int) else blur_limit
        self.blur_limit = (min(limits), max(limits))

    def draw(self, image: np.ndarray) -> tuple[int]:
        """Kernel size."""
        low, high = self.blur_limit
        return (random.choice(range(low, high + 1, 2)),)

    def apply(self, image: np.ndarray, *drawn: Any) -> np.ndarray:
        """Blur with the drawn kernel size."""
        (size,) = drawn
        return cv2.blur(image, (size, size)).reshape(image.shape)


class MedianBlur(Blur):
    """Median over a square of random odd size.

    Args:
        blur_limit: largest kernel size, or (smallest, largest), pixels, odd.
        always_apply, p: see `PixelOperator`.

    Raises:
        ArgumentError: an even kernel size.
    """

    def __init__(
        self, blur_limit: int | Sequence[int] = 7, always_apply: bool = False, p: float = 0.5
    ) -> None:
        super().__init__(blur_limit, always_apply, p)
        if any(n % 2 == 0 for n in self.blur_limit):
            raise ArgumentError(f"MedianBlur: blur_limit must be odd, got {blur_limit}")

    def apply(self, image: np.ndarray, *drawn: Any) -> np.ndarray:
        """Blur with the drawn kernel size."""
        (size,) = drawn
        if image.dtype == np.float32 and size > 5:
            raise DataError(
                f"OpenCV's median of a float32 picture takes kernels of 3 or 5, got {size}; set "
                "blur_limit=5 or leave to_float32 off"
            )
        return cv2.medianBlur(image, size).reshape(image.shape)


class _Dropout(PixelOperator):
    """Paints rectangles; subclasses say where."""

    fill_value: Any

    def apply(self, image: np.ndarray, *drawn: Any) -> np.ndarray:
        """Paint the drawn holes with `fill_value`."""
        painted = image.copy()
        for x1, y1, x2, y2 in drawn:
            painted[y1:y2, x1:x2] = self.fill_value
        return painted


class CoarseDropout(_Dropout):
    """Paint a few random rectangles over the picture (DeVries & Taylor, Cutout, 2017).

    Args:
        max_holes, min_holes: how many.
        max_height, max_width, min_height, min_width: their sizes: whole numbers are pixels,
            fractions are parts of the picture's height and width. The smallest default to the
            largest.
        fill_value: colour, one number or one a channel.
        mask_fill_value: accepted; there are no masks here.
        always_apply, p: see `PixelOperator`.

    Raises:
        ArgumentError: a smallest above its largest, or pixels mixed with fractions.
    """

    def __init__(
        self,
        max_holes: int = 8,
        max_height: float = 8,
        max_width: float = 8,
        min_holes: int | None = None,
        min_height: float | None = None,
        min_width: float | None = None,
        fill_value: float | Sequence[float] = 0,
        mask_fill_value: float | Sequence[float] | None = None,
        always_apply: bool = False,
        p: float = 0.5,
    ) -> None:
        super().__init__(always_apply, p)
        self.holes = _limits("holes", min_holes, max_holes)
        self.height = _limits("height", min_height, max_height)
        self.width = _limits("width", min_width, max_width)
        sizes = (*self.height, *self.width)
        self.relative = isinstance(sizes[0], float)
        if any(isinstance(n, float) != self.relative for n in sizes):
            raise ArgumentError(
                f"CoarseDropout: heights and widths must all be pixels (whole numbers) or all "
                f"parts of the picture (fractions), got {sizes}"
            )
        if self.relative and max(sizes) >= 1:
            raise ArgumentError(
                f"CoarseDropout: fractions of the picture must be below 1, got {max(sizes)}"
            )
        self.fill_value = fill_value
        self.mask_fill_value = mask_fill_value

    def draw(self, image: np.ndarray) -> tuple[Hole, ...]:
        """Rectangles x1, y1, x2, y2."""
        height, width = image.shape[:2]
        holes = []
        for _ in range(random.randint(*self.holes)):
            if self.relative:
                tall = int(height * random.uniform(*self.height))
                wide = int(width * random.uniform(*self.width))
            else:
                tall = random.randint(*self.height)
                wide = random.randint(*self.width)
            if tall > height or wide > width:
                raise DataError(
                    f"CoarseDropout: a hole of {wide}x{tall} does not fit a picture of "
                    f"{width}x{height}; lower max_width and max_height"
                )
            top = random.randint(0, height - tall)
            left = random.randint(0, width - wide)
            holes.append((left, top, left + wide, top + tall))
        return tuple(holes)


def _limits(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    low = high if low is None else low
    if not 0 < low <= high:
        raise ArgumentError(
            f"CoarseDropout: min_{name} must be above 0 and not above max_{name}, "
            f"got {low} and {high}"
        )
    return low, high


class GridDropout(_Dropout):
    """Paint a regular grid of rectangles (Chen et al., GridMask, 2020).

    Args:
        ratio: hole size as part of the grid's unit.
        unit_size_min, unit_size_max: limits of the unit, pixels. Draws come from
            unit_size_min..unit_size_max + 1, as in albumentations.
        holes_number_x, holes_number_y: number of units instead of their size; without either a
            unit is a tenth of the width.
        shift_x, shift_y: where the grid starts, pixels.
        random_offset: draw where the grid starts.
        fill_value: colour.
        mask_fill_value: accepted; there are no masks here.
        always_apply, p: see `PixelOperator`.

    Raises:
        ArgumentError: `ratio` outside 0..1, or unit sizes that do not fit each other.
        DataError: units larger than the picture.
    """

    def __init__(
        self,
        ratio: float = 0.5,
        unit_size_min: int | None = None,
        unit_size_max: int | None = None,
        holes_number_x: int | None = None,
        holes_number_y: int | None = None,
        shift_x: int | None = 0,
        shift_y: int | None = 0,
        random_offset: bool = False,
        fill_value: float | Sequence[float] = 0,
        mask_fill_value: float | Sequence[float] | None = None,
        always_apply: bool = False,
        p: float = 0.5,
    ) -> None:
        super().__init__(always_apply, p)
        if not 0 < ratio <= 1:
            raise ArgumentError(f"GridDropout: ratio must be in 0..1, got {ratio}")
        if unit_size_min and unit_size_max and not 2 <= unit_size_min <= unit_size_max:
            raise ArgumentError(
                "GridDropout: unit_size_min must be at least 2 and not above unit_size_max, "
                f"got {unit_size_min} and {unit_size_max}"
            )
        self.ratio = ratio
        self.unit_sizes = (unit_size_min, unit_size_max)
        self.holes_number = (holes_number_x, holes_number_y)
        self.shift = (shift_x, shift_y)
        self.random_offset = random_offset
        self.fill_value = fill_value
        self.mask_fill_value = mask_fill_value

    def draw(self, image: np.ndarray) -> tuple[Hole, ...]:
        """Rectangles x1, y1, x2, y2."""
        size = (image.shape[1], image.shape[0])
        unit = self._unit(*size)
        # a hole is at least one pixel and leaves at least one
        hole = [min(max(int(u * self.ratio), 1), u - 1) for u in unit]
        rest = [u - h for u, h in zip(unit, hole, strict=True)]
        if self.random_offset:
            start = [random.randint(0, r) for r in rest]
        else:
            start = [min(max(0, s or 0), r) for s, r in zip(self.shift, rest, strict=True)]
        spans = [
            [(min(first + u * i, n), min(min(first + u * i, n) + h, n)) for i in range(n // u + 1)]
            for first, u, h, n in zip(start, unit, hole, size, strict=True)
        ]
        return tuple((x1, y1, x2, y2) for x1, x2 in spans[0] for y1, y2 in spans[1])

    def _unit(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the grid's unit."""
        low, high = self.unit_sizes
        if low and high:
            if high > min(width, height):
                raise DataError(
                    f"GridDropout: unit_size_max {high} does not fit a picture of {width}x{height}"
                )
            unit = random.randint(low, high + 1)
            return unit, unit
        columns, rows = self.holes_number
        for number, length, side in ((columns, width, "x"), (rows, height, "y")):
            if number is not None and not 1 <= number <= length // 2:
                raise DataError(
                    f"GridDropout: holes_number_{side} must be in 1..{length // 2} for a "
                    f"picture of {width}x{height}, got {number}"
                )
        unit_x = max(2, width // 10) if columns is None else width // columns
        unit_y = max(min(unit_x, height), 2) if rows is None else height // rows
        return unit_x, unit_y


class OneOf:
    """Apply one of several operators, chosen with their `p` as weights.

    Args:
        transforms: the operators.
        p: how often one is applied.
    """

    def __init__(self, transforms: Sequence[Callable[..., np.ndarray]], p: float = 0.5) -> None:
        if not transforms:
            raise ArgumentError("OneOf needs at least one operator in 'transforms'")
        weights = [t.p for t in transforms]  # type: ignore[attr-defined]
        self.transforms = list(transforms)
        self.weights = [w / sum(weights) for w in weights]
        self.p = p

    def __call__(self, image: np.ndarray, force: bool = False) -> np.ndarray:
        """A changed copy of `image`, or `image` itself."""
        if not force and random.random() >= self.p:
            return image
        # albumentations makes a numpy generator from one draw of Python's
        generator = np.random.RandomState(random.randint(0, (1 << 32) - 1))
        chosen = self.transforms[generator.choice(len(self.transforms), p=self.weights)]
        return chosen(image, force=True)


NATIVE_OPERATORS: dict[str, Callable[..., Any]] = {
    op.__name__: op for op in (Blur, MedianBlur, CoarseDropout, GridDropout, OneOf)
}
"""Name in configs -> operator."""
