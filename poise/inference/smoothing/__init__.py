"""Calm keypoints: filters over time, and short gaps filled in.

`stage` smooths results, frame by frame or late; `filters` are what it may smooth with, `gaps` fills
in what was missed.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "filters": "Gaussian Kalman OneEuro SavitzkyGolay",
        "stage": "SmoothingStage build_smoother smooth_sequence",
    },
)
