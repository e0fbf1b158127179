"""`PoseTracker`: who is who from frame to frame."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import correct_motion, predict_motion, start_motion
from poise.inference.tracking.association import assign, camera_shift, likeness, surprise
from poise.inference.tracking.people import AREA_OF_EXTENT, People, people_of

__all__ = ["NO_TRACK", "PoseTracker"]

#: Id of somebody who is in no track: too unsure, or seen for the first time.
NO_TRACK = -1

# Motion, in parts of a person's height and frames
_PLACE_STD, _SPEED_STD, _ACCELERATION_STD = 0.05, 0.1, 0.015
#: and of the logarithm of the sizes
_GROWTH_STD, _GROWTH_SPEED_STD, _GROWTH_ACCELERATION_STD = 0.08, 0.02, 0.01
#: What remains of the speed of somebody unseen, per frame.
_UNSEEN_SPEED_PART = 0.95
#: Likeness is lowered by this for every frame unseen, to the advantage of those in view.
_UNSEEN_COST, _UNSEEN_COST_MAX = 0.02, 0.2
#: A new person that is this much like one already matched is the same one found twice.
_TWICE_LIKENESS = 0.75
#: How far from the expected place somebody may be found again, in standard deviations.
_FARTHEST = 3.0
#: What the way counts in a match; pose and box count the rest.
_WAY_PART = 0.3
#: Sigma of keypoints in schemas that give none.
_DEFAULT_SIGMA = 0.07
#: Scores of so many people tell what a good score is.
_SCORE_MEMORY = 256


@dataclasses.dataclass
class _Tracks:
    """Everything known of M tracks; a row each."""

    ids: Array
    mean: Array  # (M, 2 D, 2): centre and logarithm of the size, with their speeds
    cov: Array  # (M, 2 D, 3)
    shape: Array  # (M, K, D) keypoints, in sizes from the centre
    sure: Array  # (M, K)
    unseen: Array  # (M,) frames since the last match
    hits: Array  # (M,) matches; negative: not confirmed yet

    def of(self, index: Array) -> _Tracks:
        return _Tracks(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    def joined(self, other: _Tracks) -> _Tracks:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self))
        return _Tracks(*(np.concatenate(p) for p in pairs))

    @property
    def centers(self) -> Array:
        return self.mean[:, : self.mean.shape[1] // 2, 0]

    @property
    def sizes(self) -> Array:
        return np.exp(self.mean[:, self.mean.shape[1] // 2 :, 0])

    def expected(self) -> People:
        """Where they should be now."""
        centers, sizes = self.centers, self.sizes
        keypoints = centers[:, None] + self.shape * sizes[:, None]
        if centers.shape[1] == 3:
            areas = AREA_OF_EXTENT * sizes[:, 0] ** 2
            return People(centers, sizes, keypoints, self.sure, areas, None)
        boxes = np.concatenate((centers - sizes / 2, centers + sizes / 2), 1)
        return People(centers, sizes, keypoints, self.sure, sizes.prod(1), boxes)


class PoseTracker:
    """Gives people ids that stay the same from frame to frame, without looking at pixels.

    Sure detections are matched first, to all tracks, by pose and box; unsure ones then to what
    is left of the tracks in view, as in ByteTrack (Zhang et al., ECCV 2022); somebody who was
    hidden is found again within the region that could be reached meanwhile. The motion model is
    a constant velocity of centre and size. The same input gives the same ids.

    Args:
        high: score from which a detection is sure. None: half of what good detections of this
            video have, since every model's scores have another range.
        low: score below which a detection is ignored. None: a quarter of `high`.
        match: least likeness (0..1) of a match.
        buffer: frames for which somebody unseen is remembered.
        confirm: frames in which somebody must be found before getting an id; people of the first
            frame get theirs at once.
        tolerance: widens the keypoints' sigmas, since people move between frames.
        camera_motion: take a step that everybody makes at once as one of the camera.
        sigmas: (K,) of the schema; None or empty: 0.07 for all.
        keypoint_threshold: keypoints with a lower score do not count.

    Example:
        >>> tracker = PoseTracker()
        >>> pose = np.random.default_rng(0).uniform(0, 100, (2, 17, 2)) + [[[0, 0]], [[300, 0]]]
        >>> tracker.update(pose, np.ones((2, 17))).tolist()
        [1, 2]
        >>> tracker.update(pose[::-1] + 2, np.ones((2, 17))).tolist()
        [2, 1]
    """

    def __init__(
        self,
        *,
        high: float | None = None,
        low: float | None = None,
        match: float = 0.15,
        buffer: int = 60,
        confirm: int = 2,
        tolerance: float = 2.0,
        camera_motion: bool = True,
        sigmas: Sequence[float] | Array | None = None,
        keypoint_threshold: float = 0.3,
    ) -> None:
        if buffer < 0 or confirm < 1 or not 0 <= match < 1 or tolerance <= 0:
            raise DataError(
                "a tracker needs buffer >= 0, confirm >= 1, match in 0..1 and tolerance > 0, got "
                f"{buffer}, {confirm}, {match} and {tolerance}"
            )
        self.high, self.low, self.match = high, low, match
        self.buffer, self.confirm, self.camera_motion = buffer, confirm, camera_motion
        self.tolerance, self.keypoint_threshold = tolerance, keypoint_threshold
        self._sigmas = None if sigmas is None or not len(sigmas) else np.asarray(sigmas, float)
        self.reset()

    def reset(self) -> None:
        """Forget everybody, before another video."""
        self._tracks: _Tracks | None = None
        self._next_id = 1
        self._first = True
        self._scores: deque[float] = deque(maxlen=_SCORE_MEMORY)

    def update(
        self,
        keypoints: Any,
        keypoint_scores: Any,
        boxes: Any = None,
        scores: Any = None,
        *,
        step: float = 1.0,
    ) -> Array:
        """Ids of the people of the next frame.

        Args:
            keypoints: (N, K, 2) image space, or (N, K, 3) in any metric space.
            keypoint_scores: (N, K).
            boxes: (N, 4) xyxy, image space; None: around the keypoints.
            scores: (N,) of the people; None: the mean of the keypoints'.
            step: frames since the last call.

        Returns:
            (N,) int64; -1 for people in no track.

        Raises:
            DataError: shapes that do not fit together, or another number of keypoints.
        """
        people = people_of(keypoints, keypoint_scores, boxes, threshold=self.keypoint_threshold)
        if scores is None:
            values = np.asarray(keypoint_scores, np.float64).mean(1) if len(people) else []
        else:
            values = np.asarray(scores, np.float64).reshape(-1)
        self._check(people, len(values))
        sure, unsure = self._graded(np.nan_to_num(values))
        sigmas = self._sigmas_of(people) * self.tolerance
        rows = ids = np.full(len(people), NO_TRACK, np.int64)
        if self._tracks is not None:
            self._advance(step, people.of(sure))
            rows = self._matched(people, sure, unsure, sigmas)
            ids = self._corrected(people, rows)
        begun = self._begun(people, rows, sure, sigmas)
        ids[begun] = self._begin(people.of(begun))
        self._first = self._first and not len(sure)
        return ids

    # ------------------------------------------------------------------ steps

    def _check(self, people: People, scores: int) -> None:
        if scores != len(people):
            raise DataError(f"there are {len(people)} people and {scores} scores of people")
        own = people.keypoints.shape[1:]
        known = own if self._tracks is None else self._tracks.shape.shape[1:]
        if own != known:
            raise DataError(
                f"people before had keypoints {known}, these have {own}; reset() forgets those"
            )

    def _graded(self, scores: Array) -> tuple[Array, Array]:
        """Indices of sure and of unsure detections."""
        self._scores.extend(scores.tolist())
        high = self.high
        if high is None:
            high = 0.5 * float(np.quantile(self._scores, 0.75)) if self._scores else 0.0
        low = high / 4 if self.low is None else self.low
        return np.flatnonzero(scores >= high), np.flatnonzero((scores < high) & (scores >= low))

    def _sigmas_of(self, people: People) -> Array:
        count = people.keypoints.shape[1]
        if self._sigmas is None:
            return np.full(count, _DEFAULT_SIGMA)
        if len(self._sigmas) != count:
            raise DataError(f"the tracker has {len(self._sigmas)} sigmas for {count} keypoints")
        return self._sigmas

    def _advance(self, step: float, people: People) -> None:
        """Move all tracks on, and with the camera."""
        tracks = self._live()
        half = tracks.mean.shape[1] // 2
        hidden = tracks.unseen > 0
        tracks.mean[hidden, :, 1] *= _UNSEEN_SPEED_PART**step
        noise = _noise(tracks.sizes, _ACCELERATION_STD, _GROWTH_ACCELERATION_STD) ** 2
        tracks.mean, tracks.cov = predict_motion(tracks.mean, tracks.cov, step, noise)
        tracks.unseen = tracks.unseen + step
        if self.camera_motion:
            seen = tracks.unseen <= step
            shift = camera_shift(people, tracks.centers[seen], tracks.sizes[seen])
            tracks.mean[:, :half, 0] += shift

    def _matched(self, people: People, sure: Array, unsure: Array, sigmas: Array) -> Array:
        """(N,) row of the track of each person, or -1."""
        tracks = self._live()
        rows = np.full(len(people), NO_TRACK)
        expected = tracks.expected()
        cost = np.minimum(_UNSEEN_COST * (tracks.unseen - 1), _UNSEEN_COST_MAX)
        away = self._surprise(people.of(sure), np.arange(len(tracks.ids)))
        gain = likeness(people.of(sure), expected, sigmas) - np.maximum(cost, 0)
        # of two tracks that look alike, the one whose way leads here
        way = np.where(gain > 0, np.exp(-((away / _FARTHEST) ** 2) / 2), 0)
        gain = (1 - _WAY_PART) * gain + _WAY_PART * way
        first, second = assign(gain, self.match)
        rows[sure[first]] = second
        # unsure detections only continue what was in view a moment ago
        free = np.setdiff1d(np.flatnonzero((tracks.unseen <= 2) & (tracks.hits > 0)), second)
        gain = likeness(people.of(unsure), expected.of(free), sigmas)
        first, third = assign(gain, 2 * self.match)
        rows[unsure[first]] = free[third]
        left = sure[rows[sure] == NO_TRACK]
        lost = np.setdiff1d(np.flatnonzero((tracks.unseen > 1) & (tracks.hits > 0)), rows)
        away = self._surprise(people.of(left), lost)
        first, fourth = assign(1 - away / _FARTHEST, 0.0)
        rows[left[first]] = lost[fourth]
        return rows

    def _surprise(self, people: People, rows: Array) -> Array:
        """Distances (N, rows) of people from where tracks may be, in standard deviations."""
        tracks = self._live()
        half = tracks.mean.shape[1] // 2
        sizes = tracks.sizes[rows]
        spread = tracks.cov[rows, :half, 0] + (_PLACE_STD * sizes.max(-1, keepdims=True)) ** 2
        return surprise(people, tracks.centers[rows], spread, sizes)

    def _corrected(self, people: People, rows: Array) -> Array:
        """Take in what was matched, forget who is long gone; ids (N,) of the matched."""
        tracks = self._live()
        hit = np.flatnonzero(rows != NO_TRACK)
        row = rows[hit]
        centers, sizes = people.centers[hit], people.sizes[hit]
        measured = np.concatenate((centers, np.log(sizes)), 1)
        variance = _noise(sizes, _PLACE_STD, _GROWTH_STD) ** 2
        tracks.mean[row], tracks.cov[row] = correct_motion(
            tracks.mean[row], tracks.cov[row], measured, variance
        )
        # keypoints not seen now keep their last place in the body
        seen = people.sure[hit]
        shape = (people.keypoints[hit] - centers[:, None]) / sizes[:, None]
        tracks.shape[row] = np.where(seen[..., None], shape, tracks.shape[row])
        tracks.sure[row] |= seen
        tracks.unseen[row] = 0
        tracks.hits[row] += 1
        fresh = row[(tracks.hits[row] == 0)]
        tracks.ids[fresh] = self._ids(len(fresh))
        tracks.hits[fresh] = self.confirm
        ids = np.full(len(rows), NO_TRACK, np.int64)
        ids[hit] = tracks.ids[row]
        keep = np.where(tracks.hits > 0, tracks.unseen <= self.buffer, tracks.unseen == 0)
        self._tracks = tracks.of(keep)
        return ids

    def _begun(self, people: People, rows: Array, sure: Array, sigmas: Array) -> Array:
        """Indices of the people with whom new tracks begin."""
        new = sure[rows[sure] == NO_TRACK]
        old = np.flatnonzero(rows != NO_TRACK)
        if len(old) and len(new):
            twice = likeness(people.of(new), people.of(old), sigmas).max(1) > _TWICE_LIKENESS
            new = new[~twice]
        return new

    def _begin(self, people: People) -> Array:
        """Begin tracks; ids (N,) of those that are believed at once."""
        at_once = self._first or self.confirm == 1
        mean, cov = start_motion(
            np.concatenate((people.centers, np.log(people.sizes)), 1),
            _noise(people.sizes, _PLACE_STD, _GROWTH_STD) ** 2,
            _noise(people.sizes, _SPEED_STD, _GROWTH_SPEED_STD) ** 2,
        )
        count = len(people)
        fresh = _Tracks(
            ids=self._ids(count) if at_once else np.full(count, NO_TRACK),
            mean=mean,
            cov=cov,
            shape=(people.keypoints - people.centers[:, None]) / people.sizes[:, None],
            sure=people.sure.copy(),
            unseen=np.zeros(count),
            hits=np.full(count, self.confirm if at_once else 1 - self.confirm),
        )
        if count:
            self._tracks = fresh if self._tracks is None else self._tracks.joined(fresh)
        return fresh.ids

    def _ids(self, count: int) -> Array:
        ids = np.arange(self._next_id, self._next_id + count)
        self._next_id += count
        return ids

    def _live(self) -> _Tracks:
        if self._tracks is None:
            raise DataError("nobody has been seen yet")
        return self._tracks


def _noise(sizes: Array, of_place: float, of_size: float) -> Array:
    """(M, 2 D) standard deviations: places in parts of the height, sizes as logarithms."""
    height = sizes.max(-1, keepdims=True)
    return np.concatenate(
        (of_place * np.broadcast_to(height, sizes.shape), np.full(sizes.shape, of_size)), 1
    )
