"""Codecs of released models, with the sizes that follow from the input."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree

__all__ = ["feature_size", "integral", "megvii", "msra", "regression", "simcc", "udp"]

Size = tuple[int, int]


def feature_size(size: Size, stride: int) -> Size:
    """Width and height of a map that has one pixel for `stride` input pixels a side."""
    return size[0] // stride, size[1] // stride


def _sigma(size: Size) -> int:
    """Standard deviation of a heatmap's peak in its pixels, by the input height."""
    return 3 if size[1] >= 384 else 2


def msra(size: Size, stride: int = 4, sigma: float | None = None, **more: Any) -> Tree:
    """Gaussian heatmaps with rounded centres; `unbiased=True` is DARK."""
    return (
        dict(
            type="MSRAHeatmap",
            input_size=size,
            heatmap_size=feature_size(size, stride),
            sigma=sigma or _sigma(size),
        )
        | more
    )


def udp(size: Size, stride: int = 4, sigma: float | None = None, **more: Any) -> Tree:
    """Unbiased data processing: heatmaps with true centres."""
    return msra(size, stride, sigma, **more) | dict(type="UDPHeatmap")


def megvii(size: Size, kernel_sizes: list[int]) -> list[Tree]:
    """Heatmaps of several levels, coarse to fine, each blurred by a kernel."""
    return [
        dict(
            type="MegviiHeatmap",
            input_size=size,
            heatmap_size=feature_size(size, 4),
            kernel_size=kernel,
        )
        for kernel in kernel_sizes
    ]


def regression(size: Size) -> Tree:
    """Coordinates as shares of the input's width and height."""
    return dict(type="RegressionLabel", input_size=size)


def integral(size: Size) -> Tree:
    """Coordinates, and the heatmap that they are the mean of."""
    return dict(
        type="IntegralRegressionLabel",
        input_size=size,
        heatmap_size=feature_size(size, 4),
        sigma=2.0,
        normalize=True,
    )


def simcc(size: Size, sigma: Any = 6.0, **more: Any) -> Tree:
    """One distribution for x and one for y, of two bins a pixel."""
    return dict(type="SimCCLabel", input_size=size, sigma=sigma, simcc_split_ratio=2.0) | more
