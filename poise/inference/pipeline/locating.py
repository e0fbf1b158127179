"""From frames to jobs that know where to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from poise.errors import DataError, PoiseError
from poise.inference.boxes.files import Boxes, parse_boxes
from poise.inference.boxes.given import GivenBoxes
from poise.inference.boxes.propagation import interpolate_boxes
from poise.inference.boxes.tiling import Tiling
from poise.inference.pipeline.jobs import Job
from poise.inference.pipeline.overlap import Timings
from poise.inference.sources.frame import Frame

__all__ = ["DETECTOR_BATCH", "located"]

#: Pictures per call of the detector.
DETECTOR_BATCH = 4


def located(
    frames: Iterable[Frame],
    *,
    detector: Any = None,
    given: GivenBoxes | None = None,
    tiling: Tiling | None = None,
    every: int = 1,
    batch: int = DETECTOR_BATCH,
    timings: Timings | None = None,
) -> Iterator[Job]:
    """A job for each frame, in order.

    Args:
        frames: pictures.
        detector: `BatchDetector`; None: whole pictures are looked at.
        given: the caller's boxes, instead of a detector.
        tiling: whole pictures are looked at in tiles, too.
        every: the detector looks at every n-th frame of a video; boxes in between follow from
            the detections before and after, for cameras from the poses of the frame before
            (`Job.follows`).
        batch: pictures per call of the detector, at most.
        timings: takes the detector's time.
    """
    if given is not None:
        yield from (_with_given_boxes(Job(frame), given) for frame in frames)
    elif detector is None:
        yield from (_as_a_whole(Job(frame), tiling) for frame in frames)
    else:
        yield from _Lookout(detector, every, batch, timings or Timings()).jobs(frames)


def _with_given_boxes(job: Job, given: GivenBoxes) -> Job:
    try:
        # also those of what could not be read: they come in order
        boxes = given.of(job.frame, job.name)
        if job.error is None:
            job.locate(*boxes)
    except PoiseError as error:
        job.fail(job.error or error)
    return job


def _as_a_whole(job: Job, tiling: Tiling | None) -> Job:
    if job.error is None:
        try:
            job.look_at_all(None if tiling is None else tiling.views(job.image.shape))
        except DataError as error:
            error.add_note(f"while cutting {job.name} into tiles")
            job.fail(error)
    return job


class _Lookout:
    """Runs the detector on the frames whose turn it is.

    Args:
        detector, every, batch, timings: as for `located`.
    """

    def __init__(self, detector: Any, every: int, batch: int, timings: Timings) -> None:
        self._detector, self._every, self._batch = detector, every, batch
        self._timings = timings

    def jobs(self, frames: Iterable[Frame]) -> Iterator[Job]:
        """Jobs in the order of the frames."""
        waiting: list[Job] = []
        before: Job | None = None
        following = 0
        for frame in frames:
            job = Job(frame)
            source = frame.source
            if self._every > 1 and waiting and _apart(waiting[0], job):
                yield from self._rest(before, waiting)
                waiting, before = [], None
            if self._every == 1 or not source.moves:
                waiting.append(job)
                # nothing comes after a picture that may end the run: say so before reading on
                if source.live or job.error is not None or len(waiting) == self._batch:
                    yield from self._detected(waiting)
                    waiting = []
            elif source.live:
                # counted as they come: numbers have holes where frames were dropped
                due = before is None or not _same(before, job) or following == self._every - 1
                if due:
                    self._detected([job])
                    # after one that was of no use the next one is looked at
                    before, following = (before, following) if job.error else (job, 0)
                else:
                    job.follows, following = job.error is None, following + 1
                yield job
            elif frame.index % self._every and before is not None and _same(before, job):
                waiting.append(job)
            else:
                self._detected([job])
                yield from self._between(before, waiting, job)
                waiting, before = [], job
                yield job
        yield from self._rest(before, waiting)

    def _rest(self, before: Job | None, waiting: list[Job]) -> Iterable[Job]:
        """What is left at the end of a source."""
        if self._every > 1 and waiting and waiting[0].frame.source.moves:
            return self._between(before, waiting, None)
        return self._detected(waiting)

    def _detected(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Boxes of several pictures by one call of the detector."""
        readable = [job for job in jobs if job.error is None]
        if not readable:
            return jobs
        try:
            with self._timings.measure("detect", len(readable)):
                found = self._detector.detect([job.image for job in readable])
            for job, boxes in zip(readable, found, strict=True):
                job.locate(*parse_boxes(boxes, where="the detector's boxes"))
        except Exception as error:  # whatever a detector does wrong: the picture has it
            if len(readable) == 1:
                error.add_note(f"while the detector looked at {readable[0].name}")
                readable[0].fail(error)
            else:
                # one of them is at fault; the others have a right to their boxes
                for job in readable:
                    self._detected([job])
        return jobs

    def _between(self, before: Job | None, waiting: list[Job], after: Job | None) -> Iterator[Job]:
        """Jobs between two detections; without a later one the last job gets its own."""
        readable = [job for job in waiting if job.error is None]
        if after is None and readable:
            after = readable.pop()
            self._detected([after])
        if readable and before is not None and after is not None:
            # a frame that could not be read has no boxes: then the other one's stand in
            first, last = (_boxes_of(job) for job in (before, after))
            first, last = first or last, last or first
            if first is None or last is None:
                self._detected(readable)
            else:
                start, length = before.frame.index, after.frame.index - before.frame.index
                fractions = [(job.frame.index - start) / length for job in readable]
                _interpolate(first, readable, last, fractions)
        yield from waiting


def _same(one: Job, other: Job) -> bool:
    return one.frame.source.name == other.frame.source.name


def _apart(one: Job, other: Job) -> bool:
    """Whether two jobs cannot wait together: of another video, or of a video and a picture."""
    return (one.frame.source.moves or other.frame.source.moves) and not _same(one, other)


def _interpolate(
    first: Boxes, jobs: Sequence[Job], last: Boxes, fractions: Sequence[float]
) -> None:
    """Boxes of the jobs between two that have theirs."""
    if first.categories is None or last.categories is None:
        for job, place in zip(jobs, _between(first, last, fractions), strict=True):
            job.locate(*place)
        return
    # nobody turns into something of another kind
    kinds = np.union1d(first.categories, last.categories)
    parts = [
        _between(_of_kind(first, kind), _of_kind(last, kind), fractions) for kind in kinds.tolist()
    ]
    for job, *places in zip(jobs, *parts, strict=True):
        boxes, scores = (np.concatenate(column) for column in zip(*places, strict=True))
        job.locate(boxes, scores, np.repeat(kinds, [len(own[0]) for own in places]))


def _boxes_of(job: Job) -> Boxes | None:
    return None if job.bboxes is None else Boxes(job.bboxes, job.bbox_scores, job.categories)


def _of_kind(boxes: Boxes, kind: int) -> Boxes:
    own = boxes.categories == kind
    return Boxes(boxes.xyxy[own], boxes.scores[own])


def _between(
    first: Boxes, last: Boxes, fractions: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    return interpolate_boxes(first.xyxy, last.xyxy, fractions, scores=(first.scores, last.scores))
