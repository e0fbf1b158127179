"""The estimators under MMPose's path; they live in `poise.models.estimators`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.models.estimators")
