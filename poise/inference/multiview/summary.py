"""What became of the keypoints of several cameras, for people to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from poise._words import counted
from poise.report.text import aligned

__all__ = ["Summary", "ViewSummary"]

#: Part of all that hints at a wrong calibration or wrong frame numbers.
_MANY = 0.25
#: Metres of deviation that cameras which look from different sides do not give.
_UNSURE = 0.1


@dataclasses.dataclass(frozen=True)
class ViewSummary:
    """One camera's part.

    Attributes:
        name: of the video or file.
        camera: its name in the calibration.
        frames: that it has, among the moments of the run.
        unreadable: frames that could not be used.
        offset: frames by which its numbers are ahead of the first view's.
        used: keypoints that went into points of space.
        rejected: keypoints that were left out, since the other cameras see them elsewhere.
        error: mean reprojection error of the used ones, pixels.
    """

    name: str
    camera: str
    frames: int
    unreadable: int
    offset: int
    used: int
    rejected: int
    error: float


@dataclasses.dataclass
class Summary:
    """All cameras together.

    Attributes:
        views: of each camera.
        moments: frames that at least two cameras have.
        poses: people in all moments.
        people: different ones.
        found: keypoints with a place in space.
        too_few_views: keypoints that fewer cameras than needed see surely.
        views_disagree: keypoints for which no two cameras agree on a place.
        detections: people in all frames of all cameras.
        alone: those of them that no other camera confirms.
        spread: metres, the median standard deviation of places, as far as views contradict one
            another; what is wrong in all of them is not in it.
        notes: further remarks, a line each.
    """

    views: list[ViewSummary]
    moments: int
    poses: int
    people: int
    found: int
    too_few_views: int
    views_disagree: int
    detections: int
    alone: int
    spread: float = float("nan")
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def error(self) -> float:
        """Mean reprojection error over all cameras, pixels."""
        used = sum(view.used for view in self.views)
        total = sum(view.error * view.used for view in self.views if view.used)
        return total / used if used else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "error": self.error}

    def text(self) -> str:
        """A table and a few lines."""
        rows: list[Sequence[str]] = [
            ("camera", "frames", "offset", "keypoints", "left out", "error px")
        ]
        for v in self.views:
            counts = map(str, (v.frames, v.offset, v.used, v.rejected))
            rows.append((v.camera, *counts, f"{v.error:.2f}" if v.used else "-"))
        lines = [*self.notes, *aligned(rows, right=range(1, 6))]
        lines += [
            f"{v.name}: {counted(v.unreadable, 'frame')} cannot be used"
            for v in self.views
            if v.unreadable
        ]
        total = self.found + self.too_few_views + self.views_disagree
        error = ""
        if self.found:
            error = f"; mean reprojection error {self.error:.2f} px, ± {1000 * self.spread:.0f} mm"
        lines.append(
            f"{counted(self.moments, 'frame')}, {counted(self.poses, 'pose')} of "
            f"{counted(self.people, 'person')}{error}"
        )
        lines.append(
            f"{self.found} of {total} keypoints placed; {self.too_few_views} seen by too few "
            f"cameras, {self.views_disagree} on which the cameras disagree"
        )
        if self.alone:
            lines.append(
                f"{self.alone} of {self.detections} times somebody was seen by one camera only, "
                "and left out"
            )
        if self.spread > _UNSURE:
            lines.append(
                "places are unsure: the cameras look from almost the same side, or face one "
                "another; 30 to 90 degrees between them are good"
            )
        if self.alone > _MANY * self.detections or self.views_disagree > _MANY * total:
            lines.append(
                "the cameras hardly agree: does each file go with its camera, are frames of one "
                "number of one moment (--offset, --sync), and is the calibration that of these "
                "videos?"
            )
        return "\n".join(lines)
