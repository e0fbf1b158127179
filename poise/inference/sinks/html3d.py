"""A web page that shows the 3D poses of a video."""

from __future__ import annotations

from pathlib import Path

from poise._files import write_whole
from poise.inference.lifting.poses import SPACE_3D
from poise.inference.networks.direct3d import SPACE_HANDS
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.spool import Motion, MotionSink, right_handed

__all__ = ["Html3dSink"]

#: Hands in pixels and millimetres are shown at a size that the page can hold.
_METRES_PER_PIXEL = 0.01


class Html3dSink(MotionSink):
    """`NAME_3d.html`: people in space, to turn, zoom and play; one file without anything else."""

    suffix = "_3d.html"
    needs_3d = True
    any_unit = True

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """One page."""
        from poise.visualization.viewer3d import viewer_page

        people = []
        for identity in motion.ids:
            first, points, _ = motion.track(identity)
            poses = right_handed(points, motion.space)
            if motion.space == SPACE_HANDS:
                poses = poses * _METRES_PER_PIXEL
            people.append((f"person {identity}", first, poses))
        lifted = motion.space == SPACE_3D
        note = (
            "metres; each person relative to the root, put side by side" if lifted else motion.space
        )
        page = viewer_page(
            people,
            self._meta,
            fps=motion.fps,
            title=Path(motion.title).name or "3D poses",
            note=note or "",
            side_by_side=lifted,
        )
        write_whole(path, page.encode())
        return [path]

    def add(self, handle: object, result: PoseResult) -> None:
        """Keep the people of a frame, and once the colours of their skeleton."""
        super().add(handle, result)
        self._meta = result.metainfo_3d or result.metainfo
