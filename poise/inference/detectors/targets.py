"""What a pose model looks at, by its schema, and which classes of a detector that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "COCO_CLASSES",
    "Wanted",
    "category_name",
    "shows_people",
    "target_of",
    "wanted_classes",
]

#: Animals whose joints are called as people's are.
_LIKE_PEOPLE = frozenset(("Animal Kingdom", "macaque"))
#: Animals with four legs that COCO's classes know.
_ANIMALS = frozenset(("ap10k", "animalpose", "atrw", "horse10", "zebra", *_LIKE_PEOPLE))
#: Starts of the names of keypoints that number the landmarks of a face.
_FACE_NAMES = ("kpt-", "face-")

#: Parts that people do not have.
_ANIMAL_PARTS = ("tail", "snout", "muzzle", "paw", "hoof", "withers", "beak", "wing", "antenna")
#: What is neither a person, a hand, a face nor an animal, as far as its keypoints tell.
_THING = "object"

#: what a model looks at -> classes of a detector of COCO's 80, as MMPose has them
COCO_CLASSES = {"person": (0,), "animal": tuple(range(15, 24))}
_COCO_COUNT, _COCO_ENDS = 80, ("person", "toothbrush")


class Wanted(NamedTuple):
    """Classes of a detector that a pose model is for.

    Attributes:
        classes: as the detector numbers them; None means all.
        ids: the pose model's id of each class, 0 where it has none; None where it knows of no
            categories.
    """

    classes: tuple[int, ...] | None = None
    ids: tuple[int, ...] | None = None


def wanted_classes(
    count: int | None, names: Sequence[str] | None, metainfo: Mapping[str, Any] | None
) -> Wanted | None:
    """Which classes of a detector a pose model is for; None: there is none among COCO's.

    Classes that the pose model knows by name count alone, else all; of COCO's those of its target.

    Args:
        count: classes of the detector; 80 without names are COCO's.
        names: what they are called, where that is known.
        metainfo: parsed schema of the pose model; None: people.

    Example:
        >>> wanted_classes(2, ["fish", "mouse"], {"dataset_name": "mouse"})
        Wanted(classes=(1,), ids=None)
        >>> wanted_classes(1, ["mouse"], {"dataset_name": "paw"})
        Wanted(classes=None, ids=None)
    """
    target = "person" if metainfo is None else target_of(metainfo)
    ends = _COCO_ENDS if names is None else (names[0], names[-1]) if names else ()
    if count == _COCO_COUNT and ends == _COCO_ENDS:
        found = COCO_CLASSES.get(target or "person")
        return None if found is None else Wanted(found)
    called = [name.lower() for name in names or ()]
    kinds = {
        str(kind["name"]).lower(): kind["id"] for kind in (metainfo or {}).get("categories", ())
    }
    if not kinds.keys().isdisjoint(called):
        known = tuple(i for i, name in enumerate(called) if name in kinds)
        return Wanted(known, tuple(kinds.get(name, 0) for name in called))
    own = {str((metainfo or {}).get("dataset_name")).lower(), target}
    return Wanted(tuple(i for i, name in enumerate(called) if name in own) or None)


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


def category_name(metainfo: Mapping[str, Any] | Iterable[str]) -> str:
    """What those who have such keypoints are called, where nobody says it.

    A detector that learns from labels knows its classes by these names: mice that are called
    people would be people to it.

    Args:
        metainfo: parsed schema, or names of keypoints.

    Example:
        >>> category_name(["snout", "left_ear", "right_ear", "tail_base"]), category_name(["p1"])
        ('animal', 'object')
    """
    if not isinstance(metainfo, Mapping):
        metainfo = {"keypoint_name2id": dict.fromkeys(metainfo)}
    target = target_of(metainfo)
    names = " ".join(map(str, metainfo.get("keypoint_name2id", ()))).lower()
    return target or ("animal" if any(part in names for part in _ANIMAL_PARTS) else _THING)
