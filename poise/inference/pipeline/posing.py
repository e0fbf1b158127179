"""Jobs -> batches -> network -> poses, in overlapping stages, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poise.inference.boxes.propagation import PoseBoxes
from poise.inference.networks.crops import Crop
from poise.inference.networks.network import Network
from poise.inference.pipeline.jobs import Job
from poise.inference.pipeline.overlap import Timings, mapped, prefetched

__all__ = ["posed"]

#: Batches that may wait between two stages.
_WAITING = 2


class _Step(NamedTuple):
    """Jobs that came, and the next batch.

    Attributes:
        jobs: in order; those without places, too.
        owners: the job of each place of the batch; empty where there is no batch.
        crops: the places.
        batch: what the network takes; None until it is prepared.
        outputs: what the network said; None until it ran.
        error: why it could not be prepared or run.
    """

    jobs: list[Job]
    owners: list[Job]
    crops: list[Crop]
    batch: Any = None
    outputs: Any = None
    error: Exception | None = None


def posed(
    jobs: Iterable[Job],
    network: Network,
    *,
    batch_size: int,
    timings: Timings,
    overlap: bool = True,
) -> Generator[Job, None, None]:
    """The same jobs, with poses, in order.

    Args:
        jobs: with places to look at, or `follows`.
        network: says where keypoints are.
        batch_size: places per network call; one call takes places of several pictures.
        timings: takes the time of each stage.
        overlap: run stages in threads. Not where boxes follow from poses.
    """
    boxes = PoseBoxes()
    run = partial(_run, network=network, timings=timings)
    steps: Iterator[_Step] = _prepared(_gathered(jobs, batch_size, boxes), network, timings)
    if overlap:
        steps = prefetched(steps, _WAITING, "crop")
        lanes = network.lanes
        steps = mapped(run, steps, lanes=lanes, size=max(lanes, _WAITING), name="network")
    else:
        steps = map(run, steps)
    waiting: deque[Job] = deque()
    for step in steps:
        waiting.extend(step.jobs)
        _hand_out(step, network, timings)
        while waiting and waiting[0].complete:
            yield waiting.popleft()


def _gathered(jobs: Iterable[Job], batch_size: int, boxes: PoseBoxes) -> Iterator[_Step]:
    """Batches across people and pictures."""
    came: list[Job] = []
    owners: list[Job] = []
    crops: list[Crop] = []
    before: Job | None = None
    for job in jobs:
        if job.follows:
            _follow(before, job, boxes)
        if job.error is None:
            before = job
        places = _places(job)
        came.append(job)
        while places:
            room = batch_size - len(crops)
            owners += [job] * len(places[:room])
            crops += places[:room]
            places = places[room:]
            if len(crops) == batch_size:
                yield _Step(came, owners, crops)
                came, owners, crops = [], [], []
        # nobody waits for pictures that are not there yet: not behind an error, which may end
        # the run, not behind a camera's frame, and not for more pictures than a batch has places
        ends = job.error is not None or job.frame.source.live
        pending = came or crops
        if pending and (ends or not crops or len(came) >= batch_size):
            yield _Step(came, owners, crops)
            came, owners, crops = [], [], []
    if came or crops:
        yield _Step(came, owners, crops)


def _places(job: Job) -> list[Crop]:
    """The places to look at in a picture."""
    if job.error is not None:
        return []
    path = job.frame.source.path
    text = str(path) if isinstance(path, Path) else None
    if job.bboxes is None:
        return [Crop(view, None, 1.0, job.name, text) for view in job.views()]
    return [
        Crop(job.image, box, score, job.name, text)
        for box, score in zip(job.bboxes, job.bbox_scores.tolist(), strict=True)
    ]


def _follow(before: Job | None, job: Job, boxes: PoseBoxes) -> None:
    """Boxes of a frame from the poses of the one before, which are known by now."""
    job.follows = False
    found = None if before is None else before.instances()
    if before is None or found is None or before.bboxes is None:
        job.locate(np.zeros((0, 4), np.float32), np.zeros((0,), np.float32))
        return
    if before.detected:
        boxes.detected(before.bboxes, before.bbox_scores, found.keypoints, found.keypoint_scores)
    moved = boxes.moved(found.keypoints, found.keypoint_scores)
    job.locate(*moved, None if before.categories is None else before.categories[boxes.kept])
    job.detected = False


def _prepared(steps: Iterable[_Step], network: Network, timings: Timings) -> Iterator[_Step]:
    for step in steps:
        if not step.crops:
            yield step
            continue
        try:
            with timings.measure("crop", len(step.crops)):
                batch = network.prepare(step.crops)
        except Exception as error:  # told with the frame's name when its turn comes
            yield step._replace(error=error)
        else:
            yield step._replace(batch=batch)


def _run(step: _Step, network: Network, timings: Timings) -> _Step:
    if step.error is not None or not step.crops:
        return step
    try:
        with timings.measure("network", len(step.crops)):
            return step._replace(outputs=network.run(step.batch))
    except Exception as error:  # told with the frame's name when its turn comes
        return step._replace(error=error)


def _hand_out(step: _Step, network: Network, timings: Timings) -> None:
    """Give each job its poses, or its error."""
    if not step.crops:
        return
    if step.error is None:
        try:
            with timings.measure("decode", len(step.crops)):
                found = network.decode(step.outputs, step.batch)
        except Exception as error:  # told with the frame's name when its turn comes
            step = step._replace(error=error)
    if step.error is None:
        for job, poses in zip(step.owners, found, strict=True):
            if job.error is None:
                job.add(poses)
        return
    concerned = list(dict.fromkeys(step.owners))
    if len(concerned) == 1:
        step.error.add_note(f"while looking for poses in {concerned[0].name}")
        concerned[0].fail(step.error)
        return
    # one of the pictures is at fault; the others have a right to their poses
    for job in concerned:
        crops = [c for c, owner in zip(step.crops, step.owners, strict=True) if owner is job]
        alone = next(_prepared([_Step([], [job] * len(crops), crops)], network, timings))
        _hand_out(_run(alone, network, timings), network, timings)
