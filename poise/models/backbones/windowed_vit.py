"""DINOv2 whose layers mostly look within windows of the picture, as RF-DETR has it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.errors import ConfigError, DataError
from poise.models.backbones.vision_transformer import VisionTransformer
from poise.registry import MODELS

__all__ = ["WindowedVisionTransformer"]


@MODELS.register_module(scope="poise")
class WindowedVisionTransformer(VisionTransformer):
    """Patches through attention within windows, and in some layers over the whole picture.

    Robinson 2025, "RF-DETR", arXiv 2511.09554; windows as Li 2022, ViTDet. (B, 3, H, W) -> maps
    (B, C, H / patch, W / patch), a layer each, all through the same last norm. Every window has a
    class token of its own, which the global layers see together.

    Args:
        arch: as of `VisionTransformer`.
        img_size: of the picture that position embeddings are for; another one is interpolated.
        patch_size: side of patches.
        num_windows: windows along each side of the picture.
        out_indices: layers whose output is returned.
        global_layers: layers that look at the whole picture.
        layer_scale_init_value: start of factors per channel.
        **options: others of `VisionTransformer`; there is a class token, and outputs are maps.

    Raises:
        ConfigError: no window, or a global layer that there is not.
    """

    #: MMPose does not have it, so its digits are nobody's reference
    prefers_speed = True

    def __init__(
        self,
        arch: str | dict[str, Any] = "dinov2-small",
        img_size: int | Sequence[int] = 576,
        patch_size: int = 12,
        num_windows: int = 2,
        out_indices: Sequence[int] = (2, 5, 8, 11),
        global_layers: Sequence[int] = (3, 6, 9),
        layer_scale_init_value: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(
            arch,
            img_size,
            patch_size,
            out_indices=out_indices,
            layer_scale_init_value=layer_scale_init_value,
            out_type="featmap",
            **options,
        )
        if num_windows < 1 or not set(global_layers) <= set(range(self.num_layers)):
            raise ConfigError(
                f"num_windows should be 1 or more, and global_layers among the {self.num_layers} "
                f"layers, from 0; got {num_windows} and {list(global_layers)}"
            )
        self.num_windows = num_windows
        self.global_layers = frozenset(global_layers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`.

        Raises:
            DataError: a picture that windows do not divide.
        """
        x, (rows, columns) = self.patch_embed(x)
        count = self.num_windows
        if not torch.jit.is_tracing() and (rows % count or columns % count):
            raise DataError(
                f"{rows} x {columns} patches cannot be divided into {count} x {count} windows; "
                f"sides of the input should be multiples of {self.patch_embed.stride[0] * count}"
            )
        positions = self._positions(rows, columns)
        x = self._into_windows(x + positions[:, 1:], rows, columns)
        assert self.cls_token is not None
        first = self.cls_token + positions[:, :1]
        x = torch.cat((first.expand(x.shape[0], -1, -1), x), dim=1)
        outs = []
        for i, layer in enumerate(self.layers):
            if i > max(self.out_indices):
                break
            x = self._attended(layer, x, whole=i in self.global_layers)
            if i in self.out_indices:
                outs.append(self._out_of_windows(self.ln1(x)[:, 1:], rows, columns))
        return tuple(outs)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings (1, 1 + rows * columns, C) of the class token and a grid."""
        own = self.patch_resolution
        if (rows, columns) == tuple(own):
            return self.pos_embed
        first, patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = patches.transpose(1, 2).unflatten(2, own).float()
        grid = F.interpolate(grid, size=(rows, columns), mode=self.interpolate_mode, antialias=True)
        return torch.cat((first, grid.flatten(2).transpose(1, 2).to(first.dtype)), dim=1)

    def _into_windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """(B, rows * columns, C) -> (B * windows, patches of a window, C)."""
        count, channels = self.num_windows, x.shape[-1]
        high, wide = rows // count, columns // count
        split = x.reshape(-1, high, count, wide, channels).transpose(1, 2)
        return split.reshape(-1, high * wide, channels)

    def _out_of_windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """(B * windows, patches of a window, C) -> (B, C, rows, columns)."""
        count, channels = self.num_windows, x.shape[-1]
        high, wide = rows // count, columns // count
        joined = x.reshape(-1, count, high, wide, channels).transpose(1, 2)
        return joined.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)

    def _attended(self, layer: Any, x: Tensor, *, whole: bool) -> Tensor:
        """Windows (B * windows, L, C) through a layer; of a global one as one sequence."""
        if not whole:
            return layer(x)
        length, channels = x.shape[1:]
        joined = layer(x.reshape(-1, math.prod((self.num_windows,) * 2) * length, channels))
        return joined.reshape(-1, length, channels)
