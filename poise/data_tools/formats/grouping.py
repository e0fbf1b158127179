"""Which points and boxes belong to one person, where a tool draws them as single shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poise.data_tools.formats.collection import Draft

__all__ = ["HIDING", "LooseBox", "LoosePoint", "group_shapes", "says_hidden"]

#: a point this far outside of a box, in parts of its longer side, still belongs to it
REACH = 0.1
#: what people write for keypoints that cannot be seen, where a tool has no mark for it
HIDING = ("occluded", "hidden", "invisible", "not visible", "difficult")
_YES = ("true", "1", "yes")


@dataclass
class LoosePoint:
    """A labelled point: label, place (image space), visibility, group or None."""

    label: str
    x: float
    y: float
    visible: float
    group: Any = None


@dataclass
class LooseBox:
    """A box xyxy, image space, with its label, and group or None."""

    label: str
    box: tuple[float, float, float, float]
    group: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    def distance(self, point: LoosePoint) -> float:
        """How far a point is outside, in parts of the longer side; 0 inside."""
        left, top, right, bottom = self.box
        across = max(left - point.x, point.x - right, 0.0)
        down = max(top - point.y, point.y - bottom, 0.0)
        return float(max(across, down) / max(right - left, bottom - top, 1e-9))

    @property
    def area(self) -> float:
        """Square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


def group_shapes(
    points: Sequence[LoosePoint],
    boxes: Sequence[LooseBox],
    where: str,
    drop: Callable[[str, Any], None],
) -> list[Draft]:
    """The people of one picture.

    A point belongs to the person of its group; without a group to that of the smallest box that
    holds it, or nearly so, lacks such a keypoint, and has no points by a group; in a picture with
    one person at most, to that one.

    Args:
        points, boxes: of the picture.
        where: the picture, for reports.
        drop: counts what belongs to nobody.
    """
    drafts: dict[Any, Draft] = {}
    holders: list[tuple[LooseBox, Draft]] = []
    for number, box in enumerate(boxes):
        draft = Draft({}, box.box, box.label, f"{where} box {number + 1}", dict(box.more))
        key = ("group", box.group) if box.group is not None else ("box", number)
        if key in drafts:
            # a second box of the group is a thing by itself
            key = ("box", number)
        drafts[key] = draft
        holders.append((box, draft))
    loose = []
    for point in points:
        if point.group is None:
            loose.append(point)
            continue
        key = ("group", point.group)
        draft = drafts.setdefault(key, Draft({}, None, where=f"{where} group {point.group}"))
        if not _put(draft, point):
            drop("keypoints of a name that the group has already", f"{where} {point.label}")
    # whoever names the points of a box by its group means these and no others
    named = {point.group for point in points if point.group is not None}
    open_ones = [n for n, (box, _) in enumerate(holders) if box.group not in named]
    homeless = []
    for point in loose:
        boxed = [(n, holders[n][0]) for n in open_ones]
        near = [(box.distance(point), box.area, n) for n, box in boxed]
        taken = any(
            _put(holders[n][1], point) for distance, _, n in sorted(near) if distance <= REACH
        )
        if not taken:
            homeless.append(point)
    if not _put_together(drafts, homeless, where):
        for point in homeless:
            drop("keypoints that no group or box gives to a person", f"{where} {point.label}")
    return list(drafts.values())


def says_hidden(said: Mapping[str, Any]) -> bool:
    """Whether attributes of a keypoint say that it cannot be seen.

    Example:
        >>> says_hidden({"occluded": True}), says_hidden({"occluded": False})
        (True, False)
        >>> says_hidden({"visibility": "hidden"})
        True
    """
    words = [(str(k).strip().lower(), str(v).strip().lower()) for k, v in said.items()]
    return any(value in HIDING or (key in HIDING and value in _YES) for key, value in words)


def _put(draft: Draft, point: LoosePoint) -> bool:
    """Give a point to a person who lacks it."""
    if point.label in draft.points:
        return False
    draft.points[point.label] = (point.x, point.y, point.visible)
    return True


def _put_together(drafts: dict[Any, Draft], points: list[LoosePoint], where: str) -> bool:
    """Give points to the only person of the picture, if there is one at most.

    Where a name occurs twice there were more people, and who has what is not known.
    """
    labels = [point.label for point in points]
    only = next(iter(drafts.values()), None)
    known = labels + list(only.points if only else ())
    if len(drafts) > 1 or len(set(known)) < len(known):
        return False
    if points and only is None:
        only = drafts["alone"] = Draft({}, None, where=where)
    return all(only is not None and _put(only, point) for point in points)
