"""The transforms under MMPose's path; they live in `poise.transforms`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.transforms")
