"""Points of bodies by common words, out of keypoints of any schema."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.schemas.conversions import made_of

__all__ = ["place_points"]


def place_points(points: Array, names: Sequence[str], words: Sequence[str]) -> Array:
    """Places (T, N, P, D) of points; NaN where a keypoint that they are made of is.

    Args:
        points: (T, N, K, D) in any space; NaN where not known.
        names: of the K keypoints.
        words: P words, sums or alternatives, as `schemas.conversions.made_of` takes them.
    """
    joints = made_of(words, names)
    placed = points[:, :, [j.terms[0][0] if j.terms else 0 for j in joints]]
    for column, joint in enumerate(joints):
        if not joint.terms:
            placed[:, :, column] = np.nan
        elif len(joint.terms) > 1:
            placed[:, :, column] = sum(weight * points[:, :, i] for i, weight in joint.terms)
    return placed
