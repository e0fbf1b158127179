"""The functional metric kernels under MMPose's path; they live in `poise.metrics.functional`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.metrics.functional")
