"""3D poses by matplotlib, in one figure that is kept from picture to picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poise._arrays import Array
from poise.visualization.style import Palette

if TYPE_CHECKING:
    from poise.visualization.scene3d import View

__all__ = ["PoseFigure"]

_DPI = 100


class PoseFigure:
    """A figure with one axis in space. Making it costs more than drawing, so it is used again."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(dpi=_DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._axis: Any = self._figure.add_subplot(projection="3d")

    def draw(
        self,
        poses: Array,
        scores: Array,
        palette: Palette,
        view: View,
        side: int,
        threshold: float,
        title: str | None = None,
        show_indices: bool = False,
    ) -> Array:
        """(side, side, 3) uint8 RGB of people in space.

        Args:
            poses: (N, K, 3), z up; NaN is left out.
            scores: (N, K).
            palette: colours, RGB.
            view: from where; matplotlib looks from its own distance.
            side: pixels.
            threshold: keypoints with a lower score are not drawn.
            title: text above.
            show_indices: write the number of each keypoint.
        """
        axis = self._axis
        axis.clear()
        self._figure.set_size_inches(side / _DPI, side / _DPI)
        axis.view_init(elev=view.elevation, azim=view.azimuth)
        shown = np.isfinite(poses).all(-1) & (np.nan_to_num(scores) >= threshold)
        middle = poses[shown].mean(0) if shown.any() else np.zeros(3)
        half = view.limit / 2
        axis.set_xlim3d(middle[0] - half, middle[0] + half)
        axis.set_ylim3d(middle[1] - half, middle[1] + half)
        axis.set_zlim3d(min(0, middle[2] - half), middle[2] + half)
        for ticks in (axis.set_xticks, axis.set_yticks, axis.set_zticks):
            ticks([])
        first, second = palette.links.T
        drawn = shown[:, first] & shown[:, second] & (palette.ink_of_link >= 0)
        for n, link in np.argwhere(drawn).tolist():
            color = np.array(palette.inks[palette.ink_of_link[link]]) / 255
            axis.plot(*poses[n, palette.links[link]].T, color=color)
        dots = [(n, k) for n, k in np.argwhere(shown).tolist() if palette.points[k] is not None]
        if dots:
            rows, columns = zip(*dots, strict=True)
            colors = np.array([palette.points[k] for k in columns]) / 255
            axis.scatter(*poses[list(rows), list(columns)].T, c=colors, marker="o")
        if show_indices:
            for n, k in dots:
                axis.text(*poses[n, k], str(k))
        if title:
            axis.set_title(title)
        self._canvas.draw()
        return np.array(self._canvas.buffer_rgba())[..., :3]
