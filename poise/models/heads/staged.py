"""What heads with several stages share: one loss for all stages, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from poise.errors import ConfigError
from poise.registry import MODELS

__all__ = ["build_losses", "loss_of"]


def build_losses(owner: object, loss: Any, count: int, meaning: str) -> nn.Module:
    """Loss module, or a ModuleList of `count` losses where a list is given.

    Raises:
        ConfigError: a list of another length.
    """
    if not isinstance(loss, (list, tuple)):
        return MODELS.build(loss)
    if len(loss) != count:
        raise ConfigError(
            f"{type(owner).__name__}: the length of `loss` ({len(loss)}) does not match "
            f"{meaning} ({count})"
        )
    return nn.ModuleList([MODELS.build(part) for part in loss])


def loss_of(losses: nn.Module, index: int) -> Any:
    """The loss of output `index`."""
    return losses[index] if isinstance(losses, nn.ModuleList) else losses


def check_count(owner: object, feats: Sequence[Any], count: int, meaning: str) -> None:
    """Check that a backbone gives as many feature maps as the head has stages.

    Raises:
        ConfigError: it gives more or fewer.
    """
    if len(feats) != count:
        raise ConfigError(
            f"{type(owner).__name__}: {meaning} is {count}, but the backbone gives "
            f"{len(feats)} feature maps; set both to the same number"
        )
