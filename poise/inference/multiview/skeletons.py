"""Poses in space with the keypoints of another schema, such as those that animators expect."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from poise.inference.results.pose_result import PoseResult
from poise.schemas import conversions
from poise.structures import parse_pose_metainfo
from poise.structures.conversion import convert_keypoints

__all__ = ["give_skeleton"]


def give_skeleton(results: Sequence[PoseResult], target: str) -> list[str]:
    """Turn `keypoints_3d` into those of another schema, in place; what to say about it.

    Joints between others are made in space, where their middle is the middle; in pictures it is
    not.

    Args:
        results: of one schema, with `keypoints_3d` of the same.
        target: name of a schema, or path of a metadata file.

    Raises:
        UnknownNameError: there is no such schema.
        DataError: the two have nothing in common.
    """
    mapping = conversions.find(results[0].schema, target)
    known = target if target.endswith((".py", ".json")) else f"configs/_base_/datasets/{target}.py"
    metainfo = parse_pose_metainfo({"from_file": known})
    for result in results:
        fields = result.instances
        points, scores = convert_keypoints(
            fields.keypoints_3d, fields.keypoint_scores_3d, mapping=mapping, fill=np.nan
        )
        fields.set_field(points, "keypoints_3d")
        fields.set_field(scores, "keypoint_scores_3d")
        result.metainfo_3d = metainfo
    kinds = {
        kind: ", ".join(joint.name for joint in group)
        for kind, group in itertools.groupby(
            sorted(mapping.joints, key=lambda joint: joint.kind), lambda joint: joint.kind
        )
    }
    said = {"derived": "made of keypoints around them", "missing": "nothing gives"}
    return [f"{target}: {text}: {kinds[kind]}" for kind, text in said.items() if kind in kinds]
