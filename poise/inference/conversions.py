"""Results as other libraries hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.errors import MissingDependencyError
from poise.inference.results import PoseResult

__all__ = ["to_supervision"]


def to_supervision(result: PoseResult) -> Any:
    """`supervision.KeyPoints` with `xy`, `confidence` (probabilities) and `class_id`.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingDependencyError(
            "to_supervision() needs the package supervision: pip install supervision"
        ) from error
    if not len(result):
        return supervision.KeyPoints.empty()
    data: dict[str, Any] = {}
    if result.track_ids is not None:
        data["tracker_id"] = result.track_ids
    return supervision.KeyPoints(
        xy=result.keypoints[..., :2].astype(np.float32),
        confidence=result.probabilities,
        class_id=np.zeros(len(result), int),
        data=data,
    )
