"""Checks of a user's metadata file, so that a fault is named where it was written.

MMPose looks only whether five keys exist; a wrong length or name shows up three layers later as
a shape error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from poise.config import where
from poise.errors import DataError, UnknownNameError, nearest

__all__ = ["UnknownKeypointError", "validate"]

_REQUIRED = ("dataset_name", "keypoint_info", "skeleton_info", "joint_weights", "sigmas")


class UnknownKeypointError(DataError, UnknownNameError):
    """A swap or link names a keypoint that does not exist."""


def validate(info: Mapping[str, Any], source: str, *, needs_weights: bool = True) -> None:
    """Check a `dataset_info` dict.

    Args:
        info: the dict; a ConfigDict gives the lines of its keys to error texts.
        source: file or name it came from.
        needs_weights: whether `joint_weights=[]` is an error.

    Raises:
        DataError: a part is missing, numbers do not fit the keypoints, names are twice or
            unknown, swaps are not mutual.
    """
    _Check(info, source).run(needs_weights)


class _Check:
    def __init__(self, info: Mapping[str, Any], source: str) -> None:
        self.info = info
        self.source = source

    def fail(
        self, container: Any, key: Any, text: str, kind: type[DataError] = DataError
    ) -> NoReturn:
        """Raise the error with the place of a key."""
        place = where(container, key) or where(container) or self.source
        raise kind(f"{place}: {text}")

    def run(self, needs_weights: bool) -> None:
        """All checks, from the outside in."""
        for name in _REQUIRED:
            if name not in self.info:
                self.fail(
                    self.info,
                    None,
                    f"dataset_info lacks '{name}'{nearest(name, map(str, self.info))} "
                    f"(it needs {', '.join(_REQUIRED)}; sigmas=[] where they are unknown)",
                )
        names = self.check_keypoints()
        self.check_swaps(names)
        self.check_links(names)
        self.check_numbers("joint_weights", len(names), may_be_empty=not needs_weights)
        self.check_numbers("sigmas", len(names), may_be_empty=True)
        self.check_statistics()

    def entries(self, section: str) -> list[tuple[int, Mapping[str, Any]]]:
        """(key, entry) of keypoint_info or skeleton_info, whose keys count from 0."""
        table = self.info[section]
        if not isinstance(table, Mapping):
            self.fail(self.info, section, f"'{section}' is a dict 0: dict(...), 1: dict(...), ...")
        if list(table) != list(range(len(table))):
            odd = next(key for i, key in enumerate(table) if key != i)
            self.fail(
                table,
                odd,
                f"the keys of '{section}' count from 0 without gaps and in order, but number "
                f"{list(table).index(odd)} is {odd!r}",
            )
        for key, entry in table.items():
            if not isinstance(entry, Mapping):
                self.fail(table, key, f"'{section}' {key} is a dict, got {entry!r}")
            self.check_color(section, key, entry)
        return list(table.items())

    def check_color(self, section: str, key: int, entry: Mapping[str, Any]) -> None:
        """A colour is three numbers of a byte."""
        color = _plain(entry.get("color", (0, 0, 0)))
        good = isinstance(color, (list, tuple)) and len(color) == 3
        if not good or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
            self.fail(
                entry,
                "color",
                f"the color of '{section}' {key} is three numbers 0..255, got {color!r}",
            )

    def check_keypoints(self) -> dict[str, int]:
        """Name -> key."""
        names: dict[str, int] = {}
        for key, point in self.entries("keypoint_info"):
            name = point.get("name")
            if not isinstance(name, str) or not name:
                self.fail(point, "name", f"keypoint {key} needs a 'name', got {name!r}")
            if name in names:
                self.fail(
                    point,
                    "name",
                    f"keypoints {names[name]} and {key} are both called '{name}'; names are unique",
                )
            names[name] = key
        if not names:
            self.fail(self.info, "keypoint_info", "'keypoint_info' has no keypoints")
        return names

    def check_swaps(self, names: Mapping[str, int]) -> None:
        """Left and right name each other."""
        swaps = {p["name"]: p.get("swap") or "" for _, p in self.entries("keypoint_info")}
        for key, point in self.entries("keypoint_info"):
            name, other = point["name"], swaps[point["name"]]
            if other and (not isinstance(other, str) or other not in names):
                self.fail(
                    point,
                    "swap",
                    f"'swap' of keypoint {key} '{name}' names {other!r}, which does not "
                    f"exist{nearest(str(other), names)}",
                    UnknownKeypointError,
                )
            if other and other != name and swaps[other] != name:
                self.fail(
                    point,
                    "swap",
                    f"keypoint '{name}' swaps with '{other}', but '{other}' swaps with "
                    f"'{swaps[other]}'; a swap is mutual: set swap='{name}' there, or swap='' here",
                )

    def check_links(self, names: Iterable[str]) -> None:
        """Links join two keypoints."""
        known = set(names)
        for key, link in self.entries("skeleton_info"):
            ends = link.get("link")
            if not isinstance(ends, (list, tuple)) or len(ends) != 2:
                self.fail(link, "link", f"link {key} is a pair of keypoint names, got {ends!r}")
            for end in ends:
                if not isinstance(end, str) or end not in known:
                    self.fail(
                        link,
                        "link",
                        f"link {key} names the keypoint {end!r}, which does not "
                        f"exist{nearest(str(end), known)}",
                        UnknownKeypointError,
                    )

    def check_numbers(self, name: str, count: int, *, may_be_empty: bool) -> None:
        """One number for each keypoint."""
        values = _plain(self.info[name])
        if not isinstance(values, (list, tuple)):
            self.fail(self.info, name, f"'{name}' is a list of numbers, got {values!r}")
        if len(values) != count and not (may_be_empty and not values):
            hint = ", or none where they are unknown" if may_be_empty else ""
            self.fail(
                self.info,
                name,
                f"'{name}' has {len(values)} numbers for {count} keypoints; give one each{hint}",
            )
        for i, value in enumerate(values):
            wrong = not _is_number(value) or not 0 <= value < float("inf")
            if wrong or (name == "sigmas" and value == 0):
                least = "above 0" if name == "sigmas" else "of at least 0"
                self.fail(self.info, name, f"'{name}' {i} is a number {least}, got {value!r}")

    def check_statistics(self) -> None:
        """Numbers by their names, or lists of numbers."""
        stats = self.info.get("stats_info", {})
        if not isinstance(stats, Mapping):
            self.fail(self.info, "stats_info", f"'stats_info' is a dict, got {stats!r}")
        for name, given in stats.items():
            value = _plain(given)
            if not all(map(_is_number, value if isinstance(value, (list, tuple)) else [value])):
                self.fail(
                    stats, name, f"'{name}' of 'stats_info' is one or more numbers, got {value!r}"
                )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(values: Any) -> Any:
    """An array as a list."""
    return values.tolist() if hasattr(values, "tolist") else values
