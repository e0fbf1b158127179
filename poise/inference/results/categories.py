"""Of models over several skeletons: which keypoints belong to whom.

The set of such a model holds the keypoints of all categories of its training data; which of them
somebody is, the box says, not the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.structures import InstanceData

__all__ = ["keep_own_keypoints"]


def keep_own_keypoints(instances: InstanceData, metainfo: Mapping[str, Any]) -> None:
    """Drop the keypoints that people's categories do not have, in place: NaN, with a score of 0.

    Args:
        instances: with `categories` (N,), else nothing is done.
        metainfo: parsed schema; its `categories` say which keypoints are whose. Those of ids that
            it does not know stay.
    """
    own = {entry["id"]: entry["keypoints"] for entry in metainfo.get("categories", ())}
    if "categories" not in instances or not own:
        return
    lacks = np.zeros(instances.keypoint_scores.shape, bool)
    for row, category in zip(lacks, instances.categories.tolist(), strict=True):
        if category in own:
            row[:] = True
            row[own[category]] = False
    blanks = {"keypoint_scores": 0, "keypoints": np.nan, "keypoint_covariances": np.nan}
    for name, blank in blanks.items():
        if name in instances:
            values = np.array(instances[name])
            values[lacks] = blank
            instances.set_field(values, name)
