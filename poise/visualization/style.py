"""Which colours and how thick: worked out once, so that drawing only draws."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from poise._arrays import Array
from poise.errors import DataError, nearest

__all__ = ["Palette", "Sizes", "check_image", "named_color"]

Color: TypeAlias = tuple[int, int, int]

#: Names that configs use, as red, green, blue.
NAMED_COLORS: dict[str, Color] = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 255, 255),
    "gray": (128, 128, 128),
    "green": (0, 200, 0),
    "lime": (0, 255, 0),
    "magenta": (255, 0, 255),
    "orange": (255, 165, 0),
    "pink": (255, 192, 203),
    "purple": (128, 0, 128),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}
#: One-letter names, as matplotlib has them.
SHORT_NAMES = {
    "b": "blue",
    "c": "cyan",
    "g": "green",
    "k": "black",
    "m": "magenta",
    "r": "red",
    "w": "white",
    "y": "yellow",
}
#: Pixels: finer lines turn grey in videos, which have one colour for four pixels.
LEAST_BOX_LINE = 2
#: Coordinates beyond this many pixels are not drawn: OpenCV's fixed point would overflow.
FARTHEST = 30_000
KEYPOINT_COLOR: Color = (255, 128, 0)
LINK_COLOR: Color = (96, 96, 255)

# Sizes of a picture of PIXELS_PER_LINE squared: a line is one pixel wide.
PIXELS_PER_LINE = 300
PIXELS_PER_RADIUS = 170
#: Largest radius as a part of a person's extent: small people stay recognisable.
RADIUS_PER_PERSON = 0.022
#: Largest line width and radius as a part of a link's length: faces and hands, whose keypoints
#: stand close together, get finer strokes than the body.
WIDTH_PER_LINK = 0.12
RADIUS_PER_LINK = 0.3
#: So many keypoints never crowd a person: each is seen, even where it covers another.
FEW_KEYPOINTS = 40


def check_image(image: Any, *, written: bool = True) -> None:
    """See that something is a picture (H, W, 3) uint8, and can be drawn into.

    Args:
        image: what came.
        written: whether it will be changed.

    Raises:
        DataError: says what came.
    """
    if not isinstance(image, np.ndarray):
        got = type(image).__name__
    elif image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}"
    elif written and not image.flags.writeable:
        got = "one that is read-only; draw into a copy of it"
    else:
        return
    raise DataError(f"expected a picture (H, W, 3) uint8 to draw into, got {got}")


def named_color(color: Any) -> Color:
    """Red, green and blue, 0 to 255, of a name, `#rrggbb`, or three numbers.

    Example:
        >>> named_color("r"), named_color("#0080ff"), named_color([1, 2, 3])
        ((255, 0, 0), (0, 128, 255), (1, 2, 3))
    """
    name = SHORT_NAMES.get(color, color).lower() if isinstance(color, str) else ""
    if name in NAMED_COLORS:
        return NAMED_COLORS[name]
    try:
        parts = list(bytes.fromhex(name[1:]) if name.startswith("#") else color)
        red, green, blue = map(int, parts)
        known = [red, green, blue] == parts and all(0 <= part <= 255 for part in parts)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise DataError(
            f"unknown colour {color!r}{nearest(name, NAMED_COLORS)}; give a name, '#rrggbb' or "
            "three whole numbers from 0 to 255"
        )
    return red, green, blue


@dataclass(frozen=True)
class Palette:
    """Links and colours of a set of keypoints, in the channel order of the picture.

    Attributes:
        points: colour of each keypoint; None: not drawn.
        links: (L, 2) int64 indices of joined keypoints.
        link_colors: colour of each link; None: not drawn.
        neighbours: (S, 2) pairs of keypoints that are near in the body: the links, and for
            keypoints without one, as in faces, those before and after in number.
        touching: (K, M) which rows of `neighbours` each keypoint is in; S where there is none.
        inks: the different colours of links.
        ink_of_link: (L,) index into `inks`, or -1.
    """

    points: tuple[Color | None, ...]
    links: Array
    link_colors: tuple[Color | None, ...]
    neighbours: Array = field(init=False)
    touching: Array = field(init=False)
    inks: tuple[Color, ...] = field(init=False)
    ink_of_link: Array = field(init=False)

    def __post_init__(self) -> None:
        K = len(self.points)
        alone = np.setdiff1d(np.arange(K), self.links)
        steps = [(k, j) for k in alone.tolist() for j in (k - 1, k + 1) if 0 <= j < K]
        neighbours = np.concatenate([self.links, np.array(steps, dtype=np.int64).reshape(-1, 2)])
        rows = [np.flatnonzero((neighbours == k).any(axis=1)) for k in range(K)]
        touching = np.full((K, max([1, *map(len, rows)])), len(neighbours))
        for k, found in enumerate(rows):
            touching[k, : len(found)] = found
        inks = sorted({c for c in self.link_colors if c is not None})
        places = [-1 if c is None else inks.index(c) for c in self.link_colors]
        # frozen: these follow from the other fields
        object.__setattr__(self, "neighbours", neighbours)
        object.__setattr__(self, "touching", touching)
        object.__setattr__(self, "inks", tuple(inks))
        object.__setattr__(self, "ink_of_link", np.array(places, dtype=np.int64))

    @classmethod
    def of(
        cls,
        metainfo: Mapping[str, Any] | None,
        count: int,
        *,
        point_color: Any = None,
        link_color: Any = None,
        links: Sequence[Sequence[int]] | None = None,
        order: str = "bgr",
    ) -> Palette:
        """Colours of `count` keypoints.

        Args:
            metainfo: parsed meta information (`keypoint_colors`, `skeleton_links`,
                `skeleton_link_colors`), or None.
            count: keypoints per person, K.
            point_color: one colour or one per keypoint, instead of the metainfo's.
            link_color: one colour or one per link.
            links: pairs of keypoints to join.
            order: channel order of the picture, `bgr` or `rgb`; colours are given as RGB.

        Raises:
            DataError: (a ValueError) if the numbers of colours and keypoints or links differ.
        """
        meta = metainfo or {}
        links = meta.get("skeleton_links") if links is None else links
        pairs = np.asarray([] if links is None else links, dtype=np.int64).reshape(-1, 2)
        usable = np.asarray(((pairs >= 0) & (pairs < count)).all(axis=1))
        if point_color is None:
            point_color = meta.get("keypoint_colors", KEYPOINT_COLOR)
        if link_color is None:
            link_color = meta.get("skeleton_link_colors", LINK_COLOR)
        points = _spread(point_color, count, "kpt_color", "keypoints", order)
        colors = _spread(link_color, len(pairs), "link_color", "skeleton", order)
        return cls(
            points,
            pairs[usable],
            tuple(c for c, keep in zip(colors, usable.tolist(), strict=True) if keep),
        )

    def only(self, keypoints: Sequence[int]) -> Palette:
        """The same, with some keypoints and the links between them; others are not drawn.

        Raises:
            DataError: an index that the palette has not.

        Example:
            >>> Palette.of(None, 3, links=[[0, 1], [1, 2]]).only([0, 1]).link_colors[1] is None
            True
        """
        kept = set(keypoints)
        if wrong := sorted(i for i in kept if not 0 <= i < len(self.points)):
            raise DataError(f"there are keypoints 0 to {len(self.points) - 1}, not {wrong}")
        links = zip(self.links.tolist(), self.link_colors, strict=True)
        return Palette(
            tuple(c if i in kept else None for i, c in enumerate(self.points)),
            self.links,
            tuple(c if kept.issuperset(link) else None for link, c in links),
        )


def _spread(color: Any, count: int, option: str, what: str, order: str) -> tuple[Color | None, ...]:
    """A colour for each of `count` things."""
    if isinstance(color, str) or (len(color) == 3 and isinstance(color[0], numbers.Real)):
        colors: list[Color | None] = [named_color(color)] * count
    elif len(color) != count:
        raise DataError(
            f"the length of {option} ({len(color)}) does not match that of {what} ({count}); "
            "the metainfo may belong to another dataset than the predictions"
        )
    else:
        colors = [None if c is None else named_color(c) for c in color]
    if order == "bgr":
        return tuple(None if c is None else (c[2], c[1], c[0]) for c in colors)
    return tuple(colors)


@dataclass(frozen=True)
class Sizes:
    """Line width and radius for a picture; numbers that are given win over automatic ones.

    Attributes:
        line_width: pixels; None: by the picture's size.
        radius: pixels; None: by the picture's and each person's size.
    """

    line_width: float | None = None
    radius: float | None = None

    def line(self, shape: Sequence[int]) -> int:
        """Line width for a picture of (H, W, ...)."""
        if self.line_width is not None:
            return max(1, round(self.line_width))
        return max(1, round(float(np.sqrt(shape[0] * shape[1])) / PIXELS_PER_LINE))

    def dot(self, shape: Sequence[int]) -> int:
        """Radius for a picture of (H, W, ...)."""
        if self.radius is not None:
            return max(1, round(self.radius))
        return max(1, round(float(np.sqrt(shape[0] * shape[1])) / PIXELS_PER_RADIUS))

    def strokes(
        self, shape: Sequence[int], points: Array, visible: Array, palette: Palette
    ) -> tuple[Array, Array]:
        """Widths of links and radii of keypoints, by the size of the picture and of people.

        Args:
            shape: of the picture.
            points: (N, K, 2) pixels.
            visible: (N, K) bool, which points count.
            palette: says which keypoints are neighbours.

        Returns:
            widths (N, L) and radii (N, K), int64 pixels.
        """
        (N, K), L = visible.shape, len(palette.links)
        width, radius = self.line(shape), self.dot(shape)
        first, second = palette.neighbours.T
        apart = points[:, first] - points[:, second]
        away = np.full((N, len(first) + 1), np.inf)
        away[:, :-1] = np.sqrt((apart * apart).sum(axis=2))
        away[:, :-1][~(visible[:, first] & visible[:, second])] = np.inf
        limit = _extent(points, visible)[:, None] * RADIUS_PER_PERSON
        widths, radii = np.full((N, L), width), np.full((N, K), radius)
        if self.line_width is None:
            widths = _at_most(width, limit / 2, away[:, :L] * WIDTH_PER_LINK)
        if self.radius is None:
            nearest = away[:, palette.touching].min(axis=2)
            room = (nearest * RADIUS_PER_LINK).clip(1 if K <= FEW_KEYPOINTS else 0)
            radii = _at_most(radius, limit, room, least=0)
        return widths, radii


def _at_most(size: int, *limits: Array, least: int = 1) -> Array:
    """Size as whole pixels that keeps all limits, though never below the least."""
    return np.rint(np.minimum(np.minimum(*limits), size)).astype(np.int64).clip(least)


def _extent(points: Array, visible: Array) -> Array:
    """Longer side (N,) of the box around each person's visible keypoints."""
    high = np.where(visible[..., None], points, -np.inf).max(axis=1)
    low = np.where(visible[..., None], points, np.inf).min(axis=1)
    side = (high - low).max(axis=1)
    # a single point says nothing about the person's size
    return np.where(side > 0, side, np.inf)
