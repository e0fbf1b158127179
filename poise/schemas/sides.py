"""Left and right, and known skeletons, found by the names of keypoints alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poise.schemas.library import get, known, names

__all__ = ["other_sides", "plain_name", "schema_of_names"]

#: a name in words: "leftEar", "paw1LH_top", "hip-L"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+")
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
#: words such as LF and RH say side and place; so short that they are no other word
_SIDE_CODE = re.compile(r"[LR][A-Z]{1,2}")


def other_sides(keypoints: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Which keypoints change places in a mirror.

    Args:
        keypoints: names.

    Returns:
        name -> the other one of its pair, both ways; and names that say a side and have no pair.

    Example:
        >>> other_sides(["nose", "leftEar", "rightEar", "paw_L"])
        ({'leftEar': 'rightEar', 'rightEar': 'leftEar'}, ['paw_L'])
    """
    guess = {name: _mirrored(name, keypoints) for name in keypoints}
    pairs = {name: other for name, other in guess.items() if other and guess.get(other) == name}
    return pairs, [name for name in keypoints if _sided(name) and name not in pairs]


def schema_of_names(keypoints: Sequence[str], prefer: str | None = None) -> str | None:
    """Name of a schema with just these keypoints, in this order; the preferred one if it fits."""
    order = [name for name in (prefer,) if name is not None and known(name)]
    for name in (*order, *names()):
        if [point["name"] for point in get(name)["keypoint_info"].values()] == list(keypoints):
            return name
    return None


def plain_name(name: str) -> str:
    """A name as schemas write them, whatever a person made of it.

    Example:
        >>> plain_name("Left Shoulder"), plain_name("rightEar"), plain_name("left-knee")
        ('left_shoulder', 'right_ear', 'left_knee')
    """
    return "_".join(word.lower() for word in _WORD.findall(name) if word[0].isalnum())


def _sided(name: str) -> bool:
    words = _WORD.findall(name)
    return any(word.lower() in _SIDES or _SIDE_CODE.fullmatch(word) for word in words) or (
        re.search("left|right", name.lower()) is not None
    )


def _mirrored(name: str, keypoints: Sequence[str]) -> str | None:
    """The keypoint that a name becomes when its word for a side is turned.

    Example:
        >>> _mirrored("leftear", ["leftear", "rightear"]), _mirrored("HipL", ["HipL", "HipR"])
        ('rightear', 'HipR')
    """
    turned = [re.sub("left|right", _turn, name, flags=re.IGNORECASE)]
    words = _WORD.findall(name)
    for place, word in enumerate(words):
        other = _turn_word(word)
        if other is not None:
            turned.append("".join([*words[:place], other, *words[place + 1 :]]))
    return next((other for other in turned if other != name and other in keypoints), None)


def _turn(match: re.Match[str]) -> str:
    return _like(match[0], _SIDES[match[0].lower()])


def _turn_word(word: str) -> str | None:
    if word.lower() in _SIDES:
        return _like(word, _SIDES[word.lower()])
    if _SIDE_CODE.fullmatch(word):
        return ("R" if word[0] == "L" else "L") + word[1:]
    return None


def _like(pattern: str, word: str) -> str:
    """A word in the capitals of another."""
    if pattern.isupper():
        return word.upper()
    return word.capitalize() if pattern[0].isupper() else word
