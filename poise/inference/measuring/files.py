"""Tables of angles: CSV for spreadsheets, `.mot` for OpenSim, lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.inference.measuring.people import Person

__all__ = [
    "absent_lines",
    "csv_text",
    "is_finger",
    "mot_text",
    "picture_csv",
    "range_rows",
    "split_side",
]

#: angle -> coordinate of OpenSim's models of the whole body (Rajagopal et al. 2016), and its sign
_COORDINATES = {
    "hip_flexion": ("hip_flexion", 1),
    "hip_abduction": ("hip_adduction", -1),
    "knee_flexion": ("knee_angle", 1),
    "ankle_dorsiflexion": ("ankle_angle", 1),
    "shoulder_flexion": ("arm_flex", 1),
    "shoulder_abduction": ("arm_add", -1),
    "elbow_flexion": ("elbow_flex", 1),
    "trunk_lean": ("pelvis_tilt", -1),
    "pelvis_obliquity": ("pelvis_list", 1),
    "trunk_rotation": ("lumbar_rotation", 1),
}


def csv_text(people: Sequence[Person]) -> str:
    """`frame, time, person`, then each angle in degrees, then `ANGLE_velocity`; rows by frame.

    Cells of angles that are not known are empty.
    """
    names = list(dict.fromkeys(name for person in people for name in person.angles.names))
    blocks, keys = [], []
    for person in people:
        count = len(person.times)
        whole = np.full((count, len(names)), np.nan)
        columns = [names.index(name) for name in person.angles.names]
        whole[:, columns] = person.angles.values
        if person.rates is not None:
            rates = np.full_like(whole, np.nan)
            rates[:, columns] = person.rates
            whole = np.concatenate((whole, rates), 1)
        frames = person.first + np.arange(count)
        key = np.stack((frames, person.times, np.full(count, person.identity)), -1)
        keys.append(key[person.present])
        blocks.append(whole[person.present])
    head = ["frame", "time", "person", *names]
    if people[0].rates is not None:
        head += [f"{name}_velocity" for name in names]
    key, values = np.concatenate(keys), np.concatenate(blocks)
    order = np.lexsort((key[:, 2], key[:, 0]))
    table = np.concatenate((key, values), 1)[order]
    return _lines(head, "%d,%.4f,%d", table)


def picture_csv(
    images: Sequence[str], people: Sequence[int], names: Sequence[str], values: Array
) -> str:
    """`image, person`, then each angle, of pictures that are no video.

    Args:
        images: (M,) names, a row a person.
        people: (M,) place in the picture.
        names: of the A angles.
        values: (M, A) degrees.
    """
    cells = _lines(
        ["image", "person", *names], "%d", np.column_stack((people, values))
    ).splitlines()
    quoted = ['"{}"'.format(i.replace('"', '""')) if set(i) & set(',"\n') else i for i in images]
    rows = [f"{image},{row}" for image, row in zip(quoted, cells[1:], strict=True)]
    return "\n".join([cells[0], *rows]) + "\n"


def _lines(head: Sequence[str], keys: str, table: Array) -> str:
    form = ",".join((keys, *["%.2f"] * (table.shape[1] - keys.count("%"))))
    rows = [(form % tuple(row)).replace("nan", "") for row in table.tolist()]
    return "\n".join([",".join(head), *rows]) + "\n"


def mot_text(name: str, person: Person) -> str:
    """A motion as OpenSim reads it, in degrees; columns have the names of its models' coordinates.

    Angles for which these have none keep their own, frames where one is not known say nan.
    """
    columns, signs = [], []
    for own in person.angles.names:
        side, plain = split_side(own)
        theirs, sign = _COORDINATES.get(plain, (plain, 1))
        columns.append(f"{theirs}_{side[0]}" if side else theirs)
        signs.append(sign)
    table = np.column_stack((person.times, person.angles.values * signs))
    head = [name, "version=1", f"nRows={len(table)}", f"nColumns={table.shape[1]}", "inDegrees=yes"]
    form = "\t".join(("%.6f", *["%.4f"] * len(columns)))
    rows = [form % tuple(row) for row in table.tolist()]
    return "\n".join([*head, "endheader", "\t".join(("time", *columns)), *rows]) + "\n"


def range_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A table of a person's ranges, its head first: left and right in one row.

    Args:
        summary: as `Person.summary` gives it.
    """
    ranges = summary["angles"]
    plain = dict.fromkeys(split_side(n)[1] for n in ranges)
    rows = [["degrees", "left or middle", "right", "left moves more", "unsure frames"]]
    for name in plain:
        sides = [ranges.get(name) or ranges.get(f"left_{name}"), ranges.get(f"right_{name}")]
        more = summary["symmetry"].get(name)
        unsure = max(side["unsure_frames"] for side in sides if side)
        cells = [
            ""
            if not side
            else "-"
            if side["min"] is None
            else f"{round(side['min'])} to {round(side['max'])}"
            for side in sides
        ]
        rows.append([name, *cells, "" if more is None else f"{round(more):+} %", str(unsure)])
    return rows


def absent_lines(absent: Mapping[str, str]) -> list[str]:
    """What is not measured and why, a line a reason, left and right as one."""
    reasons: dict[str, list[str]] = {}
    for name, why in absent.items():
        one = split_side(name)[1]
        reason = why.replace("left_", "").replace("right_", "").replace(" | ", " or ")
        if is_finger(one) and why.startswith("no "):
            one, reason = "flexion of fingers", "no keypoints of these"
        if one not in reasons.setdefault(reason, []):
            reasons[reason].append(one)
    return [f"not measured, {why}: {', '.join(names)}" for why, names in reasons.items()]


def split_side(angle: str) -> tuple[str, str]:
    """Side and rest of an angle's name; "left_knee_flexion" is ("left", "knee_flexion")."""
    side, _, rest = angle.partition("_")
    return (side, rest) if side in ("left", "right") else ("", angle)


def is_finger(angle: str) -> bool:
    """Whether an angle is one of the many of hands."""
    return "finger" in angle or "thumb" in angle
