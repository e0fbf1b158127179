"""A window that shows the poses as they come."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

import cv2

from poise.errors import MissingDependencyError
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import SinkOptions
from poise.inference.sinks.drawing import Drawer

__all__ = ["Window", "WindowClosed"]

_TITLE = "poise (q or Esc ends)"
_KEYS_TO_END = frozenset((ord("q"), 27))
#: Milliseconds that a window is given to draw itself, and that a still picture stays at least.
_BREATH_MS, _PICTURE_MS = 1, 1500


class WindowClosed(Exception):  # noqa: N818 (not an error: somebody has seen enough)
    """The person at the screen pressed q or Esc: the run ends, and its files are finished."""


class Window:
    """Shows each result; q or Esc ends the run.

    Raises:
        MissingDependencyError: this OpenCV cannot open windows, or there is no screen.
    """

    in_callers_thread = True

    def __init__(self, folder: Path | None = None, options: SinkOptions | None = None) -> None:
        self.written: list[Path] = []
        self._draw = (options or SinkOptions()).draw or Drawer()
        try:
            _need_screen()
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except (cv2.error, OSError) as error:
            raise MissingDependencyError(
                "no window can be opened here: opencv-python-headless has none, and a computer "
                "without a screen has none either. On a desktop: pip uninstall "
                "opencv-python-headless && pip install opencv-python. Anywhere: --save video or "
                "--save image writes files instead"
            ) from error

    def write(self, result: PoseResult) -> None:
        """Show one result.

        Raises:
            WindowClosed: q or Esc was pressed.
        """
        if result.image is None:
            return
        cv2.imshow(_TITLE, self._draw(result))
        wait = _BREATH_MS if result.time is not None else _PICTURE_MS
        if cv2.waitKey(wait) & 0xFF in _KEYS_TO_END:
            raise WindowClosed

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(_TITLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def _need_screen() -> None:
    """See that there is a screen: without one the full OpenCV ends the whole process.

    Raises:
        OSError: there is none.
    """
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise OSError("neither DISPLAY nor WAYLAND_DISPLAY is set")
