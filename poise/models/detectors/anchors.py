"""Anchors: boxes of several sizes and shapes at every cell, and how networks move them.

Ren 2015, "Faster R-CNN", arXiv 1506.01497, section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.registry import TASK_UTILS

__all__ = [
    "AnchorGenerator",
    "DeltaXYWHBBoxCoder",
    "SSDAnchorGenerator",
    "YOLOAnchorGenerator",
    "YOLOBBoxCoder",
]

#: a box may become this many times as wide or high, or narrow or low
MOST_GROWTH = 1000 / 16


class _Anchors:
    """The same boxes at every cell of several feature maps.

    Args:
        strides: of each map, one number or (x, y), in pixels.
        base_anchors: of each map (A, 4) xyxy, those of its first cell; input space.
    """

    def __init__(
        self, strides: Sequence[int | tuple[int, int]], base_anchors: Sequence[Tensor]
    ) -> None:
        self.strides = _pairs(strides)
        self.base_anchors = list(base_anchors)

    @property
    def num_levels(self) -> int:
        """Number of feature maps."""
        return len(self.strides)

    @property
    def num_base_priors(self) -> list[int]:
        """Boxes a cell, of each map."""
        return [len(anchors) for anchors in self.base_anchors]

    def grid_priors(
        self,
        featmap_sizes: Sequence[Sequence[int]],
        dtype: torch.dtype = torch.float32,
        device: Any = "cuda",
    ) -> list[Tensor]:
        """Boxes of each map, (H * W * A, 4) xyxy, row by row, those of a cell together.

        Args:
            featmap_sizes: (height, width) of each map.
            dtype: of the boxes.
            device: of the boxes.

        Raises:
            ConfigError: another number of maps than strides.
        """
        if len(featmap_sizes) != self.num_levels:
            raise ConfigError(
                f"{type(self).__name__} has {self.num_levels} strides, but {len(featmap_sizes)} "
                "feature maps came; the neck and anchor_generator.strides should agree"
            )
        grids = []
        for (height, width), stride, anchors in zip(
            featmap_sizes, self.strides, self.base_anchors, strict=True
        ):
            xs, ys = (
                torch.arange(length, device=device).to(dtype) * step
                for length, step in zip((width, height), stride, strict=True)
            )
            y, x = torch.meshgrid(ys, xs, indexing="ij")
            cells = torch.stack([x, y, x, y], dim=-1)
            grids.append((cells[:, :, None] + anchors.to(device, dtype)).reshape(-1, 4))
        return grids


@TASK_UTILS.register_module(scope="mmdet")
class AnchorGenerator(_Anchors):
    """Boxes of all scales and all ratios of height to width, around the corner of a cell.

    Args:
        strides: of each map, one number or (x, y), in pixels.
        ratios: of height to width.
        scales: sides in parts of the base size; or None, with the next two.
        base_sizes: of each map, in pixels; None: its stride.
        scale_major: the scales of one ratio come one after the other.
        octave_base_scale, scales_per_octave: smallest scale, and how many there are until twice it.
        centers: (x, y) of the boxes of each map's first cell; None: by `center_offset`.
        center_offset: in base sizes.
        use_box_type: kept for configs; boxes are tensors.

    Raises:
        ConfigError: scales that are not said, or said twice.
    """

    def __init__(
        self,
        strides: Sequence[int | tuple[int, int]],
        ratios: Sequence[float],
        scales: Sequence[float] | None = None,
        base_sizes: Sequence[float] | None = None,
        scale_major: bool = True,
        octave_base_scale: float | None = None,
        scales_per_octave: int | None = None,
        centers: Sequence[tuple[float, float]] | None = None,
        center_offset: float = 0.0,
        use_box_type: bool = False,
    ) -> None:
        by_octave = octave_base_scale is not None and scales_per_octave is not None
        if (scales is not None) == by_octave:
            raise ConfigError(
                "AnchorGenerator takes `scales`, or `octave_base_scale` and `scales_per_octave`"
            )
        if octave_base_scale is not None and scales_per_octave is not None:
            steps = range(scales_per_octave)
            scales = [2 ** (i / scales_per_octave) * octave_base_scale for i in steps]
        sizes = base_sizes or [min(pair) for pair in _pairs(strides)]
        places = centers or [(center_offset * size,) * 2 for size in sizes]
        shapes = torch.tensor(ratios, dtype=torch.float32), torch.tensor(scales).float()
        super().__init__(
            strides,
            [
                _boxes_around(place, *_sides(size, *shapes, scale_major=scale_major))
                for size, place in zip(sizes, places, strict=True)
            ],
        )


@TASK_UTILS.register_module(scope="mmdet")
class SSDAnchorGenerator(_Anchors):
    """Boxes of SSD: each map has its own sizes and shapes (Liu 2016, arXiv 1512.02325, 2.2).

    Args:
        strides: of each map, one number or (x, y), in pixels.
        ratios: of each map; their inverses are added, and 1.
        min_sizes, max_sizes: of each map, in pixels: a square of the one, and one between both.
        basesize_ratio_range, input_size: kept for configs; sizes are given.
        scale_major: as `AnchorGenerator`.
        use_box_type: kept for configs; boxes are tensors.

    Raises:
        ConfigError: no sizes; SSD300 and SSD512, which derive them, are not here.
    """

    def __init__(
        self,
        strides: Sequence[int | tuple[int, int]],
        ratios: Sequence[Sequence[float]],
        min_sizes: Sequence[float] | None = None,
        max_sizes: Sequence[float] | None = None,
        basesize_ratio_range: tuple[float, float] = (0.15, 0.9),
        input_size: int = 300,
        scale_major: bool = True,
        use_box_type: bool = False,
    ) -> None:
        if min_sizes is None or max_sizes is None:
            raise ConfigError(
                "SSDAnchorGenerator takes the sizes that SSDLite's configs say: expected min_sizes "
                f"and max_sizes, got {min_sizes} and {max_sizes}"
            )
        anchors = []
        pairs = _pairs(strides)
        for stride, own, small, large in zip(pairs, ratios, min_sizes, max_sizes, strict=True):
            shapes = torch.tensor([1.0, *(r for ratio in own for r in (1 / ratio, ratio))])
            scales = torch.tensor([1.0, math.sqrt(large / small)])
            sides = _sides(small, shapes, scales, scale_major=scale_major)
            boxes = _boxes_around((stride[0] / 2, stride[1] / 2), *sides)
            # of the second scale there is the square alone, beside the first one
            count = len(shapes)
            anchors.append(boxes[[0, count, *range(1, count)]])
        super().__init__(strides, anchors)


@TASK_UTILS.register_module(scope="mmdet")
class YOLOAnchorGenerator(_Anchors):
    """Boxes of given sizes around the middle of a cell (Redmon 2018, arXiv 1804.02767).

    Args:
        strides: of each map, one number or (x, y), in pixels.
        base_sizes: of each map, (width, height) of its boxes in pixels.
        use_box_type: kept for configs; boxes are tensors.
    """

    def __init__(
        self,
        strides: Sequence[int | tuple[int, int]],
        base_sizes: Sequence[Sequence[tuple[int, int]]],
        use_box_type: bool = False,
    ) -> None:
        anchors = []
        for stride, sizes in zip(_pairs(strides), base_sizes, strict=True):
            widths, heights = torch.tensor(sizes, dtype=torch.float32).unbind(1)
            anchors.append(_boxes_around((stride[0] / 2, stride[1] / 2), widths, heights))
        super().__init__(strides, anchors)


def _pairs(strides: Sequence[int | tuple[int, int]]) -> list[tuple[int, int]]:
    return [(s, s) if isinstance(s, (int, float)) else (s[0], s[1]) for s in strides]


def _sides(
    size: float, ratios: Tensor, scales: Tensor, *, scale_major: bool
) -> tuple[Tensor, Tensor]:
    """Widths and heights (R * S,) of boxes as large as a square."""
    roots = ratios.sqrt()
    shapes = 1 / roots, roots
    if scale_major:
        widths, heights = (size * shape[:, None] * scales for shape in shapes)
    else:
        widths, heights = (size * scales[:, None] * shape for shape in shapes)
    return widths.flatten(), heights.flatten()


def _boxes_around(center: Sequence[float], widths: Tensor, heights: Tensor) -> Tensor:
    """Boxes (A, 4) xyxy."""
    half = torch.stack([widths, heights], dim=-1) / 2
    middle = torch.tensor(center)
    return torch.cat([middle - half, middle + half], dim=-1)


@TASK_UTILS.register_module(scope="mmdet")
class DeltaXYWHBBoxCoder:
    """Boxes by the way of their centre and the growth of their sides (Girshick 2014, R-CNN).

    Args:
        target_means, target_stds: what the four outputs were normalised by in training.
        clip_border: cut boxes at the borders of the picture.
        add_ctr_clamp: let centres go no further than `ctr_clamp` pixels.
        ctr_clamp: that way.
        use_box_type: kept for configs; boxes are tensors.
    """

    encode_size = 4

    def __init__(
        self,
        target_means: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
        target_stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        clip_border: bool = True,
        add_ctr_clamp: bool = False,
        ctr_clamp: int = 32,
        use_box_type: bool = False,
    ) -> None:
        self.means, self.stds = target_means, target_stds
        self.clip_border = clip_border
        self.most_way = ctr_clamp if add_ctr_clamp else None

    def decode(
        self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Sequence[int] | None = None
    ) -> Tensor:
        """Boxes (..., 4) xyxy.

        Args:
            bboxes: (..., 4) xyxy that are moved.
            pred_bboxes: (..., 4): way of the centre in sides of the box, logarithms of growth.
            max_shape: (height, width) that boxes are cut at.
        """
        moves = pred_bboxes * pred_bboxes.new_tensor(self.stds) + pred_bboxes.new_tensor(self.means)
        low, high = bboxes[..., :2], bboxes[..., 2:]
        sides = high - low
        way, growth = sides * moves[..., :2], moves[..., 2:]
        most = math.log(MOST_GROWTH)
        if self.most_way is None:
            growth = growth.clamp(-most, most)
        else:
            way, growth = way.clamp(-self.most_way, self.most_way), growth.clamp(max=most)
        center, half = (low + high) / 2 + way, sides * growth.exp() / 2
        boxes = torch.cat([center - half, center + half], dim=-1)
        if max_shape is None or not self.clip_border:
            return boxes
        height, width = max_shape[:2]
        limit = boxes.new_tensor([width, height, width, height])
        return boxes.clamp(min=boxes.new_zeros(4), max=limit)


@TASK_UTILS.register_module(scope="mmdet")
class YOLOBBoxCoder:
    """Boxes by the place of their centre in a cell and the growth of their sides.

    Args:
        eps: kept for configs; it is about training.
        use_box_type: kept for configs; boxes are tensors.
    """

    def __init__(self, eps: float = 1e-6, use_box_type: bool = False) -> None:
        self.eps = eps

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, stride: Tensor | int) -> Tensor:
        """Boxes (..., 4) xyxy.

        Args:
            bboxes: (..., 4) xyxy, anchors.
            pred_bboxes: (..., 4): place of the centre in the cell, 0 to 1; logarithms of growth.
            stride: of the cell, pixels; (..., 1) or one number.
        """
        low, high = bboxes[..., :2], bboxes[..., 2:]
        center = (low + high) / 2 + (pred_bboxes[..., :2] - 0.5) * stride
        half = (high - low) / 2 * pred_bboxes[..., 2:].exp()
        return torch.cat([center - half, center + half], dim=-1)
