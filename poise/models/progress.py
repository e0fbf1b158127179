"""Where training stands, for the few modules whose losses or sizes change with it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

__all__ = ["Progress", "share_progress"]


@dataclass(frozen=True)
class Progress:
    """Position in training; counts start at 0.

    Attributes:
        epoch: epochs finished.
        max_epochs: epochs of the whole run.
        iter: iterations finished.
        max_iters: iterations of the whole run.
    """

    epoch: int = 0
    max_epochs: int = 1
    iter: int = 0
    max_iters: int = 1


def share_progress(model: nn.Module, progress: Progress) -> None:
    """Give `progress` to every module below `model` that has an attribute of that name."""
    for module in model.modules():
        if isinstance(getattr(module, "progress", None), Progress):
            setattr(module, "progress", progress)  # noqa: B010 (torch's types know modules only)
