"""Who the keypoints of an annotation file are: names, links, and which change sides in a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise import schemas
from poise._words import counted, shortened
from poise.check.categories import OWN
from poise.check.files import read_annotations
from poise.errors import DataError
from poise.schemas.sides import other_sides, schema_of_names

__all__ = ["KeypointReport", "describe_content", "describe_keypoints"]

_GREEN, _ORANGE, _BLUE = [0, 255, 0], [255, 128, 0], [51, 153, 255]


@dataclass(frozen=True)
class KeypointReport:
    """What a file's keypoints are.

    Attributes:
        metainfo: raw schema, or `from_file` of one that Poise knows.
        names: of the keypoints, in order.
        known: whether Poise knows this set of keypoints, with sigmas and colours.
        mirrored: whether a picture may be mirrored in training.
        said: what was found out or guessed, for people; one sentence each.
    """

    metainfo: dict[str, Any]
    names: list[str]
    known: bool
    mirrored: bool
    said: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of keypoints."""
        return len(self.names)


def describe_keypoints(
    path: Path, count: int | None = None, *, prefer: str | None = None
) -> KeypointReport:
    """Keypoints of an annotation file.

    Args:
        path: COCO-style file.
        count: number that is expected; None takes the file's.
        prefer: name of the schema that the model was trained with.

    Raises:
        DataError: no keypoints, categories with different ones, or another number of them.
    """
    return describe_content(read_annotations(path), path, count, prefer=prefer)


def describe_content(
    content: Mapping[str, Any],
    path: Path,
    count: int | None = None,
    *,
    prefer: str | None = None,
) -> KeypointReport:
    """The same of what was read from a file; arguments and errors as of `describe_keypoints`."""
    category = _category(content, path)
    names = _names(content, category, path)
    if count is not None and count != len(names):
        raise DataError(
            f"--num-keypoints {count}, but {path} has {counted(len(names), 'keypoint')}"
            f" ({shortened(names, 4)}); leave it at auto"
        )
    known = schema_of_names(names, prefer)
    if known is not None:
        said = [f"keypoints: the {len(names)} of {known}, which Poise knows"]
        meta = dict(from_file=f"configs/_base_/datasets/{known}.py")
        swaps = (p.get("swap") for p in schemas.get(known)["keypoint_info"].values())
        return KeypointReport(meta, names, True, any(swaps), said)
    swap, mirrored, told = _swaps(names, content)
    title = str(category.get("name", "mine"))
    schema = _schema(title, names, swap, category.get("skeleton") or ())
    if "joined" in category:
        schema["categories"] = category["joined"]
    return KeypointReport(
        schema,
        names,
        False,
        mirrored,
        [f"keypoints: {len(names)} ({shortened(names, 6)})", *told],
    )


def _category(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The category with keypoints; all with some must have the same."""
    used = {a.get("category_id") for a in content["annotations"] if a.get("keypoints")}
    found = [c for c in content["categories"] if c.get("id") in used]
    if not found:
        raise DataError(f"{path}: no annotation has keypoints of one of its categories")
    named = [c for c in found if c.get("keypoints")] or found
    if any(c.get("keypoints") != named[0].get("keypoints") for c in named):
        raise DataError(
            f"{path} has categories with different keypoints "
            f"({', '.join(str(c.get('name')) for c in named)}); poise train and poise data join "
            "them, `poise data convert FILE -o NEW.json` writes them as one set, and --category "
            "NAME takes one alone"
        )
    if OWN in named[0]:
        joined = [dict(id=c["id"], name=str(c.get("name")), keypoints=c[OWN]) for c in named]
        return {**named[0], "name": "+".join(kind["name"] for kind in joined), "joined": joined}
    return named[0]


def _names(content: Mapping[str, Any], category: Mapping[str, Any], path: Path) -> list[str]:
    first = next(a["keypoints"] for a in content["annotations"] if a.get("keypoints"))
    length = len(first) // 3
    names = [str(name) for name in category.get("keypoints") or ()]
    names = names or [f"keypoint_{number}" for number in range(length)]
    if len(names) != length or len(first) % 3:
        raise DataError(
            f"{path}: category '{category.get('name')}' names {counted(len(names), 'keypoint')}, "
            "an "
            f"annotation has {len(first)} numbers, expected {3 * len(names)} (x, y, v of each); "
            "`poise data convert FILE -o NEW.json` makes triples of pairs and of nested lists"
        )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{path}: the keypoint names {', '.join(twice)} occur twice")
    return names


def _swaps(
    names: Sequence[str], content: Mapping[str, Any]
) -> tuple[dict[str, str], bool, list[str]]:
    """Other side of each keypoint, whether mirroring is safe, and what to say about it."""
    flips = (content.get("info") or {}).get("flip_indices")
    if isinstance(flips, list) and sorted(flips) == list(range(len(names))):
        pairs = {names[i]: names[j] for i, j in enumerate(flips) if i != j}
        told = f"left and right: {counted(len(pairs) // 2, 'pair')}, from info.flip_indices"
        return pairs, True, [told]
    pairs, alone = other_sides(names)
    told = f"left and right: {counted(len(pairs) // 2, 'pair')} guessed from the names"
    if pairs:
        told += f" ({shortened([f'{a}/{b}' for a, b in list(pairs.items())[::2]], 3)})"
    if alone:
        have = "has" if len(alone) == 1 else "have"
        told += f"; {shortened(alone, 3)} {have} no other side"
    if alone or not pairs:
        told += "; pictures are therefore not mirrored"
    return pairs, bool(pairs) and not alone, [told]


def _schema(
    title: str, names: Sequence[str], swap: Mapping[str, str], skeleton: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Raw schema; the first of a pair is green, the second orange, the middle blue."""
    points = {}
    for number, name in enumerate(names):
        other = swap.get(name, "")
        first = bool(other) and names.index(other) > number
        color = _BLUE if not other else _GREEN if first else _ORANGE
        points[number] = dict(name=name, id=number, color=color, type="", swap=other)
    # COCO counts from one, MP-100 from zero
    start = 0 if any(0 in link for link in skeleton) else 1
    ends = [(a - start, b - start) for a, b in skeleton]
    pairs = [(a, b) for a, b in ends if 0 <= a < len(names) and 0 <= b < len(names)]
    links = {
        i: dict(link=(names[a], names[b]), id=i, color=points[a]["color"])
        for i, (a, b) in enumerate(pairs)
    }
    return dict(
        dataset_name=title,
        keypoint_info=points,
        skeleton_info=links,
        joint_weights=[1.0] * len(names),
        sigmas=[],
    )
