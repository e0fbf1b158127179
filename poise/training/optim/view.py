"""The optimizer as hooks of MMEngine ask for it."""

from __future__ import annotations

from typing import Any

import torch

from poise.training.optim.schedules import momentum_of

__all__ = ["OptimizerView"]


class OptimizerView:
    """`runner.optim_wrapper`: learning rates, momenta and groups of the optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer."""
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:
        """Default settings of the optimizer."""
        return self.optimizer.defaults

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates: `lr` per group; of several `base_lr`, too, of one without multipliers.

        It is that of a group which started at the optimizer's own default.
        """
        groups = self.param_groups
        rates = {"lr": [g["lr"] for g in groups]}
        if len(groups) == 1:
            return rates
        default = self.optimizer.defaults.get("lr")
        plain = [g for g in groups if g.get("initial_lr", g["lr"]) == default]
        return {"base_lr": [(plain or groups)[0]["lr"]], **rates}

    def get_momentum(self) -> dict[str, list[float]]:
        """Momentum (or first beta) per group."""
        return {"momentum": [momentum_of(g) for g in self.param_groups]}

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer."""
        return self.optimizer.state_dict()

    def zero_grad(self, **kwargs: Any) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad(**kwargs)
