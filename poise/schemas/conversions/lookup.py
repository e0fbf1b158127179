"""Finding the mapping between two schemas."""

from __future__ import annotations

import functools
from collections.abc import Mapping as Table
from collections.abc import Sequence

from poise.errors import DataError, UnknownNameError, nearest
from poise.schemas.conversions.faces import FACE_LAYOUTS, FACE_PAIRS, numbered
from poise.schemas.conversions.mapping import Joint, Kind, Mapping
from poise.schemas.conversions.words import BY_TARGET_ORDER, KINDS, OWN_WAYS, WAYS, WORDS
from poise.schemas.library import get, known, names
from poise.schemas.sides import plain_name, schema_of_names

__all__ = ["find", "kind_of", "made_of", "named", "overview", "sides_of"]

ARROW = "->"
SIDES = ("left", "right")
#: schemas of one hand, whose points have no side
HANDS = frozenset(
    ["coco_wholebody_hand", "freihand2d", "interhand2d", "onehand10k", "panoptic_hand2d", "rhd2d"]
)
# a face layout may lead to another through the common one
HUB = "300w"


def find(source: str, target: str, *, side: str = "") -> Mapping:
    """The mapping from one schema's keypoints to another's.

    Args:
        source, target: names of schemas, or paths of metadata files of your own, whose keypoints
            are matched by name.
        side: "left" or "right" where one schema has a single hand and the other has two.

    Raises:
        UnknownNameError: there is no such schema.
        DataError: the two have no keypoint in common, or the side is missing.

    Example:
        >>> find("aic", "coco").pairs()[:3]
        [(0, 6), (1, 8), (2, 10)]
    """
    for name in (source, target):
        if not known(name) and not str(name).endswith((".py", ".json", ".yaml", ".yml")):
            raise UnknownNameError(
                f"there is no keypoint schema '{name}'{nearest(name, names())}; "
                "`poise data schemas` lists them"
            )
    # a file of one's own may change
    return (_cached if known(source) and known(target) else _found)(source, target, side)


def _found(source: str, target: str, side: str) -> Mapping:
    theirs, ours = _points(source), _points(target)
    if theirs == ours and FACE_LAYOUTS.get(source) == FACE_LAYOUTS.get(target):
        same = tuple(Joint(name, "measured", ((i, 1.0),)) for i, name in enumerate(ours))
        return Mapping(source, target, theirs, same)
    one_hand = (source in HANDS) != (target in HANDS)
    if one_hand and side not in SIDES:
        raise DataError(
            f"the mapping {source}{ARROW}{target} needs to know which hand is meant: "
            f"'{source}{ARROW}{target}/left' or '.../right'"
        )
    prefixes = [f"{side}_" if one_hand and name in HANDS else "" for name in (source, target)]
    direct = _direct(source, target, prefixes)
    if direct.counts["missing"] == len(ours) and {source, target} <= FACE_LAYOUTS.keys() - {HUB}:
        direct = _found(source, HUB, "").then(_found(HUB, target, ""))
    if direct.counts["missing"] == len(ours):
        raise DataError(
            f"no mapping leads from {source} to {target}: no keypoint of one stands for one of the "
            f"other ({source} has {', '.join(theirs[:6])} ...; {target} has "
            f"{', '.join(ours[:6])} ...)"
        )
    return direct


_cached = functools.lru_cache(maxsize=512)(_found)


def named(name: str) -> Mapping:
    """The mapping of a name.

    Args:
        name: "source->target", or "source->target/left" where a single hand is meant.

    Raises:
        DataError: a name of another form.
    """
    pair, _, side = name.partition("/") if name.endswith(("/left", "/right")) else (name, "", "")
    source, arrow, target = pair.partition(ARROW)
    if not arrow or not source.strip() or not target.strip():
        raise DataError(
            f"a mapping is called 'source{ARROW}target', such as 'aic{ARROW}coco', got '{name}'"
        )
    return find(source.strip(), target.strip(), side=side)


def overview() -> list[Mapping]:
    """Mappings between all different layouts that have at least one measured keypoint."""
    found = []
    for source in names():
        for target in names():
            if source == target:
                continue
            sides = SIDES if (source in HANDS) != (target in HANDS) else ("",)
            for side in sides:
                try:
                    mapping = find(source, target, side=side)
                except DataError:
                    continue
                if mapping.counts["measured"]:
                    found.append(mapping)
    return found


def made_of(points: Sequence[str], keypoints: Sequence[str]) -> list[Joint]:
    """Points in words that schemas share, and where they are among keypoints of any names.

    Args:
        points: a name of a keypoint, or a word such as "left_hip"; sums "left_hip + right_hip" are
            the mean; alternatives are parted by " | ", the best first.
        keypoints: names; of an unknown schema they are read as words, "LeftHip" as "left_hip".

    Returns:
        A joint for each point, `missing` where nothing makes it.

    Example:
        >>> from poise.schemas import get
        >>> h36m = [point["name"] for point in get("h36m")["keypoint_info"].values()]
        >>> [joint.terms for joint in made_of(["left_ankle", "left_hip + right_hip"], h36m)]
        [((6, 1.0),), ((4, 0.5), (1, 0.5))]
    """
    own, words, kind = _shared_words(tuple(keypoints))
    return [_sum(point, own, words, f"{kind} " if kind else "") for point in points]


def kind_of(keypoints: Sequence[str]) -> str:
    """Kind of creature whose keypoints have just these names: "" for people and unknown ones."""
    return _shared_words(tuple(keypoints))[2]


def sides_of(keypoints: Sequence[str]) -> tuple[str, ...]:
    """Sides that keypoints of these names have: left and right, or one without a name."""
    one_hand = "wrist" in _shared_words(tuple(keypoints))[1]
    return ("",) if one_hand else SIDES


@functools.lru_cache(maxsize=32)
def _shared_words(keypoints: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int], str]:
    """Own name -> place, common word -> place, and the kind of creature."""
    schema = schema_of_names(keypoints)
    words = [_plain(name) for name in keypoints] if schema is None else _words(schema, "")
    places: dict[str, int] = {}
    for i, word in enumerate(words):
        places.setdefault(word, i)
    return {name: i for i, name in enumerate(keypoints)}, places, KINDS.get(schema or "", "")


def _plain(name: str) -> str:
    """A name in words, with its side in front: "LKnee" and "knee_left" are "left_knee"."""
    words = [{"l": "left", "r": "right"}.get(w, w) for w in plain_name(name).split("_")]
    return "_".join(sorted(words, key=lambda word: word not in SIDES))


def _sum(point: str, own: Table[str, int], words: Table[str, int], kind: str) -> Joint:
    for way in point.split(" | "):
        parts = [
            Joint(part, "measured", ((own[part], 1.0),))
            if part in own
            else _joint(part, kind + part, words, {}, "")
            for part in way.split(" + ")
        ]
        if all(part.terms for part in parts):
            terms = tuple((i, w / len(parts)) for part in parts for i, w in part.terms)
            return Joint(point, parts[0].kind if len(parts) == 1 else "derived", terms)
    return Joint(point)


def _points(schema: str) -> tuple[str, ...]:
    return _points_of_table(schema) if known(schema) else _read_points(schema)


def _read_points(schema: str) -> tuple[str, ...]:
    return tuple(point["name"] for point in get(schema)["keypoint_info"].values())


_points_of_table = functools.cache(_read_points)


def _words(schema: str, prefix: str) -> list[str]:
    """Common words of a schema's keypoints."""
    points = _points(schema)
    if schema in FACE_LAYOUTS:
        return [f"{FACE_LAYOUTS[schema]}{i}" for i in range(len(points))]
    own = dict(entry.split("=") for entry in WORDS.get(schema, "").split())
    words = [own.get(point.replace(" ", "_"), point) for point in points]
    if prefix:
        words = [prefix + ("hand_root" if word == "wrist" else word) for word in words]
    kind = KINDS.get(schema, "")
    return [f"{kind} {word}" for word in words] if kind else words


def _direct(source: str, target: str, prefixes: list[str]) -> Mapping:
    places: dict[str, int] = {}
    for i, word in enumerate(_words(source, prefixes[0])):
        places.setdefault(word, i)
    ours, words = _points(target), _words(target, prefixes[1])
    faces, order = _face_ways(places, words)
    joints = tuple(
        _joint(name, word, places, faces, target) for name, word in zip(ours, words, strict=True)
    )
    return Mapping(source, target, _points(source), joints, _listing(joints, order, target))


def _listing(joints: tuple[Joint, ...], order: list[int], target: str) -> tuple[int, ...]:
    """Places in the order of the face table, then of the source (or the target)."""
    rest = [i for i, joint in enumerate(joints) if joint.terms and i not in order]
    if target not in BY_TARGET_ORDER:
        rest.sort(key=lambda i: joints[i].terms[0][0])
    return (*order, *rest)


def _face_ways(
    places: Table[str, int], words: list[str]
) -> tuple[dict[str, tuple[int, ...]], list[int]]:
    """Target word -> source places, by the tables of faces; and target places in their order."""
    ways: dict[str, tuple[int, ...]] = {}
    ours = {word: i for i, word in enumerate(words)}
    backward: dict[str, tuple[int, ...]] = {}
    for (theirs, target), text in FACE_PAIRS.items():
        if f"{theirs}0" in places and f"{target}0" in ours:
            for sources, number in numbered(text):
                ways[f"{target}{number}"] = tuple(places[f"{theirs}{n}"] for n in sources)
        elif f"{target}0" in places and f"{theirs}0" in ours:
            for sources, number in numbered(text):
                if len(sources) == 1:
                    backward.setdefault(f"{theirs}{sources[0]}", (places[f"{target}{number}"],))
    # a table read backwards only where none leads forwards
    ways = ways or backward
    return ways, [ours[word] for word in ways]


def _joint(
    name: str,
    word: str,
    places: Table[str, int],
    faces: Table[str, tuple[int, ...]],
    target: str,
) -> Joint:
    if word in faces:
        sources = faces[word]
        kind: Kind = "measured" if len(sources) == 1 else "derived"
        return Joint(name, kind, tuple((i, 1 / len(sources)) for i in sources))
    if word in places:
        return Joint(name, "measured", ((places[word], 1.0),))
    kind_of, _, plain = word.rpartition(" ")
    ways = (OWN_WAYS.get(target, {}).get(plain), WAYS.get(kind_of, {}).get(plain))
    for way in " | ".join(filter(None, ways)).split(" | "):
        terms = _terms(way, places, f"{kind_of} " if kind_of else "")
        if terms:
            single = len(terms) == 1 and not way.startswith("~")
            return Joint(name, "measured" if single else "derived", terms)
    return Joint(name)


def _terms(way: str, places: Table[str, int], prefix: str) -> tuple[tuple[int, float], ...]:
    """(place, weight) of a way such as "3 neck + head_top", empty where a word is lacking."""
    parts: list[tuple[int, float]] = []
    for part in way.removeprefix("~").split(" + "):
        weight, _, word = part.rpartition(" ")
        if prefix + word not in places:
            return ()
        parts.append((places[prefix + word], float(weight or 1)))
    total = sum(weight for _, weight in parts)
    return tuple((place, weight / total) for place, weight in parts)
