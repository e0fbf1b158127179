"""What a pose model looks at, by its schema: people, hands, faces or animals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["COCO_CLASSES", "shows_people", "target_of"]

#: Animals whose joints are called as people's are.
_LIKE_PEOPLE = frozenset(("Animal Kingdom", "macaque"))
#: Animals with four legs that COCO's classes know.
_ANIMALS = frozenset(("ap10k", "animalpose", "atrw", "horse10", "zebra", *_LIKE_PEOPLE))
#: Starts of the names of keypoints that number the landmarks of a face.
_FACE_NAMES = ("kpt-", "face-")

#: what a model looks at -> classes of a detector of COCO's 80, as MMPose has them
COCO_CLASSES = {"person": (0,), "animal": tuple(range(15, 24))}


def shows_people(metainfo: Mapping[str, Any]) -> bool:
    """Whether the keypoints of a schema are those of a person's body.

    Args:
        metainfo: parsed schema.

    Example:
        >>> shows_people({"dataset_name": "own", "keypoint_name2id": {"L_Shoulder": 0, "Wrist": 1}})
        True
        >>> shows_people({"dataset_name": "hand", "keypoint_name2id": {"wrist": 0, "thumb1": 1}})
        False
    """
    return target_of(metainfo) == "person"


def target_of(metainfo: Mapping[str, Any]) -> str | None:
    """What a schema describes: "person", "hand", "face", "animal", or None for other things.

    Args:
        metainfo: parsed schema.

    Example:
        >>> target_of({"dataset_name": "hand", "keypoint_name2id": {"wrist": 0, "thumb1": 1}})
        'hand'
    """
    if metainfo.get("dataset_name") in _ANIMALS:
        return "animal"
    names = [str(name).lower() for name in metainfo.get("keypoint_name2id", ())]
    text = " ".join(names)
    if "shoulder" in text and "wrist" in text:
        return "person"
    if "thumb" in text:
        return "hand"
    if names and all(name.startswith(_FACE_NAMES) for name in names):
        return "face"
    return None
