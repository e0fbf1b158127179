"""AlexNet (Krizhevsky 2012, "ImageNet Classification with Deep Convolutional Neural Networks")."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import DataError
from poise.layers import MaxPool2d
from poise.models.backbones.base import BaseBackbone
from poise.registry import MODELS

__all__ = ["AlexNet"]

HIDDEN = 4096

#: side in pixels of which the strides and windows leave one pixel
SMALLEST_PICTURE = 63


@MODELS.register_module()
class AlexNet(BaseBackbone):
    """The network that began it: (B, 3, H, W) -> one map at stride 32.

    Args:
        num_classes: classes of the classifier after it; without one if not positive.
    """

    def __init__(self, num_classes: int = -1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes

        def conv(before: int, after: int, kernel: int, **shape: Any) -> list[nn.Module]:
            return [nn.Conv2d(before, after, kernel, **shape), nn.ReLU(inplace=True)]

        self.features = nn.Sequential(
            *conv(3, 64, 11, stride=4, padding=2),
            MaxPool2d(3, 2),
            *conv(64, 192, 5, padding=2),
            MaxPool2d(3, 2),
            *conv(192, 384, 3, padding=1),
            *conv(384, 256, 3, padding=1),
            *conv(256, 256, 3, padding=1),
            MaxPool2d(3, 2),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Dropout(),
                nn.Linear(256 * 6 * 6, HIDDEN),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(inplace=True),
                nn.Linear(HIDDEN, num_classes),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> ((B, 256, H / 32, W / 32),), or class scores.

        Raises:
            DataError: a picture of which nothing is left.
        """
        if not torch.jit.is_tracing() and min(x.shape[2:]) < SMALLEST_PICTURE:
            raise DataError(
                f"AlexNet takes pictures of {SMALLEST_PICTURE} pixels or more a side, got "
                f"{tuple(x.shape[2:])} (height, width)"
            )
        x = self.features(x)
        return (self.classifier(x.flatten(1)) if self.num_classes > 0 else x,)
