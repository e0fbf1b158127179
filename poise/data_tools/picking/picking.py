"""Choosing frames from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.picking.choosing import WAYS, choose
from poise.data_tools.picking.doubts import Candidate, Scale, told, watched
from poise.data_tools.picking.labelled import Labelled
from poise.data_tools.picking.shots import Poses, Shot, Shots
from poise.errors import ArgumentError, DataError, one_of

__all__ = ["Picked", "Wishes", "pick_frames"]

#: more frames are not kept in memory; even
MOST_KEPT = 20_000
#: frames that a model looks at together
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a user wants.

    Attributes:
        num: how many frames.
        by: one of `WAYS`; None: both where poses are known, else spread.
        every: of videos only every n-th frame.
        images: folder of the pictures of COCO files and results.
        labelled: labels in any form: their pictures are not picked again.
        labelled_images: folder of those pictures.
        done: pictures that were picked before.
        seed: of the groups.

    Raises:
        ArgumentError: a way that is none, or no frames.
    """

    num: int = 50
    by: str | None = None
    every: int | None = None
    images: Path | None = None
    labelled: Path | None = None
    labelled_images: Path | None = None
    done: Sequence[Path] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by is not None:
            one_of(self.by, WAYS, "--by", ArgumentError)
        for option, value in (("--num", self.num), ("--every", self.every)):
            if value is not None and value < 1:
                raise ArgumentError(f"{option} is 1 or more, got {value}")


@dataclass
class Picked:
    """The chosen frames, in the order of their sources.

    Attributes:
        frames: what is known of them.
        reasons: why each was chosen, in words.
        doubts: (n,) how doubtful each is, in spreads above the middle.
        seen: how many frames were looked at.
        faults: what could not be read.
        said: what else a user should know.
        metainfo: parsed schema of the poses; empty without any.
        labelled: the labels that there are, if any.
    """

    frames: list[Candidate]
    reasons: list[str]
    doubts: np.ndarray
    seen: int
    faults: list[str]
    said: list[str]
    metainfo: dict[str, Any] = field(default_factory=dict)
    labelled: Annotations | None = None


def pick_frames(
    inputs: Sequence[str],
    inferencer: Any = None,
    wishes: Wishes | None = None,
    *,
    progress: Callable[[Iterator[Candidate]], Iterator[Candidate]] = iter,
) -> Picked:
    """Frames that are most worth labelling.

    Args:
        inputs: as `Shots` takes them.
        inferencer: a `poise.Inferencer` whose doubts count; None: those of results among the
            inputs, or none.
        wishes: of the user.
        progress: wraps the iteration over frames.

    Raises:
        ArgumentError: "doubt" without poses, or a model beside results.
        DataError: no frames, or labels of keypoints that the model has not.
    """
    wishes = wishes or Wishes()
    shots = Shots(inputs, wishes.images, wishes.every)
    posed = inferencer is not None or shots.has_results
    by = wishes.by or ("both" if posed else "spread")
    if inferencer is not None and shots.has_results:
        raise ArgumentError("give --model or a file of results, not both")
    if by != "spread" and not posed:
        raise ArgumentError(
            f"--by {by} needs poses: give --model, or results of poise predict (.jsonl)"
        )
    labelled = Labelled(wishes.labelled, wishes.labelled_images, wishes.done)
    meta = {} if inferencer is None else dict(inferencer.metainfo)
    labelled.check(meta)
    kept, seen = _kept(progress(watched(_looked_at(shots, inferencer))))
    meta = meta or shots.metainfo
    if not kept:
        why = f": {shots.faults[0]}" if shots.faults else ""
        labels = f"; with labels already: {shots.labelled:,}" if shots.labelled else ""
        raise DataError(f"there are no frames to pick from{why}{labels}")
    labelled.check(meta)
    theirs: list[Candidate] = []
    free: list[Candidate] = []
    for candidate in kept:
        (theirs if labelled.has(candidate) else free).append(candidate)
    said = []
    if known := len(theirs) + shots.labelled:
        said.append(f"with labels, or picked before: {known:,}")
    covered = labelled.looks(theirs)
    labelled.compare(free, meta)
    doubt, reasons = Scale.of(free).doubts(free)
    chosen = choose(free, doubt, wishes.num, by, covered=covered, seed=wishes.seed) if free else []
    if len(chosen) < wishes.num:
        said.append(f"only {len(chosen):,} of {wishes.num:,}: no others are new and look different")
    chosen.sort()
    return Picked(
        [free[n] for n in chosen],
        [_reason(free[n], reasons[n], by) for n in chosen],
        doubt[chosen],
        seen,
        shots.faults,
        said,
        meta,
        labelled.found,
    )


def _reason(candidate: Candidate, kind: str, by: str) -> str:
    """Why a frame was chosen, in words."""
    return told(candidate, kind) if kind and by != "spread" else "unlike the others"


def _looked_at(shots: Shots, inferencer: Any) -> Iterator[tuple[Shot, Poses | None, Poses | None]]:
    """Shots with poses, and those of their mirror images."""
    if inferencer is None:
        yield from ((shot, shot.poses, None) for shot in shots)
        return
    swap = list(inferencer.metainfo["flip_indices"])
    # where no keypoint has another side, the model never saw a mirror image
    mirrors = swap != sorted(swap)
    iterator = iter(shots)
    while chunk := [shot for _, shot in zip(range(_AT_ONCE), iterator, strict=False)]:
        images = [shot.image for shot in chunk]
        straight = list(inferencer.predict(images, flip_test=False, keep_going=True))
        if not mirrors:
            yield from ((s, Poses.of(r), None) for s, r in zip(chunk, straight, strict=True))
            continue
        widths = [image.shape[1] for image in images]
        boxes = None
        if inferencer.needs_boxes:
            boxes = [_turned_boxes(r.bboxes, w) for r, w in zip(straight, widths, strict=True)]
        mirrored = inferencer.predict(
            [np.ascontiguousarray(image[:, ::-1]) for image in images],
            boxes=boxes,
            flip_test=False,
            keep_going=True,
        )
        for shot, one, other, width in zip(chunk, straight, mirrored, widths, strict=True):
            poses, turned = Poses.of(one), Poses.of(other)
            points = turned.keypoints[:, swap].copy()
            points[..., 0] = width - 1 - points[..., 0]
            back = Poses(points, turned.boxes, turned.scores, turned.sure, turned.whole)
            yield shot, poses, back


def _turned_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes (N, 4) xyxy in the mirror image."""
    left, top, right, bottom = boxes.reshape(-1, 4).T
    return np.stack([width - 1 - right, top, width - 1 - left, bottom], axis=1)


def _kept(candidates: Iterable[Candidate]) -> tuple[list[Candidate], int]:
    """Candidates, and how many there were; of too many, the most doubtful of each few in a row."""
    kept: list[Candidate] = []
    few: list[Candidate] = []
    step, seen = 1, 0
    scale = Scale.of(kept)
    for candidate in candidates:
        seen += 1
        few.append(candidate)
        if len(few) == step:
            kept.append(few[scale.doubts(few)[0].argmax()])
            few = []
        if len(kept) == MOST_KEPT:
            # from now on as many more make way for one
            step, scale = 2 * step, Scale.of(kept)
            doubt = scale.doubts(kept)[0].reshape(-1, 2)
            kept = [kept[2 * n + k] for n, k in enumerate(doubt.argmax(axis=1).tolist())]
    return kept + few[:1], seen
