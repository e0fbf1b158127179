"""3D poses as one web page that needs nothing else: turn, zoom, play."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.structures import keypoint_names
from poise.visualization.style import Palette

__all__ = ["viewer_page"]

_TEMPLATE = Path(__file__).with_name("viewer3d.html")
_MILLIMETRES = 1000.0
#: Stands for a keypoint that is not there; the page knows it, too. And the largest number.
_ABSENT, _FARTHEST = -32_768, 32_767
#: Metres between people who are put beside one another.
_APART = 1.3


def viewer_page(
    people: Sequence[tuple[str, int, Any]],
    metainfo: Mapping[str, Any],
    *,
    fps: float = 25.0,
    title: str = "",
    note: str = "",
    side_by_side: bool = True,
) -> str:
    """Text of a web page that shows moving people in space.

    Args:
        people: of each name, first frame, and poses (T, K, 3) in metres: x to the right, y away,
            z up; NaN where a keypoint is not known.
        metainfo: parsed meta information with names, links and colours.
        fps: frames a second.
        title: heading of the page.
        note: a line below it, such as the space of the coordinates.
        side_by_side: put people beside one another, for poses that are relative to each one's
            root; False: all stand where they are.

    Returns:
        HTML, with everything inside it; about 6 bytes a keypoint and frame more than the page.

    Raises:
        DataError: nobody, or poses of another shape.
    """
    if not people:
        raise DataError("a page of 3D poses needs at least one person, got none")
    names = keypoint_names(metainfo)
    palette = Palette.of(metainfo, len(names), order="rgb")
    begin = min(first for _, first, _ in people)
    end = max(first + len(poses) for _, first, poses in people)
    shifts = [
        (_APART * (n - (len(people) - 1) / 2)) if side_by_side else 0.0 for n in range(len(people))
    ]
    shaped: list[Array] = []
    low, high, farthest = np.full(3, np.inf), np.full(3, -np.inf), 0.0
    for (name, _, poses), shift in zip(people, shifts, strict=True):
        values = np.asarray(poses, np.float64)
        if values.ndim != 3 or values.shape[1:] != (len(names), 3):
            raise DataError(
                f"poses of '{name}' have the shape (T, {len(names)}, 3), got {values.shape}"
            )
        aside = np.array([shift, 0.0, 0.0])
        known = values[np.isfinite(values).all(-1)]
        if len(known):
            low = np.minimum(low, known.min(0) + aside)
            high = np.maximum(high, known.max(0) + aside)
            farthest = max(farthest, float(np.abs(known).max()))
        shaped.append(values)
    low, high = np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 1)
    step = max(1, math.ceil(farthest * _MILLIMETRES / _FARTHEST))
    scene = {
        "title": title,
        "note": note,
        "fps": fps,
        "frames": end - begin,
        "firstFrame": begin,
        "names": names,
        "links": [
            link for link, c in zip(palette.links.tolist(), palette.link_colors, strict=True) if c
        ],
        "linkColors": [_css(c) for c in palette.link_colors if c],
        "pointColors": [_css(c) for c in palette.points],
        "center": ((low + high) / 2 * _MILLIMETRES).round(1).tolist(),
        "size": float(max((high - low).max(), 0.5) * _MILLIMETRES),
        "floor": float(low[2] * _MILLIMETRES),
        "step": step,
        "people": [
            {
                "name": name,
                "first": first - begin,
                "frames": len(values),
                "shift": shift * _MILLIMETRES,
                "data": _packed(values * (_MILLIMETRES / step)),
            }
            for (name, first, _), shift, values in zip(people, shifts, shaped, strict=True)
        ],
    }
    # what HTML reads in a title would end the script, or begin a comment
    data = json.dumps(scene, separators=(",", ":")).replace("<", "\\u003c")
    before, after = _TEMPLATE.read_text(encoding="utf-8").split("@DATA@")
    return before.replace("@TITLE@", html.escape(title or "3D poses")) + data + after


def _packed(poses: Array) -> str:
    """Numbers as 16-bit integers in base64."""
    known = np.isfinite(poses).all(-1, keepdims=True)
    whole = np.where(known, np.rint(poses), _ABSENT)
    return base64.b64encode(whole.astype("<i2").tobytes()).decode()


def _css(color: Sequence[int] | None) -> str:
    return "transparent" if color is None else "#{:02x}{:02x}{:02x}".format(*color)
