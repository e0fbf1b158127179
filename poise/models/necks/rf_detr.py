"""The neck of RF-DETR: maps of several layers into one for each level."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import DataError, one_of
from poise.layers import BaseModule, ConvModule, ModuleList, Sequential
from poise.layers.norms import LayerNorm2d
from poise.registry import MODELS

__all__ = ["RFDETRNeck"]

_EPS = 1e-6
#: channels inside a block, relative to those that come out
_EXPANSION = 0.5
#: size of a level relative to that of the maps: double, same, half
_SCALES = (2.0, 1.0, 0.5)


def _conv(before: int, after: int, size: int, act: str = "SiLU", **more: Any) -> ConvModule:
    norm = {"type": "poise.LN2d", "eps": _EPS}
    return ConvModule(
        before, after, size, padding=size // 2, norm_cfg=norm, act_cfg={"type": act}, **more
    )


class _C2f(BaseModule):
    """Blocks in a row, all of whose outputs are joined: (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.width = int(out_channels * _EXPANSION)
        self.cv1 = _conv(in_channels, 2 * self.width, 1)
        self.cv2 = _conv((2 + num_blocks) * self.width, out_channels, 1)
        self.m = ModuleList(
            Sequential(OrderedDict((n, _conv(self.width, self.width, 3)) for n in ("cv1", "cv2")))
            for _ in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        parts = list(self.cv1(x).split(self.width, dim=1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, dim=1))


def _resampled(channels: int, scale: float) -> Sequential:
    """Layers that make a map larger or smaller."""
    one_of(scale, _SCALES, "scale")
    if scale > 1:
        return Sequential(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
    halved = [_conv(channels, channels, 3, "ReLU", stride=2)] if scale < 1 else []
    return Sequential(*halved)


class _Projector(BaseModule):
    """One map for each level, of all maps that come in."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        scale_factors: Sequence[float],
        num_blocks: int,
    ) -> None:
        super().__init__()
        self.stages_sampling = ModuleList(
            ModuleList(_resampled(channels, scale) for channels in in_channels)
            for scale in scale_factors
        )
        self.stages = ModuleList(
            Sequential(
                _C2f(int(sum(c // max(1, scale) for c in in_channels)), out_channels, num_blocks),
                LayerNorm2d(out_channels, eps=_EPS),
            )
            for scale in scale_factors
        )

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C, H, W) -> a map for each level."""
        return [
            stage(torch.cat([part(x) for part, x in zip(parts, feats, strict=True)], dim=1))
            for parts, stage in zip(self.stages_sampling, self.stages, strict=True)
        ]


@MODELS.register_module(scope="poise")
class RFDETRNeck(BaseModule):
    """Maps for boxes, and others for keypoints, of the same layers (LW-DETR, Chen 2024).

    Args:
        in_channels: of the maps that come in.
        out_channels: of those that go out.
        scale_factors: size of each level relative to the maps: 2, 1 or 0.5.
        num_blocks: blocks of each level.
        dual: keypoints have maps of their own; else they look at those of boxes.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        scale_factors: Sequence[float] = (1.0,),
        num_blocks: int = 3,
        dual: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = (in_channels, out_channels, scale_factors, num_blocks)
        self.projector = _Projector(*settings)
        self.cross_attn_projector = _Projector(*settings) if dual else None

    def forward(self, feats: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, C, H, W), all of one size -> maps of boxes and of keypoints, a level each.

        Raises:
            DataError: maps of several sizes.
        """
        sizes = [tuple(f.shape[-2:]) for f in feats]
        if not torch.jit.is_tracing() and len(set(sizes)) > 1:
            raise DataError(f"the maps that RFDETRNeck joins should be of one size, got {sizes}")
        boxes = self.projector(feats)
        own = self.cross_attn_projector
        return boxes, boxes if own is None else own(feats)
