"""Where results go: a drawn picture and a JSON file for each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.errors import DataError
from poise.inference.results import PoseResult

__all__ = ["ResultWriter"]

_JPEG_QUALITY = 92


class ResultWriter:
    """Writes `NAME.json` and `NAME_pose.jpg` below a folder, one pair a result.

    Args:
        folder: made where absent.
        draw: also write the picture with the poses drawn in.
        keypoint_threshold: keypoints with a lower score are not drawn (they stay in the JSON).
        style: further options of `poise.visualization.draw_instances`.
        layout: of the JSON: "poise" (docs/reference/result-json.md), or "mmpose": a list with a
            dict a person, as MMPose's inferencer writes it.

    Raises:
        DataError: another layout.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        draw: bool = True,
        keypoint_threshold: float = 0.3,
        style: dict[str, Any] | None = None,
        layout: str = "poise",
    ) -> None:
        if layout not in _LAYOUTS:
            raise DataError(f"layout must be one of {', '.join(_LAYOUTS)}, got '{layout}'")
        self._content = _LAYOUTS[layout]
        self.folder = Path(folder)
        self.draw = draw
        self.keypoint_threshold = keypoint_threshold
        self._style = dict(style or {})
        self._taken: set[Path] = set()

    def write(self, result: PoseResult, relative: Path) -> list[Path]:
        """Write one result.

        Args:
            result: what to write.
            relative: path of the picture below the folder that was asked for; kept below
                `folder`, without its suffix.

        Returns:
            The files that were written.
        """
        stem = self._free_stem(self.folder / relative.with_suffix(""))
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            json_path = stem.with_name(f"{stem.name}.json")
            _write_whole(json_path, json.dumps(self._content(result), indent=1).encode())
        except OSError as error:
            raise DataError(f"cannot write below '{self.folder}': {error}") from error
        written = [json_path]
        if self.draw and result.image is not None:
            picture = stem.with_name(f"{stem.name}_pose.jpg")
            ok, data = cv2.imencode(
                ".jpg", self._drawn(result), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            )
            if not ok:
                raise DataError(f"OpenCV could not encode the drawn picture '{picture}'")
            _write_whole(picture, data.tobytes())
            written.append(picture)
        return written

    def _free_stem(self, stem: Path) -> Path:
        """a.jpg and a.png of one folder must not write the same file."""
        free, n = stem, 2
        while free in self._taken:
            free, n = stem.with_name(f"{stem.name}-{n}"), n + 1
        self._taken.add(free)
        return free

    def _drawn(self, result: PoseResult) -> Any:
        from poise.visualization import draw_instances

        return draw_instances(
            np.array(result.image),
            result.instances,
            result.metainfo,
            keypoint_threshold=self.keypoint_threshold,
            **self._style,
        )


_LAYOUTS: dict[str, Callable[[PoseResult], Any]] = {
    "poise": PoseResult.to_dict,
    "mmpose": PoseResult.to_mmpose,
}


def _write_whole(path: Path, data: bytes) -> None:
    """A reader never sees half a file."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
