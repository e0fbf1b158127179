"""DINOv2 whose layers mostly look within windows of the picture, as RF-DETR has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poise._options import options_of
from poise.errors import ConfigError, DataError
from poise.layers.window_attention import split_windows
from poise.models.backbones.vision_transformer import VisionTransformer, resize_pos_embed
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
        num_windows: windows along each side of the picture.
        global_layers: layers that look at the whole picture.
        **options: others of `VisionTransformer`; there is a class token, and outputs are maps.

    Raises:
        ConfigError: no window, or a global layer that there is not.
    """

    #: MMPose does not have it, so its digits are nobody's reference
    prefers_speed = True

    @options_of(
        VisionTransformer,
        without=("out_type", "with_cls_token", "output_cls_token"),
        img_size=576,
        patch_size=12,
        out_indices=(2, 5, 8, 11),
        layer_scale_init_value=1.0,
    )
    def __init__(
        self,
        arch: str | dict[str, Any] = "dinov2-small",
        *,
        num_windows: int = 2,
        global_layers: Sequence[int] = (3, 6, 9),
        **options: Any,
    ) -> None:
        super().__init__(arch, out_type="featmap", **options)
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
        x, grid = self.patch_embed(x)
        count = self.num_windows
        if not torch.jit.is_tracing() and any(side % count for side in grid):
            raise DataError(
                f"{grid[0]} x {grid[1]} patches cannot be divided into {count} x {count} windows; "
                f"sides of the input should be multiples of {self.patch_embed.stride[0] * count}"
            )
        high, wide = grid[0] // count, grid[1] // count
        places = resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode, antialias=True
        )
        x = (x + places[:, 1:]).view(-1, *grid, self.embed_dims)
        x = split_windows(x, (high, wide))
        assert self.cls_token is not None
        first = self.cls_token + places[:, :1]
        x = torch.cat((first.expand(x.shape[0], -1, -1), x), dim=1)
        outs = []
        for i, layer in enumerate(list(self.layers)[: max(self.out_indices) + 1]):
            if i in self.global_layers:
                x = layer(x.reshape(-1, count**2 * x.shape[1], self.embed_dims)).reshape_as(x)
            else:
                x = layer(x)
            if i in self.out_indices:
                parts = self.ln1(x)[:, 1:].reshape(-1, count, count, high, wide, self.embed_dims)
                outs.append(parts.permute(0, 5, 1, 3, 2, 4).reshape(-1, self.embed_dims, *grid))
        return tuple(outs)
