"""The losses under MMPose's path; they live in `poise.losses`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.losses")
