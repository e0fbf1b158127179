"""TRC: tables of 3D markers, as OpenSim reads them."""

from __future__ import annotations

import numpy as np

from poise.inference.sinks.spool import Motion, PersonSink, right_handed, y_up

__all__ = ["TrcSink"]

_HEAD = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


class TrcSink(PersonSink):
    """`NAME.trc` of a person, `NAME_ID.trc` of several: metres, y up, x right, z to the viewer.

    Frames without the person have empty cells, as OpenSim expects them.
    """

    suffix = ".trc"

    def encode(self, name: str, motion: Motion, identity: int) -> bytes:
        """Head, then a row a frame."""
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
        return ("\n".join(head + rows) + "\n").encode()
