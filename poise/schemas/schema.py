"""The compact form of a description of keypoints, and its expansion to MMPose's `dataset_info`.

One dict a keypoint says the same five things again and again; here a row holds a run of
keypoints of one kind, a chain of names holds its links, and left and right find each other.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["COLORS", "Schema", "chains", "expand_links", "expand_points", "names_of", "numbers"]

COLORS: dict[str, tuple[int, int, int]] = {
    "orange": (255, 128, 0),
    "green": (0, 255, 0),
    "blue": (51, 153, 255),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "pink": (255, 153, 255),
    "sky": (102, 178, 255),
    "coral": (255, 51, 51),
}
"""Colours that many tables use; others are written in hexadecimal, "ff8000"."""


@dataclass(frozen=True)
class Schema:
    """One dataset's keypoints, as text tables that are joined with `+`.

    Attributes:
        dataset_name: as MMPose's file says it.
        paper: key of the `papers` table, or several joined with "+".
        points: rows `part colours: names` with part "upper", "lower" or "-". Names are separated
            by commas, `face-0..67` stands for 68 names, colours are taken in turn. Names that
            differ in left and right are each other's other side. Rows `swap face-: 0 16 8, ...`
            pair numbered keypoints: face-0 with face-16, then face-1 with face-15, 8 times. Where
            the number is not last, `*` is it, and the others may be called differently:
            `swap left_line_*_end right_line_*_end: 1 2 2`.
        links: rows `colours: chains`, see `chains`.
        weights: a number for each keypoint, `1.2*4` for four; one number means all.
        sigmas: as weights; none where they are unknown.
        stats: `stats_info`.
    """

    dataset_name: str
    paper: str
    points: str
    links: str = ""
    weights: str = "1"
    sigmas: str = ""
    stats: dict[str, Any] | None = None

    def expand(self) -> dict[str, Any]:
        """The `dataset_info` dict of MMPose's metadata files, newly made."""
        from poise.schemas.papers import paper_info

        points = expand_points(self.points)
        weights = numbers(self.weights)
        info: dict[str, Any] = {
            "dataset_name": self.dataset_name,
            "paper_info": paper_info(self.paper),
            "keypoint_info": points,
            "skeleton_info": expand_links(self.links),
            "joint_weights": weights * len(points) if len(weights) == 1 else weights,
            "sigmas": numbers(self.sigmas),
        }
        if self.stats is not None:
            info["stats_info"] = dict(self.stats)
        return info


def expand_points(text: str) -> dict[int, dict[str, Any]]:
    """`keypoint_info` of a table: id -> name, id, color, type, swap."""
    info: dict[int, dict[str, Any]] = {}
    pairs: list[tuple[str, str]] = []
    for head, body in _rows(text):
        part, *colors = head.split()
        if part == "swap":
            pairs += _numbered_pairs(colors, body)
            continue
        for name, color in zip(names_of(body), itertools.cycle(colors), strict=False):
            info[len(info)] = {
                "name": name,
                "id": len(info),
                "color": _color(color),
                "type": part.strip("-"),
            }
    names = {point["name"] for point in info.values()}
    swaps = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    for point in info.values():
        other = _other_side(point["name"])
        by_name = other if other in names and other != point["name"] else ""
        point["swap"] = swaps.get(point["name"], by_name)
    return info


def expand_links(text: str) -> dict[int, dict[str, Any]]:
    """`skeleton_info` of a table: id -> link, id, color."""
    links = [
        (pair, _color(color))
        for colors, body in _rows(text)
        for pair, color in zip(chains(body), itertools.cycle(colors.split()), strict=False)
    ]
    return {i: {"link": pair, "id": i, "color": color} for i, (pair, color) in enumerate(links)}


def numbers(text: str) -> list[float]:
    """Numbers of a text such as "1 0.5*2".

    Example:
        >>> numbers("1 0.5*2")
        [1.0, 0.5, 0.5]
    """
    values: list[float] = []
    for word in text.split():
        value, _, times = word.partition("*")
        values += [float(value)] * int(times or 1)
    return values


def _rows(text: str) -> list[tuple[str, str]]:
    """(before the colon, after it) of each row; a line without a colon continues its row."""
    rows: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, colon, body = line.partition(":")
        if colon:
            rows.append((head, body.strip()))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line}")
    return rows


def _numbered_pairs(patterns: list[str], text: str) -> list[tuple[str, str]]:
    """Pairs of a row `swap`.

    Args:
        patterns: of one keypoint and the other; one if they are called alike.
        text: runs of "first last count".
    """
    one, other = (p if "*" in p else f"{p}*" for p in (patterns[0], patterns[-1]))
    pairs: list[tuple[str, str]] = []
    for run in text.split(","):
        first, last, count = map(int, run.split())
        pairs += [
            (one.replace("*", str(first + i)), other.replace("*", str(last - i)))
            for i in range(count)
        ]
    return pairs


def names_of(text: str, separator: str = ",") -> list[str]:
    """Names in a text; `kpt3..5` counts up, `kpt5..3` down.

    Example:
        >>> names_of("wrist, thumb1..3")
        ['wrist', 'thumb1', 'thumb2', 'thumb3']
    """
    names: list[str] = []
    for word in text.split(separator):
        counted = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)", word.strip())
        names += _counted(*counted.groups()) if counted else [word.strip()]
    return names


def _counted(prefix: str, first: str, last: str) -> Iterable[str]:
    a, b = int(first), int(last)
    step = 1 if b >= a else -1
    return [f"{prefix}{i}" for i in range(a, b + step, step)]


def chains(text: str) -> list[tuple[str, str]]:
    """Links of chains such as "hip > knee > ankle, hip > spine", in order.

    Example:
        >>> chains("a > b > c, a > d")
        [('a', 'b'), ('b', 'c'), ('a', 'd')]
    """
    links: list[tuple[str, str]] = []
    for chain in text.split(","):
        names = names_of(chain, ">")
        links += itertools.pairwise(names)
    return links


def _color(name: str) -> list[int]:
    return list(COLORS.get(name) or bytes.fromhex(name))


_SIDES = {"left": "right", "Left": "Right", "L": "R"}
_SIDES |= {right: left for left, right in _SIDES.items()}
# a word of its own, or a single letter at the end as in "eyeL" and "forelegR2"
_SIDE = re.compile(r"(?<![A-Za-z])(?:left|right|Left|Right|L|R)(?![a-z])|(?<=[a-z])[LR](?=\d*$)")


def _other_side(name: str) -> str:
    """Name with its left and right exchanged; the name itself if it has none of the words."""
    return _SIDE.sub(lambda found: _SIDES[found[0]], name)
