"""Trackers of the package `trackers` (Roboflow, Apache-2.0), which look at boxes only."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from poise._arguments import check_options
from poise._lazy import needed
from poise.inference.results.pose_result import PoseResult
from poise.inference.tracking.tracker import NO_TRACK

__all__ = ["LIBRARY_TRACKERS", "LibraryTrackingStage"]

#: our name -> class in `trackers`
LIBRARY_TRACKERS = {
    "bytetrack": "ByteTrackTracker",
    "ocsort": "OCSORTTracker",
    "sort": "SORTTracker",
}


class LibraryTrackingStage:
    """Adds `track_ids` (N,) int64 by another library's tracker.

    Args:
        name: see `LIBRARY_TRACKERS`.
        **options: of the tracker's class.

    Raises:
        MissingDependencyError: the package is not installed.
        ArgumentError: an option that the tracker has not.
    """

    def __init__(self, name: str, **options: Any) -> None:
        text = (
            f"track='{name}' needs the package trackers: pip install 'poise[track]'; track=True "
            "needs nothing"
        )
        self._detections = needed("supervision", text).Detections
        self._make = getattr(needed("trackers", text), LIBRARY_TRACKERS[name])
        check_options(options, inspect.signature(self._make).parameters, f"track='{name}'")
        self._options = options

    def __call__(self, results: Iterator[PoseResult]) -> Iterator[PoseResult]:
        """Results with ids, each as soon as it comes."""
        tracker, source = None, None
        for result in results:
            if tracker is None or result.video != source:
                tracker, source = self._make(**self._options), result.video
            count = len(result)
            found = tracker.update(
                self._detections(
                    xyxy=np.asarray(result.bboxes, np.float32).reshape(count, 4),
                    confidence=np.asarray(result.bbox_scores, np.float32),
                    class_id=np.zeros(count, int),
                    # the library may answer in another order
                    data={"row": np.arange(count)},
                )
            )
            ids = np.full(count, NO_TRACK, np.int64)
            if found.tracker_id is not None and len(found):
                ids[np.asarray(found.data["row"])] = found.tracker_id
            result.instances.set_field(ids, "track_ids")
            yield result
