"""People of each camera over time, before anybody knows how cameras stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.inference.multiview.views import Seen, View, leading
from poise.inference.tracking.tracker import NO_TRACK, PoseTracker

__all__ = ["LEAST_SCORE", "Track", "common", "extent_of", "plain_view", "tracks_of"]

#: Keypoints with a lower score are not looked at.
LEAST_SCORE = 0.3
#: Frames of a track that counts, and tracks of a view that count at most, the longest.
_LEAST_FRAMES, _MOST_TRACKS = 10, 6


@dataclasses.dataclass(frozen=True)
class Track:
    """One person in one view.

    Attributes:
        frames: (T,) rising numbers.
        points: (T, K, 2) pixels from the principal point, without the lens; NaN where unsure.
    """

    frames: Array
    points: Array

    def later(self, frames: int) -> Track:
        """The same with higher numbers of frames."""
        return Track(self.frames + frames, self.points)


def plain_view(view: View, index: Array) -> View:
    """The view with some keypoints (K,) alone, as a camera without lens and centre has them."""
    focal = float(np.sqrt(view.camera.matrix[0, 0] * view.camera.matrix[1, 1]))
    counts = [len(seen.keypoints) for seen in view.frames.values()]
    every = [seen.keypoints[:, index] for seen in view.frames.values()]
    whole = np.concatenate(every) if every else np.zeros((0, len(index), 2))
    parts = np.split(view.camera.undistort(whole) * focal, np.cumsum(counts)[:-1])
    frames = {
        t: Seen(part, seen.scores[:, index], seen.boxes, seen.ids, None)
        for (t, seen), part in zip(view.frames.items(), parts, strict=True)
    }
    camera = Camera(view.camera.name, np.diag([focal, focal, 1.0]), size=view.camera.size)
    metainfo = {**view.metainfo, "num_keypoints": len(index)}
    return View(view.name, camera, frames, metainfo, view.fps, view.errors, view.size)


def tracks_of(view: View, person: str) -> list[Track]:
    """The longest tracks of a plain view; one, where one person is meant."""
    if person != "all" or max((len(s.keypoints) for s in view.frames.values()), default=0) < 2:
        chosen = {
            t: [(0, i)]
            for t, i in leading(view, "confident" if person == "all" else person).items()
        }
    else:
        chosen = _followed(view)
    rows: dict[int, list[tuple[int, int]]] = {}
    for t, pairs in sorted(chosen.items()):
        for identity, index in pairs:
            rows.setdefault(identity, []).append((t, index))
    found = []
    for pairs in rows.values():
        seen = [(view.frames[t], index) for t, index in pairs]
        points = np.stack([s.keypoints[i] for s, i in seen])
        sure = np.stack([s.scores[i] >= LEAST_SCORE for s, i in seen])
        points = np.where(sure[..., None], points, np.nan)
        found.append(Track(np.array([t for t, _ in pairs]), points))
    found = [track for track in found if len(track.frames) >= _LEAST_FRAMES]
    return sorted(found, key=lambda track: -np.isfinite(track.points).sum())[:_MOST_TRACKS]


def _followed(view: View) -> dict[int, list[tuple[int, int]]]:
    """Frame -> (id, index) of its people; ids of the results, else a tracker's."""
    tracker, last = PoseTracker(), None
    chosen = {}
    for t, seen in sorted(view.frames.items()):
        ids = seen.ids
        if ids is None:
            ids = tracker.update(seen.keypoints, seen.scores, step=1 if last is None else t - last)
            last = t
        chosen[t] = [(int(n), i) for i, n in enumerate(ids.tolist()) if n != NO_TRACK]
    return chosen


def common(a: Track, b: Track, lag: int) -> tuple[Array, Array, Array]:
    """Frames (n,) of `a`, and both tracks' points (n, K, 2), where frame t is t + lag of `b`."""
    frames, i, j = np.intersect1d(a.frames, b.frames - lag, assume_unique=True, return_indices=True)
    return frames, a.points[i], b.points[j]


def extent_of(tracks: Sequence[Track]) -> float:
    """Median pixels of people's diagonals."""
    points = np.concatenate([track.points for track in tracks])
    points = points[np.isfinite(points).all(-1).any(1)]
    return float(np.median(np.linalg.norm(np.nanmax(points, 1) - np.nanmin(points, 1), axis=-1)))
