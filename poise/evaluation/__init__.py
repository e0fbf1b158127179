"""The metrics under MMPose's path; they live in `poise.metrics`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.metrics")
