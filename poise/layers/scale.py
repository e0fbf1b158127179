"""Learned factors, and norms that only scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poise.errors import one_of

__all__ = ["ChannelWiseScale", "LayerScale", "RMSNorm", "Scale", "ScaleNorm"]


class Scale(nn.Module):
    """One learned factor for a whole tensor; weight `scale` of shape ()."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return x * self.scale


class ChannelWiseScale(nn.Module):
    """A learned factor for each of `dim` channels, the last axis; weight `scale`."""

    def __init__(self, dim: int, init_value: float = 1.0, trainable: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(init_value * torch.ones(dim), requires_grad=trainable)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return x * self.scale


class LayerScale(nn.Module):
    """A small learned factor per channel of a residual branch (Touvron 2021, CaiT).

    Args:
        dim: channels.
        inplace: write over the input.
        data_format: "channels_last" (B, ..., C) or "channels_first" (B, C, ...).
        scale: start value.
    """

    def __init__(
        self,
        dim: int,
        inplace: bool = False,
        data_format: str = "channels_last",
        scale: float = 1e-5,
    ) -> None:
        super().__init__()
        one_of(data_format, ("channels_last", "channels_first"), "data_format")
        self.inplace, self.data_format = inplace, data_format
        self.weight = nn.Parameter(torch.ones(dim) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., C) or (B, C, ...) -> the same."""
        after = x.dim() - 2 if self.data_format == "channels_first" else 0
        factor = self.weight.view(-1, *[1] * after)
        return x.mul_(factor) if self.inplace else x * factor


class ScaleNorm(nn.Module):
    """Divide by the root mean square, times one learned factor (Nguyen 2019); weight `g`.

    Args:
        dim: channels, the last axis.
        eps: smallest divisor.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = dim**-0.5
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=self.eps) * self.g


class RMSNorm(nn.RMSNorm):
    """torch's norm by the root mean square (Zhang 2019), which exported files have written out."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., C) -> the same."""
        if not torch.jit.is_tracing():
            # under autocast tokens have 16 bits and weights 32, for which torch warns
            return super().forward(x.to(self.weight.dtype)).to(x.dtype)
        power = x.float().pow(2).mean(dim=-1, keepdim=True)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        return (x * torch.rsqrt(power + eps)).to(x.dtype) * self.weight
