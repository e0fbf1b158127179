"""From what all cameras see to poses in metres: association, triangulation, ids, results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from poise._arrays import Array
from poise.geometry import Triangulation, triangulate_points
from poise.inference.multiview.association import Detections, associate
from poise.inference.multiview.summary import Summary, ViewSummary
from poise.inference.multiview.views import DEFAULT_FPS, Seen, View, leading
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.tracking.tracker import NO_TRACK, PoseTracker
from poise.structures import InstanceData

__all__ = ["SPACE_WORLD", "Limits", "Matched", "matched_people", "reconstruct"]

#: The space of the poses, in words.
SPACE_WORLD = "metres, the world of the cameras, z up"
#: People may lie so many times farther from a pose than single keypoints, before a view's person
#: is taken for somebody else.
_PERSON_LIMIT = 1.5
#: Stem of the files of a run.
_STEM = "triangulated"
#: Keypoints by which people are associated: more cost time and tell nothing new.
_ASSOCIATED_KEYPOINTS = 26


@dataclasses.dataclass(frozen=True)
class Limits:
    """What counts.

    Attributes:
        min_score: keypoints with a lower score are not used.
        min_views: cameras that must see a keypoint.
        max_error: pixels, or (V,) of each view; a camera whose keypoint lies farther from the
            projected point is left out of it.
    """

    min_score: float = 0.3
    min_views: int = 2
    max_error: float | Array = 15.0


@dataclasses.dataclass(frozen=True)
class _Rows:
    """The people of all moments; a row each.

    Attributes:
        moments: (R,) number of the frame, rising.
        members: (V, R) index of the person in each view's frame, -1 where unseen.
    """

    moments: Array
    members: Array

    def by_moment(self, moments: Sequence[int]) -> Iterator[tuple[int, Array]]:
        """Each moment, and the rows of its people."""
        low = np.searchsorted(self.moments, moments, "left")
        high = np.searchsorted(self.moments, moments, "right")
        for t, start, end in zip(moments, low.tolist(), high.tolist(), strict=True):
            yield t, np.arange(start, end)


@dataclasses.dataclass(frozen=True)
class Matched:
    """The people of all moments, R rows of K keypoints.

    Attributes:
        rows: which person of each view.
        pixels: (V, R, K, 2) image space; NaN where unseen.
        scores: (V, R, K); 0 where unseen.
        found: where the keypoints are.
        ids: (R,) of a tracker.
        moments: numbers of all frames.
        alone: people in frames whom no other camera confirms.
        spread: metres, the median standard deviation of the points.
    """

    rows: _Rows
    pixels: Array
    scores: Array
    found: Triangulation
    ids: Array
    moments: list[int]
    alone: int
    spread: float


def reconstruct(
    views: Sequence[View],
    *,
    offsets: Sequence[int],
    person: str = "all",
    limits: Limits | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[PoseResult], Summary]:
    """Poses in space of all moments that at least two cameras saw.

    Args:
        views: of V cameras.
        offsets: V frames: frame t of the first view's clock is frame t + offset of a view.
        person: "all", or how the one person is chosen in each view: "confident", "largest".
        limits: what counts.
        progress: called with 1 after each moment.

    Returns:
        A result a moment, in the frame numbers of the first view, with `keypoints` as its camera
        would see them; and what became of the keypoints.
    """
    people = matched_people(views, offsets, person, limits or Limits(), progress)
    mean = _mean_scores(people.found, people.scores)
    fps = next((view.fps for view in views if view.fps), DEFAULT_FPS)
    results = list(_results(views[0], people, mean, fps))
    return results, _summary(views, people, offsets)


def matched_people(
    views: Sequence[View],
    offsets: Sequence[int],
    person: str,
    limits: Limits,
    progress: Callable[[int], None] | None = None,
) -> Matched:
    """Who is who in all views, and where their keypoints are; arguments as of `reconstruct`."""
    moments = _moments(views, offsets)
    at = [
        {t: v.frames[t + o] for t in moments if t + o in v.frames}
        for v, o in zip(views, offsets, strict=True)
    ]
    told = progress or (lambda count: None)
    if person == "all":
        rows, alone = _everybody(views, at, moments, limits, told)
    else:
        rows, alone = _somebody(views, at, moments, offsets, person, told), 0
    pixels, scores, covariances = _columns(views, at, rows)
    found = triangulate_points(
        pixels,
        [view.camera for view in views],
        scores=scores,
        covariances=covariances,
        min_score=limits.min_score,
        min_views=limits.min_views,
        max_error=limits.max_error,
    )
    ids = np.zeros(len(rows.moments), np.int64)
    if person == "all":
        ids = _tracked(rows, found, _mean_scores(found, scores), moments)
    spread = _spread(found, None if covariances is not None else scores)
    return Matched(rows, pixels, scores, found, ids, moments, alone, spread)


def _moments(views: Sequence[View], offsets: Sequence[int]) -> list[int]:
    """Frames, by the first view's clock, that at least two views have; none before its first."""
    count: dict[int, int] = {}
    for view, offset in zip(views, offsets, strict=True):
        for t in view.frames:
            count[t - offset] = count.get(t - offset, 0) + 1
    return sorted(t for t, n in count.items() if n > 1 and t >= 0)


# ------------------------------------------------------------------- who is who


def _everybody(
    views: Sequence[View],
    at: Sequence[dict[int, Seen]],
    moments: list[int],
    limits: Limits,
    told: Callable[[int], None],
) -> tuple[_Rows, int]:
    """Rows of all people, and how many detections no other camera confirmed."""
    cameras = [view.camera for view in views]
    keep = _telling(views)
    flat = [_undistorted(view, seen, keep) for view, seen in zip(views, at, strict=True)]
    rows, members, alone = [], [], 0
    before: Array | None = None
    for t in moments:
        people, index = _detections(at, flat, keep, t, limits.min_score)
        groups = associate(
            people,
            cameras,
            limit=_PERSON_LIMIT * np.asarray(limits.max_error),
            min_views=limits.min_views,
            before=before,
        )
        taken = 0
        for group in groups:
            rows.append(t)
            members.append(np.where(group.members >= 0, index[group.members], NO_TRACK))
            taken += int((group.members >= 0).sum())
        alone += len(index) - taken
        before = np.stack([group.pose for group in groups]) if groups else before
        told(1)
    columns = np.array(members, int).reshape(-1, len(views)).T
    return _Rows(np.array(rows, int), columns), alone


def _telling(views: Sequence[View]) -> Array:
    """Indices of the keypoints that are surest over all views."""
    count = views[0].num_keypoints
    if count <= _ASSOCIATED_KEYPOINTS:
        return np.arange(count)
    scores = [s.scores for v in views for s in v.frames.values() if len(s.scores)]
    mean = np.concatenate(scores).mean(0) if scores else np.zeros(count)
    return np.sort(np.argsort(-mean, kind="stable")[:_ASSOCIATED_KEYPOINTS])


def _undistorted(view: View, seen: dict[int, Seen], keep: Array) -> dict[int, Array]:
    """Frame -> (N, K, 2) in the plane z = 1; all frames at once."""
    counts = [len(s.keypoints) for s in seen.values()]
    if not sum(counts):
        return {t: np.zeros((0, len(keep), 2)) for t in seen}
    whole = np.concatenate([s.keypoints[:, keep] for s in seen.values() if len(s.keypoints)])
    parts = np.split(view.camera.undistort(whole), np.cumsum(counts)[:-1])
    return dict(zip(seen, parts, strict=True))


def _detections(
    at: Sequence[dict[int, Seen]],
    flat: Sequence[dict[int, Array]],
    keep: Array,
    t: int,
    min_score: float,
) -> tuple[Detections, Array]:
    """All people of a moment, and (D,) the index of each in its view's frame."""
    numbers = [v for v in range(len(at)) if t in at[v]]
    counts = [len(at[v][t].keypoints) for v in numbers]
    places = np.concatenate([flat[v][t].reshape(-1, len(keep), 2) for v in numbers])
    scores = np.concatenate([at[v][t].scores[:, keep] for v in numbers])
    there = (scores >= min_score) & np.isfinite(places).all(-1)
    index = np.concatenate([np.arange(n) for n in counts])
    return Detections(np.repeat(numbers, counts), places, there), index


def _somebody(
    views: Sequence[View],
    at: Sequence[dict[int, Seen]],
    moments: list[int],
    offsets: Sequence[int],
    person: str,
    told: Callable[[int], None],
) -> _Rows:
    """Rows of one person: whoever is meant in each view."""
    chosen = [leading(view, person) for view in views]
    members = np.full((len(views), len(moments)), NO_TRACK)
    for v, offset in enumerate(offsets):
        members[v] = [chosen[v].get(t + offset, NO_TRACK) for t in moments]
    told(len(moments))
    there = (members >= 0).sum(0) > 0
    return _Rows(np.array(moments, int)[there], members[:, there])


# --------------------------------------------------------------- points and ids


def _columns(
    views: Sequence[View], at: Sequence[dict[int, Seen]], rows: _Rows
) -> tuple[Array, Array, Array | None]:
    """Pixels (V, R, K, 2), scores (V, R, K), covariances (V, R, K, 2, 2) or None."""
    shape = (len(views), len(rows.moments), views[0].num_keypoints)
    pixels, scores = np.full((*shape, 2), np.nan), np.zeros(shape)
    with_spread = all(view.has_covariances for view in views)
    covariances = np.full((*shape, 2, 2), np.nan) if with_spread else None
    for v, seen in enumerate(at):
        for r, (t, index) in enumerate(zip(rows.moments, rows.members[v], strict=True)):
            if index >= 0:
                frame = seen[int(t)]
                pixels[v, r], scores[v, r] = frame.keypoints[index], frame.scores[index]
                if covariances is not None and frame.covariances is not None:
                    covariances[v, r] = frame.covariances[index]
    return pixels, scores, None if covariances is None else _completed(covariances)


def _completed(covariances: Array) -> Array:
    """Where a model says nothing of a keypoint's place: the middle variance of the view."""
    known = np.asarray(np.isfinite(covariances).all((-2, -1)))
    for spread, there in zip(covariances, known, strict=True):
        typical = np.median(np.trace(spread[there], axis1=-2, axis2=-1)) / 2 if there.any() else 1.0
        spread[~there] = typical * np.eye(2)
    return covariances


def _spread(found: Triangulation, scores: Array | None) -> float:
    """Median standard deviation of the points, metres.

    Args:
        found: the points.
        scores: (V, R, K) that weighed the views, whose noise follows from how far these differ;
            None: covariances said it.
    """
    known = np.isfinite(found.points).all(-1)
    if not known.any():
        return float("nan")
    whole = np.sqrt(np.trace(found.covariances[known], axis1=-2, axis2=-1))
    free = 2 * int(found.used.sum()) - 3 * int(known.sum())
    if scores is None or free <= 0:
        return float(np.median(whole))
    square = np.where(found.used, found.errors * scores, 0) ** 2
    return float(np.median(whole) * np.sqrt(square.sum() / free))


def _mean_scores(found: Triangulation, scores: Array) -> Array:
    """(R, K) mean score of the views that a point came from; 0 without a point."""
    used = np.where(found.used, scores, 0).sum(0)
    return used / np.maximum(found.used.sum(0), 1)


def _tracked(rows: _Rows, found: Triangulation, scores: Array, moments: list[int]) -> Array:
    """(R,) ids by the way of each person through space."""
    tracker = PoseTracker(confirm=1, camera_motion=False, keypoint_threshold=0.01)
    ids = np.full(len(rows.moments), NO_TRACK, np.int64)
    last: int | None = None
    for t, index in rows.by_moment(moments):
        step = 1 if last is None else t - last
        ids[index] = tracker.update(found.points[index], scores[index], step=step)
        last = t
    return ids


def _results(view: View, people: Matched, scores: Array, fps: float) -> Iterator[PoseResult]:
    """A result a moment; `view` is the one whose camera and clock they have."""
    found, moments = people.found, people.moments
    source = SourceInfo(view.name, "video", Path(_STEM), fps=fps, frames=len(moments))
    places = view.camera.project(found.points).astype(np.float32)
    count = found.used.sum(0)
    errors = np.where(found.used, found.errors, 0).sum(0) / np.where(count > 0, count, np.nan)
    boxes = _boxes(places)
    for t, index in people.rows.by_moment(moments):
        fields = InstanceData(
            keypoints=places[index],
            keypoint_scores=scores[index].astype(np.float32),
            bboxes=boxes[index],
            bbox_scores=_person_scores(scores[index]),
            track_ids=people.ids[index],
            keypoints_3d=found.points[index].astype(np.float32),
            keypoint_scores_3d=scores[index].astype(np.float32),
            keypoint_errors=errors[index].astype(np.float32),
            keypoint_views=count[index].astype(np.int64),
        )
        yield PoseResult(
            None,
            fields,
            view.metainfo,
            view.name,
            frame_index=t,
            time=t / fps,
            source=source,
            metainfo_3d=view.metainfo,
            space_3d=SPACE_WORLD,
        )


def _boxes(places: Array) -> Array:
    """(R, 4) xyxy around the keypoints (R, K, 2) that there are."""
    there = np.isfinite(places)
    low = np.where(there, places, np.inf).min(1, initial=np.inf)
    high = np.where(there, places, -np.inf).max(1, initial=-np.inf)
    corners = np.concatenate((low, high), -1)
    return np.where(np.isfinite(corners), corners, 0).astype(np.float32)


def _person_scores(scores: Array) -> Array:
    """(N,) mean of the scores of keypoints that were found."""
    count = (scores > 0).sum(-1)
    return (scores.sum(-1) / np.maximum(count, 1)).astype(np.float32)


def _summary(views: Sequence[View], people: Matched, offsets: Sequence[int]) -> Summary:
    found, rows, ids = people.found, people.rows, people.ids
    parts = []
    for v, (view, offset) in enumerate(zip(views, offsets, strict=True)):
        errors = found.errors[v][found.used[v]]
        parts.append(
            ViewSummary(
                name=view.name,
                camera=view.camera.name,
                frames=sum(t + offset in view.frames for t in people.moments),
                unreadable=view.errors,
                offset=int(offset),
                used=int(found.used[v].sum()),
                rejected=int(found.rejected[v].sum()),
                error=float(errors.mean()) if len(errors) else float("nan"),
            )
        )
    counts = np.bincount(found.status.ravel(), minlength=3)
    return Summary(
        views=parts,
        moments=len(people.moments),
        poses=len(rows.moments),
        people=len(np.unique(ids[ids >= 0])),
        found=int(counts[0]),
        too_few_views=int(counts[1]),
        views_disagree=int(counts[2]),
        detections=int((rows.members >= 0).sum()) + people.alone,
        alone=people.alone,
        spread=people.spread,
    )
