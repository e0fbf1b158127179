"""Schedules under the path that code outside imports; they live in `poise.training.optim`."""

from poise._lazy import alias

__getattr__, __dir__ = alias("poise.training.optim.schedules")
