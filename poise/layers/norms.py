"""Norm layers that torch does not have."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.registry import MODELS

__all__ = ["FrozenBatchNorm2d", "LayerNorm2d"]


@MODELS.register_module()
class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics and factors never change: (B, C, H, W) -> the same.

    Detectors fine-tune with few images a batch, too few for statistics of their own.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
            self.register_buffer(name, torch.full((n,), float(value)))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # weights of an ordinary batch norm fit, but for the counter
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


@MODELS.register_module(name="LN2d", scope="poise")
@MODELS.register_module(name="LN2d", scope="mmpretrain")
class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W).

    Args:
        num_channels: channels.
        **kwargs: as of `nn.LayerNorm`.
    """

    def __init__(self, num_channels: int, **kwargs: Any) -> None:
        super().__init__(num_channels, **kwargs)
        self.num_channels = self.normalized_shape[0]

    def forward(self, x: Tensor, data_format: str = "channel_first") -> Tensor:
        """(B, C, H, W), or (B, H, W, C) with data_format "channel_last" -> the same."""
        if data_format == "channel_last":
            return super().forward(x)
        y = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        # contiguous, as the convolutions after it and reshapes expect
        return y.permute(0, 3, 1, 2).contiguous()
