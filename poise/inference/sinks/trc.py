"""TRC: tables of 3D markers, as OpenSim reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poise.inference.sinks.base import write_whole
from poise.inference.sinks.spool import Motion, MotionSink, right_handed

__all__ = ["TrcSink"]

_HEAD = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


class TrcSink(MotionSink):
    """`NAME.trc` of a person, `NAME_ID.trc` of several: metres, y up, x right, z to the viewer.

    Frames without the person have empty cells, as OpenSim expects them.
    """

    suffix = ".trc"
    needs_3d = True

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """A file a person."""
        written = []
        for identity in motion.ids:
            target = path_of(path, identity, len(motion.ids))
            write_whole(target, _text(target.name, motion, identity).encode())
            written.append(target)
        return written


def path_of(path: Path, identity: int, people: int) -> Path:
    """Path of one person's file."""
    return path if people == 1 else path.with_name(f"{path.stem}_{identity}{path.suffix}")


def y_up(points: np.ndarray) -> np.ndarray:
    """(..., 3) of x right, y away, z up -> x right, y up, z towards the viewer."""
    return points[..., [0, 2, 1]] * np.array([1, 1, -1], points.dtype)


def _text(name: str, motion: Motion, identity: int) -> str:
    first, points, _ = motion.track(identity)
    places = y_up(right_handed(points, motion.space))
    frames, count = len(places), len(motion.names)
    rate = f"{motion.fps:.6g}"
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join(_HEAD),
        f"{rate}\t{rate}\t{frames}\t{count}\tm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t".join(f"{n}\t\t" for n in motion.names).rstrip("\t"),
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, count + 1)),
        "",
    ]
    rows = [
        f"{t + 1}\t{(first + t) / motion.fps:.6f}\t"
        + "\t".join("" if np.isnan(v) else f"{v:.6f}" for v in row)
        for t, row in enumerate(places.reshape(frames, -1).tolist())
    ]
    return "\n".join(head + rows) + "\n"
