"""What heads that predict at every point of a grid share: layers, points, boxes and keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError, DataError
from poise.layers import ConvModule, bias_init_with_prob

__all__ = [
    "boxes_of",
    "conv_branch",
    "flatten",
    "keypoints_of",
    "on_each",
    "output_convs",
    "points_of",
    "raw_boxes_of",
    "start_rare",
]

#: probability that a point of an untrained network gives to a person, or to any class
PRIOR_PROBABILITY = 0.01
#: keeps the logarithm of an empty box defined
EPS = 1e-8


def conv_branch(
    in_channels: int, out_channels: int, depth: int, groups: int = 1, **settings: Any
) -> nn.Sequential:
    """3x3 convolutions that keep the size; all but the first one have `groups` groups."""
    return nn.Sequential(
        *(
            ConvModule(
                in_channels if i == 0 else out_channels,
                out_channels,
                3,
                padding=1,
                groups=1 if i == 0 else groups,
                **settings,
            )
            for i in range(depth)
        )
    )


def output_convs(in_channels: int, out_channels: int, levels: int) -> nn.ModuleList:
    """A 1x1 convolution for each of several feature maps."""
    return nn.ModuleList(nn.Conv2d(in_channels, out_channels, 1) for _ in range(levels))


def start_rare(layers: Iterable[nn.Module]) -> None:
    """Start at a small probability everywhere, so that the many empty points do not drown the few.

    Lin 2017, "Focal Loss", arXiv 1708.02002, section 3.3.

    Args:
        layers: convolutions with a bias, that give logits.
    """
    for layer in layers:
        nn.init.constant_(layer.get_parameter("bias"), bias_init_with_prob(PRIOR_PROBABILITY))


def on_each(layers: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    """What each layer makes of its own feature map.

    Raises:
        DataError: another number of maps than layers.
    """
    if len(layers) != len(maps):
        raise DataError(
            f"a head of {len(layers)} levels got {len(maps)} feature maps; the maps that the neck "
            "or backbone returns and the head's strides should be as many"
        )
    return [layer(m) for layer, m in zip(layers, maps, strict=True)]


def flatten(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, C, H, W) of all sizes as points (B, P, C).

    Raises:
        ConfigError: no maps; a head leaves some out where it does not train.
    """
    if not maps:
        raise ConfigError(
            "losses need all outputs, and this head makes them in training mode only; call "
            "model.train() first"
        )
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)


def points_of(generator: Any, maps: Sequence[Tensor], dtype: torch.dtype | None = None) -> Tensor:
    """Points and strides (P, 4) of maps (B, C, H, W), input space; see `MlvlPointGenerator`.

    Args:
        generator: makes the points.
        maps: of all levels.
        dtype: of the points; None is that of the maps.
    """
    sizes, like = [m.shape[-2:] for m in maps], maps[0]
    return torch.cat(
        generator.grid_priors(
            sizes, dtype=dtype or like.dtype, device=like.device, with_stride=True
        )
    )


def boxes_of(raw: Tensor, places: Tensor, strides: Tensor) -> Tensor:
    """Boxes (B, P, 4) xyxy of what YOLOX's branch gives, input space.

    Ge 2021, "YOLOX", arXiv 2107.08430, section 2.1.

    Args:
        raw: (B, P, 4): offset of the centre and logarithm of the size, in strides.
        places: (P, 2) points.
        strides: (P, 2), or (P, 1) where x and y have the same.
    """
    center = raw[..., :2] * strides + places
    half = raw[..., 2:].exp() * strides / 2
    return torch.cat((center - half, center + half), dim=-1)


def raw_boxes_of(boxes: Tensor, priors: Tensor) -> Tensor:
    """What YOLOX's branch should give for boxes (M, 4) xyxy at points and strides (M, 4)."""
    point, stride = priors[:, :2], priors[:, 2:]
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([(center - point) / stride, torch.log(size / stride + EPS)], dim=-1)


def keypoints_of(offsets: Tensor, places: Tensor, strides: Tensor) -> Tensor:
    """Keypoints (B, P, K, 2) of offsets (B, P, 2 * K) in strides; others as in `boxes_of`."""
    return offsets.unflatten(-1, (-1, 2)) * strides[:, None] + places[:, None]
