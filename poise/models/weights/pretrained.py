"""`init_cfg=dict(type="Pretrained", checkpoint=...)`: start from the weights of a file."""

from __future__ import annotations

from typing import Any

from torch import nn

from poise.errors import CheckpointError, FileMissingError
from poise.models.weights.loading import load_checkpoint
from poise.models.weights.sources import comes_with_prefix
from poise.registry import WEIGHT_INITIALIZERS

__all__ = ["PretrainedInit"]


@WEIGHT_INITIALIZERS.register_module(name="Pretrained", scope="mmengine")
class PretrainedInit:
    """Fills a module with the weights of a file, as far as they fit.

    Args:
        checkpoint: path, URL, or a name such as "torchvision://resnet50".
        prefix: part of the file's network to take, such as "backbone.".
        map_location: device on which the file is read.
    """

    #: `BaseModule.init_weights` applies this kind last, so that nothing draws over it
    loads_weights = True

    def __init__(
        self, checkpoint: str, prefix: str | None = None, map_location: Any = "cpu"
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = comes_with_prefix(checkpoint) if prefix is None else prefix
        self.map_location = map_location
        self.wholemodule = False

    def __repr__(self) -> str:
        """The file."""
        return f"PretrainedInit({self.checkpoint!r}, prefix={self.prefix!r})"

    def __call__(self, module: nn.Module) -> None:
        """Load the file into `module`."""
        try:
            load_checkpoint(module, self.checkpoint, self.map_location, prefix=self.prefix)
        except (CheckpointError, FileMissingError) as error:
            error.add_note(
                f"{type(module).__name__} starts from it, as its init_cfg says; without one (--set "
                "model.init_cfg=None or model.backbone.init_cfg=None) it starts from random weights"
            )
            raise
