"""Calm keypoints: filters over time, and short gaps filled in.

`build` makes a stage of whatever a caller names; `stage` smooths results, frame by frame or late;
`filters` are what it may smooth with, `gaps` fills in what was missed.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "build": "build_smoother smooth_sequence",
        "filters": "Gaussian Kalman OneEuro SavitzkyGolay",
        "stage": "SmoothingStage",
    },
)
