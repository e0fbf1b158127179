"""NanoDet-g: the small person detector that comes inside the package.

Source: NanoDet (RangiLyu, 2021), configuration "g"; its box head is Generalized Focal Loss
(Li 2020, section 3: a distance is the mean of a learned distribution).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import DataError
from poise.layers import Conv2d, max_pool2d
from poise.models.heads.dense import flatten
from poise.models.layout import PictureNetwork

__all__ = ["MAX_DISTANCE", "STRIDES", "NanoDet", "cells_of", "mean_distances"]

#: Pixels of the input per cell of each output level.
STRIDES = (8, 16, 32)
#: Distances reach from 0 to this many cells; one logit for each whole number.
MAX_DISTANCE = 10
#: BGR, as in the released training configuration.
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)

_LEAK = 0.1
_STEM_CHANNELS = 32
#: (channels of the first convolution, residual pairs, stride); a stage gives twice the channels
_STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 3, 2))


class _Conv(nn.Conv2d):
    """3x3 convolution and leaky ReLU; the batch norm is folded into the weights."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(c_in, c_out, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), _LEAK, inplace=True)


class _Pair(nn.Module):
    """Halve the channels, filter, and give both: dense growth without more channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halve = _Conv(channels, channels // 2)
        self.filter = _Conv(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.halve(x)
        return torch.cat((self.filter(x), x), 1)


class _Stage(nn.Module):
    """Cross-stage partial block: pairs and a fusing convolution beside a short cut."""

    def __init__(self, c_in: int, channels: int, pairs: int, stride: int) -> None:
        super().__init__()
        self.enter = _Conv(c_in, channels, stride)
        self.pairs = nn.Sequential(*(_Pair(channels) for _ in range(pairs)))
        self.fuse = _Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return torch.cat((self.fuse(self.pairs(x)), x), 1)


class NanoDet(PictureNetwork):
    """Boxes of 80 COCO classes from BGR pictures; class 0 is "person".

    Args:
        num_classes: classes C.
        channels: of the neck and the heads.

    Example:
        >>> scores, distances = NanoDet()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
        >>> tuple(scores.shape), tuple(distances.shape)
        ((1, 84, 80), (1, 84, 4, 11))
    """

    mean: Tensor
    std: Tensor

    # MMDetection does not have it, so there are no digits to keep
    _prefers_speed = True

    def __init__(self, num_classes: int = 80, channels: int = 128) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.stem = _Conv(3, _STEM_CHANNELS, 2)
        self.stages = nn.ModuleList()
        c_in, outputs = _STEM_CHANNELS, []
        for width, pairs, stride in _STAGES:
            self.stages.append(_Stage(c_in, width, pairs, stride))
            c_in = 2 * width
            outputs.append(c_in)
        levels = outputs[-len(STRIDES) :]
        self.laterals = nn.ModuleList(Conv2d(c, channels, 1) for c in levels)
        self.towers = nn.ModuleList(_Conv(channels, channels) for _ in STRIDES)
        per_cell = num_classes + 4 * (MAX_DISTANCE + 1)
        self.outputs = nn.ModuleList(Conv2d(channels, per_cell, 1) for _ in STRIDES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Raw outputs of all M cells: the stride 8 level first, each row by row.

        Args:
            images: (B, 3, H, W) BGR 0..255, uint8 or float; H and W multiples of 32.

        Returns:
            scores (B, M, C) in 0..1, and logits (B, M, 4, 11) of the distances to the left,
            upper, right and lower side, in cells.

        Raises:
            DataError: a size that is no multiple of the largest stride.
        """
        logits, distances = self._cells(images)
        return logits.sigmoid(), distances

    def maps(self, images: Tensor) -> list[Tensor]:
        """Raw maps (B, C + 44, H / stride, W / stride), finest first; see `cells_of`.

        Args:
            images: as `forward` takes them.

        Raises:
            DataError: a size that is no multiple of the largest stride.
        """
        height, width = images.shape[-2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise DataError(
                f"NanoDet takes pictures whose sides are multiples of {STRIDES[-1]}, got "
                f"{height} x {width} (height x width); letterbox them first"
            )
        pictures = self.laid_out((images - self.mean) / self.std)
        levels = self._neck(self._backbone(pictures))
        return [
            output(tower(x))
            for x, tower, output in zip(levels, self.towers, self.outputs, strict=True)
        ]

    def _cells(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes (B, M, C) and of the distances (B, M, 4, 11) of all cells."""
        return cells_of(flatten(self.maps(images)))

    def _backbone(self, x: Tensor) -> list[Tensor]:
        """Features at strides 8, 16 and 32."""
        x = max_pool2d(self.stem(x), 3, 2, 1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-len(STRIDES) :]

    def _neck(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Path aggregation without convolutions: coarse to fine, then fine to coarse."""
        levels = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for i in range(len(levels) - 2, -1, -1):
            levels[i] = levels[i] + _resized(levels[i + 1], levels[i])
        for i in range(1, len(levels)):
            levels[i] = levels[i] + _resized(levels[i - 1], levels[i])
        return levels

    @torch.inference_mode()
    def detect(self, images: Tensor, *, class_index: int = 0) -> tuple[Tensor, Tensor]:
        """Boxes and scores of one class at every cell, before suppression.

        Args:
            images: (B, 3, H, W) BGR 0..255.
            class_index: COCO class; 0 is "person".

        Returns:
            boxes (B, M, 4) xyxy, pixels of the input, and scores (B, M).
        """
        scores, logits = self(images)
        centers, strides = _places(images.shape[-2:], logits)
        return _boxes(logits, centers, strides), scores[..., class_index]

    @torch.inference_mode()
    def detect_sure(
        self, images: Tensor, threshold: float, *, class_index: int = 0
    ) -> list[tuple[Tensor, Tensor]]:
        """Of each picture what `detect` gives with at least so high a score, no other cell decoded.

        Args:
            images: (B, 3, H, W) BGR 0..255.
            threshold: least score.
            class_index: COCO class; 0 is "person".

        Returns:
            For each picture boxes (N, 4) xyxy float32, pixels of the input, and scores (N,).
        """
        logits, distances = self._cells(images)
        scores = logits[..., class_index].float().sigmoid()
        sure = scores >= threshold
        centers, strides = _places(images.shape[-2:], scores)
        found = []
        for own, far, picked in zip(scores, distances, sure, strict=True):
            boxes = _boxes(far[picked].float(), centers[picked], strides[picked])
            found.append((boxes, own[picked]))
        return found


def cells_of(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of classes (..., C) and of distances (..., 4, 11), of outputs (..., C + 44)."""
    width = 4 * (MAX_DISTANCE + 1)
    logits, distances = outputs.split((outputs.shape[-1] - width, width), dim=-1)
    return logits, distances.unflatten(-1, (4, MAX_DISTANCE + 1))


def mean_distances(logits: Tensor) -> Tensor:
    """Distances (..., 4) in cells, of logits (..., 4, 11)."""
    steps = torch.arange(MAX_DISTANCE + 1, device=logits.device, dtype=logits.dtype)
    return logits.softmax(-1) @ steps


def _boxes(logits: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """Boxes (..., M, 4) xyxy from logits of distances (..., M, 4, 11)."""
    distances = mean_distances(logits) * strides[:, None]
    return torch.cat((centers - distances[..., :2], centers + distances[..., 2:]), -1)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _places(size: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (M, 2) of all cells, pixels of the input, and their strides (M,)."""
    centers, strides = [], []
    for stride in STRIDES:
        y, x = (torch.arange(s // stride, device=like.device, dtype=like.dtype) for s in size)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        centers.append((grid + 0.5) * stride)
        strides.append(torch.full_like(grid[:, 0], stride))
    return torch.cat(centers), torch.cat(strides)
