"""Arithmetic and shuffling of channels."""

from __future__ import annotations

import torch
from torch import Tensor

from poise.errors import DataError

__all__ = ["channel_shuffle", "interleave", "make_divisible"]


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Channels of two maps (B, C, H, W) by turns, (B, 2 * C, H, W).

    `channel_shuffle(torch.cat((first, second), 1), 2)` with one copy instead of two.

    Example:
        >>> a, b = torch.arange(6).view(2, 1, 3, 1, 1)
        >>> interleave(a, b).flatten().tolist()
        [0, 3, 1, 4, 2, 5]
    """
    if _is_channels_last(second):
        first, second = first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)
        return torch.stack((first, second), dim=4).flatten(3).permute(0, 3, 1, 2)
    return torch.stack((first, second), dim=2).flatten(1, 2)


def _is_channels_last(x: Tensor) -> bool:
    """Whether the channels of a pixel lie side by side in memory, as those of no other map do."""
    return x.stride(1) == 1 != x.stride(-1)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal channels out over groups, so that grouped convolutions see one another (ShuffleNet).

    Args:
        x: (B, C, H, W).
        groups: number of groups; divides C.

    Raises:
        DataError: C is not divisible by `groups`.

    Example:
        >>> import torch
        >>> channel_shuffle(torch.arange(6).view(1, 6, 1, 1), 2).flatten().tolist()
        [0, 3, 1, 4, 2, 5]
    """
    channels = x.shape[1]
    if channels % groups:
        raise DataError(f"{channels} channels cannot be shuffled over {groups} groups")
    if _is_channels_last(x):
        x = x.permute(0, 2, 3, 1).unflatten(3, (groups, channels // groups))
        return x.transpose(3, 4).flatten(3).permute(0, 3, 1, 2)
    return x.unflatten(1, (groups, channels // groups)).transpose(1, 2).flatten(1, 2)


def make_divisible(
    value: float, divisor: int, min_value: int | None = None, min_ratio: float = 0.9
) -> int:
    """Nearest multiple of `divisor`, but not below `min_ratio` of the value (MobileNet).

    Args:
        value: wanted number of channels.
        divisor: what divides the result.
        min_value: smallest result; `divisor` if None.
        min_ratio: smallest result relative to `value`.

    Example:
        >>> make_divisible(24 * 0.75, 8), make_divisible(11, 8)
        (24, 16)
    """
    lowest = divisor if min_value is None else min_value
    rounded = max(lowest, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < min_ratio * value else rounded
