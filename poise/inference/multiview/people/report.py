"""What a calibration by people found, how sure it is, and what it takes for granted."""

from __future__ import annotations

import dataclasses

import numpy as np

from poise.geometry.camera_model import Camera
from poise.inference.multiview.people.grounding import Ground, Scale
from poise.report.text import aligned

__all__ = ["Accuracy", "PeopleCalibrated"]


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Of one camera; standard deviations, the first camera's place taken as known.

    Attributes:
        rows: people that it was adjusted by.
        error: median pixels between keypoints and projected ones.
        turn: degrees, in the least sure direction.
        place: metres.
        focal: part of the focal length; 0 where it was given.
    """

    rows: int
    error: float
    turn: float
    place: float
    focal: float


@dataclasses.dataclass(frozen=True)
class PeopleCalibrated:
    """Cameras, and how they came about.

    Attributes:
        cameras: V of them; metres, z up, the floor at 0, the origin in the middle of the people,
            y in the direction in which the first camera looks.
        offsets: camera -> frames by which its numbers are ahead of the first one's.
        accuracy: of each camera.
        scale: where metres come from.
        ground: where up and the floor come from.
        notes: further remarks, a line each.
    """

    cameras: list[Camera]
    offsets: dict[str, int]
    accuracy: list[Accuracy]
    scale: Scale
    ground: Ground
    notes: list[str]

    @property
    def error(self) -> float:
        """Median reprojection error, RMS over all cameras, pixels."""
        return float(np.sqrt(np.mean(np.square([own.error for own in self.accuracy]))))

    def offset_options(self) -> str:
        """Options of `poise triangulate` that tell the offsets; empty where there are none."""
        return "".join(f" --offset {name}={n}" for name, n in self.offsets.items() if n)

    def text(self) -> str:
        """A table, what was assumed, and remarks."""
        rows = [("camera", "people", "error px", "focal px", "", "turn", "place")]
        for camera, own in zip(self.cameras, self.accuracy, strict=True):
            figures = str(own.rows), f"{own.error:.1f}", f"{camera.matrix[0, 0]:.0f}"
            focal = "given" if own.focal == 0 else f"± {100 * own.focal:.1f} %"
            turn, place = f"± {own.turn:.1f}°", f"± {100 * own.place:.0f} cm"
            if camera is self.cameras[0]:
                turn, place = "first", ""
            rows.append((camera.name, *figures, focal, turn, place))
        lines = aligned(rows, right=range(1, 7))
        part = f"± {100 * self.scale.spread:.1f} % of every length"
        lines.append(f"scale: {self.scale.text} ({part})")
        lines.append(f"{self.ground.text} (± {np.rad2deg(self.ground.spread):.1f}°)")
        guessed = [c.name for c, own in zip(self.cameras, self.accuracy, strict=True) if own.focal]
        if guessed:
            lines.append(
                f"assumed of {', '.join(guessed)}: no distortion, the lens's axis in the middle of "
                "the picture; --intrinsics FILE tells better"
            )
        return "\n".join([*lines, *self.notes])
