"""The first steps of decoding on the device where the network's output lies.

Only what shrinks the data is done here: maxima and the small patches around them. The few
numbers that remain go to the host, where the numpy code finishes; so the arithmetic of the
refinements exists once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from poise.codecs.utils.blur import dilate_maps

__all__ = ["cap_at_one", "maximum", "patches", "simcc_maximum", "suppress_slopes"]


def maximum(heatmaps: Tensor, spatial: int) -> tuple[Tensor, Tensor]:
    """Locations (..., spatial) float32 and values (...) of the maxima over the last axes."""
    extent = heatmaps.shape[-spatial:]
    values, index = heatmaps.flatten(-spatial).max(dim=-1)
    axes = []
    for length in reversed(extent):
        axes.append(index % length)
        index = torch.div(index, length, rounding_mode="floor")
    places = torch.stack(axes, dim=-1).float()
    return places.masked_fill((values <= 0)[..., None], -1), values


def simcc_maximum(
    vectors: Sequence[Tensor], *, apply_softmax: bool = False
) -> tuple[Tensor, Tensor]:
    """Locations (..., axes) float32 in bins and values (...): the smaller peak of x and y."""
    if apply_softmax:
        vectors = [v.softmax(dim=-1) for v in vectors]
    peaks, bins = zip(*(v.max(dim=-1) for v in vectors), strict=True)
    values = torch.where(peaks[0] > peaks[1], peaks[1], peaks[0])
    places = torch.stack(bins, dim=-1).float()
    return places.masked_fill((values <= 0)[..., None], -1), values


def patches(heatmaps: Tensor, maps: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Squares (M, S, S) of side `2 * radius + 1` around `centers`, zero outside of the map.

    Args:
        heatmaps: (K, H, W).
        maps: (M,) int64, which map each square is cut from.
        centers: (M, 2) int64, x and y.
        radius: pixels.
    """
    H, W = heatmaps.shape[-2:]
    steps = torch.arange(-radius, radius + 1, device=heatmaps.device)
    x, y = centers[:, :1] + steps, centers[:, 1:] + steps
    rows = maps[:, None] * H + y.clamp(0, H - 1)
    index = rows[:, :, None] * W + x.clamp(0, W - 1)[:, None, :]
    inside = ((y >= 0) & (y < H))[:, :, None] & ((x >= 0) & (x < W))[:, None, :]
    return heatmaps.reshape(-1)[index] * inside


def suppress_slopes(heatmaps: Tensor, kernel_size: int) -> Tensor:
    """Heatmaps (B, K, H, W) with zeros where a neighbour is larger."""
    if heatmaps.device.type == "cpu" and heatmaps.dtype == torch.float32:
        # OpenCV's dilation takes a tenth of the time of torch's pooling on a processor
        highest = torch.from_numpy(dilate_maps(heatmaps.detach().numpy(), kernel_size))
    else:
        highest = functional.max_pool2d(heatmaps, kernel_size, stride=1, padding=kernel_size // 2)
    return heatmaps * (heatmaps == highest).to(heatmaps.dtype)


def cap_at_one(scores: Tensor) -> Tensor:
    """Vectors (..., W) without negatives, divided by their maximum where that exceeds 1."""
    scores = scores.clamp(min=0)
    return scores / scores.amax(dim=-1, keepdim=True).clamp(min=1)
