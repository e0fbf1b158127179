"""Sine and cosine encodings of positions, on a line or in a plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poise.errors import ArgumentError, ConfigError

__all__ = ["SinePositionalEncoding"]


class SinePositionalEncoding(nn.Module):
    """Cosines and sines of a position at geometrically spaced frequencies.

    Vaswani 2017, section 3.5; as RTMO and RTMPose's hybrid encoder use it.

    Args:
        out_channels: channels of the encoding (for each axis in a plane), even.
        spatial_dim: 1 for positions on a line, 2 for positions in a plane.
        temperature: period of the slowest wave over that of the fastest.
        learnable: train the frequencies.
        eval_size: size for which the encoding is computed once and kept.

    Raises:
        ConfigError: odd `out_channels` or a temperature that is not positive.
    """

    dim_t: Tensor

    def __init__(
        self,
        out_channels: int,
        spatial_dim: int = 1,
        temperature: float = 1e5,
        learnable: bool = False,
        eval_size: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if out_channels % 2 or temperature <= 0:
            raise ConfigError(
                "SinePositionalEncoding needs an even out_channels and a positive temperature, "
                f"got {out_channels} and {temperature}"
            )
        if spatial_dim not in (1, 2):
            raise ConfigError(f"spatial_dim should be 1 or 2, got {spatial_dim}")
        self.spatial_dim = spatial_dim
        self.out_channels = out_channels
        self.temperature = temperature
        self.eval_size = eval_size
        self.learnable = learnable
        half = out_channels // 2
        periods = temperature ** (torch.arange(half, dtype=torch.float32) / half)
        if learnable:
            self.dim_t = nn.Parameter(periods)
        else:
            self.register_buffer("dim_t", periods)
        if eval_size:
            kept = self.generate_pos_encoding(size=eval_size)
            self.register_buffer(self._kept_name(eval_size), kept)

    @staticmethod
    def _kept_name(size: int | Sequence[int]) -> str:
        # released files have the size in the name, as Python prints a tuple
        return f"pos_enc_{size if isinstance(size, int) else tuple(size)}"

    def forward(
        self, size: int | Sequence[int] | None = None, position: Tensor | None = None
    ) -> Tensor:
        """Encode; see `generate_pos_encoding`."""
        return self.generate_pos_encoding(size, position)

    def generate_pos_encoding(
        self, size: int | Sequence[int] | None = None, position: Tensor | None = None
    ) -> Tensor:
        """Encoding of all positions of a grid, or of given positions.

        Args:
            size: length, or (height, width) in a plane.
            position: (...) on a line, (..., 2) as (y, x) in a plane.

        Returns:
            (..., C) on a line, (..., C, 2) in a plane.

        Raises:
            ArgumentError: both arguments or none.
        """
        if size is not None and position is None:
            kept = getattr(self, self._kept_name(size), None)
            if kept is not None and not (self.learnable and self.training):
                return kept
            position = self._grid(size)
        elif size is not None or position is None:
            raise ArgumentError("give `size` or `position`, one of them")
        if self.spatial_dim == 1:
            return self._waves(position)
        return torch.stack([self._waves(axis) for axis in position.unbind(dim=-1)], dim=-1)

    def _grid(self, size: int | Sequence[int]) -> Tensor:
        """Positions (L,) on a line, (H * W, 2) in a plane."""
        sides = [size] * self.spatial_dim if isinstance(size, (int, float)) else list(size)
        axes = [
            torch.arange(int(side), dtype=torch.float32, device=self.dim_t.device)
            for side in sides[: self.spatial_dim]
        ]
        if self.spatial_dim == 1:
            return axes[0]
        return torch.cartesian_prod(*axes)

    def _waves(self, position: Tensor) -> Tensor:
        angle = position.unsqueeze(-1) / self.dim_t
        return torch.cat((angle.cos(), angle.sin()), dim=-1)

    @staticmethod
    def apply_additional_pos_enc(feature: Tensor, pos_enc: Tensor, spatial_dim: int = 1) -> Tensor:
        """Features (..., L, C) plus an encoding (L, C), or (L, C / 2, 2) in a plane."""
        return feature + (pos_enc.flatten(-2) if spatial_dim == 2 else pos_enc)

    @staticmethod
    def apply_rotary_pos_enc(feature: Tensor, pos_enc: Tensor, spatial_dim: int = 1) -> Tensor:
        """Features (..., L, C) turned by the angles of an encoding (L, C), or (L, C, 2)."""
        first, second = feature.chunk(2, dim=-1)
        if spatial_dim == 1:
            cos, sin = pos_enc.chunk(2, dim=-1)
            return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
        by_y, by_x = pos_enc.unbind(dim=-1)
        cos_y, sin_y = by_y.chunk(2, dim=-1)
        cos_x, sin_x = by_x.chunk(2, dim=-1)
        return torch.cat((first * cos_y - second * sin_y, first * cos_x + second * sin_x), dim=-1)
