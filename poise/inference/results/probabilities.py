"""Scores of keypoints as probabilities, whatever the model's codec calls a score.

A score's size depends on the codec: SimCC models go above 1, heatmaps may go below 0. Thresholds
that should mean the same for every model compare probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.errors import UnknownNameError, one_of

__all__ = ["SCORE_KINDS", "probabilities_of", "score_kind_of"]

#: What a score is and how it becomes a probability: kind -> (height of a sure score, meaning).
#: All maps are linear from 0, cut at 0 and 1: none reorders keypoints of one model.
SCORE_KINDS = {
    # trained to equal a Gaussian with a peak of 1
    "heatmap": (1.0, "peak of the heatmap; the labels' peak is 1"),
    # trained by KL divergence against a Gaussian with a peak of 1, per axis; the lower one counts
    "simcc": (1.0, "lower one of the peaks over x and over y; the labels' peak is 1"),
    # RLE: 1 minus the mean of both sigmas, each in 0..1; 1 where the head predicts no sigma
    "regression": (1.0, "1 minus the predicted deviation"),
    # a sigmoid's output
    "visibility": (1.0, "predicted chance that the keypoint is visible"),
}

#: codec class -> kind; all others predict heatmaps
_KIND_OF_CODEC = {
    "SimCCLabel": "simcc",
    "SimCC3DLabel": "simcc",
    "RegressionLabel": "regression",
    "IntegralRegressionLabel": "regression",
    "YOLOXPoseAnnotationProcessor": "visibility",
    "EDPoseLabel": "visibility",
}


def score_kind_of(codec: Any) -> str:
    """Kind of score that a codec (or None) decodes."""
    return _KIND_OF_CODEC.get(type(codec).__name__, "heatmap")


def probabilities_of(scores: np.ndarray, kind: str) -> np.ndarray:
    """Probabilities of a model's scores.

    Args:
        scores: any shape, as the model gives them; NaN counts as 0.
        kind: one of `SCORE_KINDS`.

    Returns:
        The same shape, float32, 0..1.

    Raises:
        UnknownNameError: another kind.

    Example:
        >>> probabilities_of(np.array([-0.1, 0.5, 1.3]), "simcc")
        array([0. , 0.5, 1. ], dtype=float32)
    """
    one_of(kind, SCORE_KINDS, "kind of score", UnknownNameError)
    sure, _ = SCORE_KINDS[kind]
    scaled = np.asarray(scores, np.float32) / np.float32(sure)
    return np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
