"""The hooks under MMPose's path; they live in `poise.training.hooks`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.training.hooks")
