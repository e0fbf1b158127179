"""Training a small model on what a large one says."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"dwpose": "DWPoseDistiller"})
