"""Grid points of feature maps, the places that dense heads predict from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.registry import TASK_UTILS

__all__ = ["MlvlPointGenerator"]


@TASK_UTILS.register_module()
@TASK_UTILS.register_module(scope="mmdet")
class MlvlPointGenerator:
    """Points of several feature maps, input space.

    Args:
        strides: of each map, one number or (x, y), in pixels.
        offset: of the points in their cell, in strides.
        centralize_points: take the centre of the cell's pixels instead of `offset`.
    """

    def __init__(
        self,
        strides: Sequence[int | tuple[int, int]],
        offset: float = 0.5,
        centralize_points: bool = False,
    ) -> None:
        self.strides = [(s, s) if isinstance(s, (int, float)) else tuple(s) for s in strides]
        self.centralize_points = centralize_points
        self.offset = 0.0 if centralize_points else offset

    @property
    def num_levels(self) -> int:
        """Number of feature maps."""
        return len(self.strides)

    @property
    def num_base_priors(self) -> list[int]:
        """Points a cell, of each map."""
        return [1] * self.num_levels

    def _check_levels(self, featmap_sizes: Sequence[Any]) -> None:
        if len(featmap_sizes) != self.num_levels:
            raise ConfigError(
                f"MlvlPointGenerator has {self.num_levels} strides, but {len(featmap_sizes)} "
                "feature maps came; the neck and prior_generator.strides should agree"
            )

    def grid_priors(
        self,
        featmap_sizes: Sequence[Sequence[int]],
        dtype: torch.dtype = torch.float32,
        device: Any = "cuda",
        with_stride: bool = False,
    ) -> list[Tensor]:
        """Points of each map, (H * W, 2) as (x, y), row by row.

        Args:
            featmap_sizes: (height, width) of each map.
            dtype: of the points.
            device: of the points.
            with_stride: (H * W, 4), with the strides along x and y.

        Raises:
            ConfigError: another number of maps than strides.
        """
        self._check_levels(featmap_sizes)
        return [
            self.single_level_grid_priors(size, level, dtype, device, with_stride)
            for level, size in enumerate(featmap_sizes)
        ]

    def single_level_grid_priors(
        self,
        featmap_size: Sequence[int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Any = "cuda",
        with_stride: bool = False,
    ) -> Tensor:
        """Points of one map; see `grid_priors`."""
        axes = []
        for length, stride in zip(reversed(featmap_size), self.strides[level_idx], strict=True):
            axis = (torch.arange(length, device=device) + self.offset) * stride
            axes.append(axis.to(dtype) + ((stride - 1) / 2 if self.centralize_points else 0))
        xs, ys = axes
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        columns = [grid_x.reshape(-1), grid_y.reshape(-1)]
        if with_stride:
            columns += [torch.full_like(columns[0], s) for s in self.strides[level_idx]]
        return torch.stack(columns, dim=-1)

    def valid_flags(
        self,
        featmap_sizes: Sequence[Sequence[int]],
        pad_shape: Sequence[int],
        device: Any = "cuda",
    ) -> list[Tensor]:
        """Which points of each map lie inside a picture of (height, width) pixels, (H * W,)."""
        self._check_levels(featmap_sizes)
        flags = []
        for (rows, columns), (stride_x, stride_y) in zip(featmap_sizes, self.strides, strict=True):
            inside_y = torch.arange(rows, device=device) < math.ceil(pad_shape[0] / stride_y)
            inside_x = torch.arange(columns, device=device) < math.ceil(pad_shape[1] / stride_x)
            flags.append((inside_y[:, None] & inside_x[None, :]).reshape(-1))
        return flags

    def sparse_priors(
        self,
        prior_idxs: Tensor,
        featmap_size: Sequence[int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Any = "cuda",
    ) -> Tensor:
        """Points (N, 2) of some indices into the rows of one map of (height, width) cells."""
        height, width = featmap_size
        stride_x, stride_y = self.strides[level_idx]
        x = (prior_idxs % width + self.offset) * stride_x
        y = ((prior_idxs // width) % height + self.offset) * stride_y
        return torch.stack([x, y], dim=1).to(device=device, dtype=dtype)
