"""Several losses as one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import DataError
from poise.registry import MODELS

__all__ = ["CombinedLoss", "MultipleLossWrapper"]


@MODELS.register_module()
class MultipleLossWrapper(nn.Module):
    """Losses that are called together, one for each output of a head.

    Args:
        losses: configs or loss modules, in the order of the outputs.
    """

    def __init__(self, losses: Sequence[Any]) -> None:
        super().__init__()
        self.num_losses = len(losses)
        self.loss_modules = nn.ModuleList([MODELS.build(loss) for loss in losses])

    def forward(
        self,
        input_list: Sequence[Tensor],
        target_list: Sequence[Tensor],
        keypoint_weights: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the loss of each (input, target) pair; all get the same weights.

        Raises:
            DataError: the numbers of inputs, targets and losses differ.
        """
        if not len(input_list) == len(target_list) == self.num_losses:
            raise DataError(
                f"MultipleLossWrapper has {self.num_losses} losses, got {len(input_list)} "
                f"outputs and {len(target_list)} targets"
            )
        calls = zip(self.loss_modules, input_list, target_list, strict=True)
        return [loss(have, want, keypoint_weights) for loss, have, want in calls]


@MODELS.register_module()
class CombinedLoss(nn.ModuleDict):
    """Losses by name, called one by one: `loss_module.heatmap_loss(output, target)`.

    Args:
        losses: name -> config or loss module.
    """

    def __init__(self, losses: Mapping[str, Any]) -> None:
        super().__init__()
        for name, loss in losses.items():
            self.add_module(name, MODELS.build(loss))
