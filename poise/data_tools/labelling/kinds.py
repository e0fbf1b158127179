"""Who the keypoints of each category are: names, links, colours and sides, for the page."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise._words import counted, shortened
from poise.check.categories import OWN
from poise.check.keypoints import describe_content
from poise.errors import DataError
from poise.inference.detectors.targets import category_name
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["Kind", "kinds_of", "new_category"]

#: part of the circle of hues from blue to pink: the sides are green and orange
_NEITHER_SIDE = (0.58, 0.95)


@dataclass(frozen=True)
class Kind:
    """A category whose keypoints can be labelled.

    Attributes:
        category: its id.
        name: its name.
        keypoints: names of the K keypoints.
        asked: indices of those that are asked for; a category of a joined file has not all.
        swap: K indices, of each keypoint's other side.
        links: pairs of indices.
        colors, link_colors: "#rrggbb" of each keypoint and link.
    """

    category: Any
    name: str
    keypoints: list[str]
    asked: list[int]
    swap: list[int]
    links: list[tuple[int, int]]
    colors: list[str]
    link_colors: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The same for the page."""
        return asdict(self)


def kinds_of(
    content: Mapping[str, Any], path: Path, keypoints: str | None = None
) -> dict[Any, Kind]:
    """Category id -> kind, of the categories with keypoints.

    Args:
        content: of a COCO file.
        path: the file, for error texts.
        keypoints: schema, metadata file or names, which decide where they are given.

    Raises:
        DataError: none has keypoints, or other ones than the given.
    """
    lengths: dict[Any, int] = {}
    for person in content["annotations"]:
        if person.get("keypoints"):
            lengths.setdefault(person.get("category_id"), len(person["keypoints"]))
    found = {}
    for category in content["categories"]:
        count = len(category.get("keypoints") or ()) or lengths.get(category.get("id"), 0) // 3
        if count:
            found[category["id"]] = _kind(content, category, count, path, keypoints)
    if not found:
        raise DataError(
            f"{path} has no category with keypoints; say which there are with --keypoints, such as "
            "--keypoints coco or --keypoints nose,left_ear,right_ear,tail"
        )
    return found


def _kind(
    content: Mapping[str, Any],
    category: Mapping[str, Any],
    count: int,
    path: Path,
    keypoints: str | None,
) -> Kind:
    # what is asked of a file holds for each category alone
    alone = {
        "info": content.get("info"),
        "categories": [category],
        "annotations": [{"category_id": category["id"], "keypoints": [0] * 3 * count}],
    }
    report = describe_content(alone, path)
    meta, given = parse_pose_metainfo(report.metainfo), None
    if keypoints is not None:
        names, given = _given(keypoints)
        if names != report.names:
            raise DataError(
                f"{path}: category '{category.get('name')}' has {_listed(report.names)}; "
                f"--keypoints {keypoints} are {_listed(names)}. Leave it out to go on with those "
                "of the file"
            )
        meta = given or meta
    own = category.get(OWN) or report.names
    swap = [int(k) for k in meta["flip_indices"]]
    colors, link_colors = _css(meta["keypoint_colors"]), _css(meta["skeleton_link_colors"])
    if not report.known and given is None:
        # those without another side are all of one colour
        middle = [k for k, other in enumerate(swap) if other == k]
        for k, color in zip(middle, _spread(len(middle), whole=len(middle) == count), strict=True):
            colors[k] = color
        link_colors = [colors[a] for a, *_ in meta["skeleton_links"]]
    links = [(int(a), int(b)) for a, b, *_ in meta["skeleton_links"]]
    return Kind(
        category["id"],
        str(category.get("name", category["id"])),
        report.names,
        [k for k, name in enumerate(report.names) if name in own],
        swap,
        links,
        colors,
        link_colors,
    )


def new_category(keypoints: str, name: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A category of COCO's form, and what `info` says of its sides.

    Args:
        keypoints: name of a schema, metadata file, or names with commas between.
        name: of the category; by the keypoints without it.

    Raises:
        DataError: names that are empty or occur twice.
        FileMissingError: no such schema.
    """
    names, meta = _given(keypoints)
    links = [[int(a) + 1, int(b) + 1] for a, b, *_ in meta["skeleton_links"]] if meta else []
    name = name or category_name(meta or names)
    category = {"id": 1, "name": name, "keypoints": names, "skeleton": links}
    swap = [int(k) for k in meta["flip_indices"]] if meta else []
    # no pairs are nothing known: a reader that is told so would mirror pictures
    return category, {"flip_indices": swap} if swap != sorted(swap) else {}


def _given(keypoints: str) -> tuple[list[str], dict[str, Any] | None]:
    """Names, and the parsed schema where it is one."""
    if "," not in keypoints or Path(keypoints).is_file():
        meta = parse_pose_metainfo(schemas.get(keypoints))
        return list(meta["keypoint_id2name"].values()), meta
    names = [name.strip() for name in keypoints.split(",")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not all(names) or twice:
        what = f"{', '.join(twice)} occurs twice" if twice and all(names) else "one is empty"
        raise DataError(
            f"--keypoints takes a schema (coco), a metadata file, or names with commas between "
            f"(nose,left_ear,right_ear,tail); got '{keypoints}', where {what}"
        )
    return names, None


def _listed(names: Sequence[str]) -> str:
    return f"{counted(len(names), 'keypoint')} ({shortened(names)})"


def _css(colors: Iterable[Sequence[int]] | np.ndarray) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*(int(c) for c in color)) for color in colors]


def _spread(count: int, *, whole: bool) -> list[str]:
    """Colours that differ: of the whole circle, or those that are of neither side."""
    first, last = (0.0, 1.0) if whole else _NEITHER_SIDE
    steps = (first + (last - first) * k / max(1, count) for k in range(count))
    hues = (colorsys.hls_to_rgb(hue, 0.6, 0.9) for hue in steps)
    return _css([[round(255 * c) for c in hue] for hue in hues])
