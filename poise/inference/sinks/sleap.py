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
        first, end = motion.span
        people = motion.ids
        # from frame 0, since rows are frame numbers
        tracks = np.full((len(people), 2, len(motion.names), end), np.nan)
        scores = np.full((len(people), len(motion.names), end), np.nan)
        whole = np.full((len(people), end), np.nan)
        for row, identity in enumerate(people):
            _, points, point_scores = motion.track(identity, whole=True)
            seen = np.isfinite(points).all(-1)
            tracks[row, :, :, first:] = points.transpose(2, 1, 0)
            scores[row, :, first:] = np.where(seen, point_scores, np.nan).T
            own = motion.records[motion.records["id"] == identity]
            whole[row, own["frame"]] = own["score"]
        content = {
            "tracks": (tracks, ["track", "xy", "node", "frame"]),
            "track_occupancy": (np.isfinite(whole).T.astype(np.uint8), ["frame", "track"]),
            "point_scores": (scores, ["track", "node", "frame"]),
            "instance_scores": (whole, ["track", "frame"]),
            "tracking_scores": (np.where(np.isfinite(whole), 1.0, np.nan), ["track", "frame"]),
        }
        with whole_file(path) as place, self._h5py.File(place, "w") as file:
            for name, (values, axes) in content.items():
                stored = file.create_dataset(name, data=values, compression="gzip")
                stored.attrs["dims"] = json.dumps(axes)
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
