"""SLEAP: the Analysis HDF5 file, which SLEAP and sleap-io import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from poise._files import whole_file
from poise._lazy import needed
from poise.inference.sinks.base import SinkOptions
from poise.inference.sinks.spool import Motion, MotionSink

__all__ = ["SleapSink"]


class SleapSink(MotionSink):
    """`NAME.analysis.h5`, in the axes that SLEAP writes by default.

    Raises:
        MissingDependencyError: h5py is not installed.
    """

    suffix = ".analysis.h5"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        text = "SLEAP files need the package h5py: pip install 'poise[motion]'"
        self._h5py: Any = needed("h5py", text)

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """One file."""
        people, nodes = motion.ids, len(motion.names)
        # from frame 0, since rows are frame numbers
        end = motion.span[1]
        content = {
            "tracks": ((len(people), 2, nodes, end), ["track", "xy", "node", "frame"]),
            "track_occupancy": ((end, len(people)), ["frame", "track"]),
            "point_scores": ((len(people), nodes, end), ["track", "node", "frame"]),
            "instance_scores": ((len(people), end), ["track", "frame"]),
            "tracking_scores": ((len(people), end), ["track", "frame"]),
        }
        with whole_file(path) as place, self._h5py.File(place, "w") as file:
            for name, (shape, axes) in content.items():
                flags = name == "track_occupancy"
                # a piece a person, and nothing for who is not there
                pieces = (end, 1) if flags else (1, *shape[1:])
                stored = file.create_dataset(
                    name,
                    shape,
                    np.uint8 if flags else np.float64,
                    chunks=pieces,
                    compression="gzip",
                    fillvalue=0 if flags else np.nan,
                )
                stored.attrs["dims"] = json.dumps(axes)
            for row, identity in enumerate(people):
                first, points, scores = motion.track(identity)
                part = slice(first, first + len(points))
                own, seen = motion.rows(identity), np.isfinite(points).all(-1)
                whole = np.full(len(points), np.nan)
                whole[own["frame"] - first] = own["score"]
                there = np.isfinite(whole)
                file["tracks"][row, :, :, part] = points.transpose(2, 1, 0)
                file["track_occupancy"][part, row] = there
                file["point_scores"][row, :, part] = np.where(seen, scores, np.nan).T
                file["instance_scores"][row, part] = whole
                file["tracking_scores"][row, part] = np.where(there, 1.0, np.nan)
            file["track_names"] = [f"person{i}".encode() for i in people]
            file["node_names"] = [n.encode() for n in motion.names]
            file["edge_names"] = [
                [motion.names[a].encode(), motion.names[b].encode()] for a, b in motion.links
            ]
            file["edge_inds"] = np.array(motion.links, np.int64).reshape(-1, 2)
            file["labels_path"], file["video_path"], file["video_ind"] = "", motion.title, 0
            file["provenance"] = '{"written_by": "poise"}'
            file.attrs["format"], file.attrs["preset"] = "analysis", "matlab"
        return [path]
