"""Calm keypoints: filters over time, and short gaps filled in."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "filters": "Gaussian Kalman OneEuro SavitzkyGolay",
        "stage": "SmoothingStage build_smoother smooth_sequence",
    },
)
