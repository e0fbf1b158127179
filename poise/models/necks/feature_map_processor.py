"""Selection, concatenation and rescaling of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import resize
from poise.registry import MODELS

__all__ = ["FeatureMapProcessor"]


@MODELS.register_module()
class FeatureMapProcessor(nn.Module):
    """What MMPose 0.x called `input_transform` of heads, as a neck without weights.

    Steps, in this order: select, concatenate at the first map's size, rectify, rescale.

    Args:
        select_index: maps to keep, or one; None keeps all.
        concat: join the maps along channels, all resized to the first.
        scale_factor: growth of height and width.
        apply_relu: set negative values to 0.
        align_corners: of the interpolation.

    Raises:
        ConfigError: `scale_factor` is not positive.
    """

    def __init__(
        self,
        select_index: int | Sequence[int] | None = None,
        concat: bool = False,
        scale_factor: float = 1.0,
        apply_relu: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if scale_factor <= 0:
            raise ConfigError(
                f"the argument `scale_factor` must be positive, but got {scale_factor}"
            )
        self.select_index = (select_index,) if isinstance(select_index, int) else select_index
        self.concat, self.scale_factor = concat, scale_factor
        self.apply_relu, self.align_corners = apply_relu, align_corners

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Maps (B, C, H, W) -> list of maps; one map -> one map."""
        alone = isinstance(inputs, Tensor)
        maps: list[Tensor] = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not alone and self.select_index is not None:
            maps = [maps[i] for i in self.select_index]
        if not alone and self.concat:
            size = tuple(maps[0].shape[-2:])
            maps = [torch.cat([self._resize(x, size=size) for x in maps], dim=1)]
        if self.apply_relu:
            maps = [F.relu(x) for x in maps]
        if self.scale_factor != 1.0:
            maps = [self._resize(x, scale_factor=self.scale_factor) for x in maps]
        return maps[0] if alone else maps

    def _resize(
        self, x: Tensor, size: tuple[int, ...] | None = None, scale_factor: float | None = None
    ) -> Tensor:
        return resize(x, size, scale_factor, mode="bilinear", align_corners=self.align_corners)
