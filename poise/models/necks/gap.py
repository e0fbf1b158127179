"""Global average pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from poise.errors import ArgumentError
from poise.registry import MODELS

__all__ = ["GlobalAveragePooling"]


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """Mean over height and width: (B, C, H, W) -> (B, C), of one map or of each in a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = nn.AdaptiveAvgPool2d((1, 1))

    def init_weights(self) -> None:
        """Nothing to do: there are no weights."""

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> Tensor | Sequence[Tensor]:
        """Map or tuple or list of maps -> the same of (B, C).

        Raises:
            ArgumentError: something else.
        """
        if isinstance(inputs, Tensor):
            return self.gap(inputs).flatten(1)
        if isinstance(inputs, (tuple, list)):
            return type(inputs)(self.gap(x).flatten(1) for x in inputs)
        raise ArgumentError(
            f"GlobalAveragePooling takes a tensor or a tuple or list of them, got {type(inputs)}"
        )
