"""Frames of videos, pictures, COCO files and saved results, one after the other."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.data_tools.opening import folder_near
from poise.datasets.coco_file import check_rows, read_json
from poise.errors import ArgumentError, DataError
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.results.reading import read_results
from poise.inference.sources import open_sources
from poise.inference.sources.frame import Frame, Source
from poise.inference.sources.opening import check_files
from poise.metrics.prediction_file import is_dump, read_predictions

__all__ = ["Place", "Poses", "Shot", "Shots"]

#: of each video about so many frames are looked at, unless a user says which
PER_VIDEO = 2000


@dataclass(frozen=True)
class Poses:
    """People of a frame: keypoints (N, K, 2) and boxes (N, 4) xyxy in image space, scores.

    Attributes:
        sure: (N, K) chance that a keypoint is right, 0 to 1.
        whole: (N,) scores of the people.
    """

    keypoints: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    sure: np.ndarray
    whole: np.ndarray

    @classmethod
    def of(cls, result: PoseResult) -> Poses:
        """Poses of an inference; a keypoint that is nowhere is unsure, in the middle of the box."""
        points = np.asarray(result.keypoints[..., :2], np.float32)
        middle = result.bboxes.reshape(-1, 1, 2, 2).mean(axis=2)
        there = np.asarray(np.isfinite(points).all(axis=-1))
        return cls(
            np.where(there[..., None], points, middle).astype(np.float32),
            np.asarray(result.bboxes, np.float32),
            np.where(there, result.keypoint_scores, 0).astype(np.float32),
            np.where(there, result.probabilities, 0).astype(np.float32),
            np.asarray(result.bbox_scores, np.float32),
        )

    @property
    def sizes(self) -> np.ndarray:
        """(N,) root of the area of what box and keypoints span, pixels; at least 1."""
        spans = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.sqrt(np.maximum(spans, 1).prod(axis=1))


@dataclass(frozen=True, eq=False)
class Place:
    """Where frames come from, openable again.

    Attributes:
        name: of the pictures made of it: the video's, or the picture's itself.
        info: of the source.
        source: gives the frames; None of labelled pictures, which are not picked.
    """

    name: str
    info: SourceInfo
    source: Source | None

    def picture(self, frame: int) -> str:
        """Name of a frame's picture, without ending; the same whenever the frame is picked."""
        return f"{self.name}_{frame:06d}" if self.info.moves else self.name

    def images(self, frames: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Some frames, in order, read once more.

        Raises:
            DataError: one can no longer be read.
        """
        wanted = set(frames)
        for frame in self.source.frames() if self.source is not None else ():
            if frame.index in wanted and frame.image is not None:
                wanted.remove(frame.index)
                yield frame.index, frame.image
            if not wanted:
                return
        raise DataError(
            f"{len(wanted)} frames of {self.info.name} could be read once and not again, such as "
            f"{min(wanted)}; has the file changed?"
        )


@dataclass(frozen=True)
class Shot:
    """A frame that may be picked: its place, number, seconds, (H, W, 3) BGR, known poses."""

    place: Place
    frame: int
    time: float | None
    image: np.ndarray
    poses: Poses | None = None


@dataclass
class Shots:
    """All frames of what a user names.

    Args:
        inputs: videos, pictures, folders, patterns; COCO files (.json) of pictures; results
            (.jsonl) of `poise predict` or `poise test --dump`, whose pictures or videos are where
            they were, or beside the file.
        images: folder of the pictures of COCO files and results, where it is another one.
        every: of videos every n-th frame; None: so many that about 2,000 remain.

    Attributes:
        faults: what could not be read.
        metainfo: keypoints of results.
        labelled: pictures of COCO files that have labels, which are left out.
    """

    inputs: Sequence[str]
    images: Path | None = None
    every: int | None = None
    faults: list[str] = field(default_factory=list)
    metainfo: dict[str, Any] = field(default_factory=dict)
    labelled: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Shot]:
        files = (".json", ".json.gz", ".jsonl", ".jsonl.gz")
        # a name that is mistyped is said now, and not after hours of a model's work
        check_files(open_sources([text for text in self.inputs if not text.endswith(files)]))
        for text in self.inputs:
            path = Path(text)
            if path.name.endswith((".jsonl", ".jsonl.gz")) and path.is_file():
                yield from self._of_dump(path) if is_dump(path) else self._of_results(path)
            elif path.name.endswith((".json", ".json.gz")) and path.is_file():
                yield from self._of_sources(self._of_coco(path))
            else:
                yield from self._of_sources([text])

    @property
    def has_results(self) -> bool:
        """Whether an input is a file of results, so that poses are known."""
        return any(text.endswith((".jsonl", ".jsonl.gz")) for text in self.inputs)

    def _of_sources(self, inputs: Iterable[str]) -> Iterator[Shot]:
        for source in open_sources(list(inputs)):
            if source.info.live:
                raise ArgumentError(
                    f"{source.info.name} cannot be gone through twice; record it, and pick from "
                    "the video"
                )
            place = self._place(source)
            for frame in self._thinned(source):
                if frame.error is not None or frame.image is None:
                    self.faults.append(str(frame.error))
                else:
                    yield Shot(place, frame.index, frame.time, frame.image)

    def _thinned(self, source: Source) -> Iterator[Frame]:
        step, left = self.every, math.inf
        following = 0
        for frame in source.frames():
            if step is None:
                # a video tells its length when it is open; of one that does not, ever fewer
                step = max(1, math.ceil((source.info.frames or 0) / PER_VIDEO))
                left = PER_VIDEO if source.info.frames is None else math.inf
            if frame.error is not None:
                yield frame
            elif frame.index >= following:
                yield frame
                following, left = frame.index + step, left - 1
                if not left:
                    step, left = 2 * step, PER_VIDEO // 2

    def _place(self, source: Source) -> Place:
        """A place whose name no other has: with the folder's where files of two have one name."""
        path = source.info.path or Path(source.info.relative)
        key = str(path.absolute())
        tried = itertools.chain(
            (
                "_".join([*path.parts[-n - 1 : -1], path.stem])
                for n in range(min(3, len(path.parts)))
            ),
            (f"{path.stem}-{n}" for n in itertools.count(2)),
        )
        name = next(n for n in tried if self._names.setdefault(n, key) == key)
        return Place(name, source.info, source)

    def _of_coco(self, path: Path) -> list[str]:
        """Pictures of a COCO file that have no labels."""
        content = read_json(str(path))
        if not isinstance(content, dict) or not content.get("images"):
            raise DataError(f"{path} is no COCO file with `images`")
        images = check_rows(content, "images", "id", "file_name", where=str(path))
        done = {a.get("image_id") for a in content.get("annotations") or ()}
        folder = self.images or folder_near(path)
        self.labelled += sum(image["id"] in done for image in images)
        return [str(folder / i["file_name"]) for i in images if i["id"] not in done]

    def _of_results(self, path: Path) -> Iterator[Shot]:
        """Frames of saved results, beside them poses."""
        for name, group in itertools.groupby(read_results(path), lambda result: result.name):
            first = next(group)
            self._note(dict(first.metainfo), path)
            source = self._found(name, path)
            frames = iter(source.frames())
            place = self._place(source)
            for result in itertools.chain([first], group):
                if result.frame_index % (self.every or 1) or result.error is not None:
                    continue
                frame = next((f for f in frames if f.index == result.frame_index), None)
                if frame is None or frame.image is None:
                    why = "is not there" if frame is None else str(frame.error)
                    self.faults.append(f"{result.where} of {path}: {why}")
                else:
                    yield Shot(place, frame.index, frame.time, frame.image, Poses.of(result))

    def _of_dump(self, path: Path) -> Iterator[Shot]:
        """Pictures of predictions that were made for a metric, beside them poses."""
        header, samples = read_predictions(path)
        self._note(dict(header["meta"]), path)
        people: dict[str, list[Any]] = defaultdict(list)
        for sample in samples:
            people[str(sample.get("img_path") or "")].append(sample["pred_instances"])
        for name, found in people.items():
            source = self._found(name, path)
            frame = next(iter(source.frames()))
            if frame.image is None:
                self.faults.append(str(frame.error))
                continue
            yield Shot(self._place(source), 0, None, frame.image, _of_predictions(found))

    def _note(self, metainfo: dict[str, Any], path: Path) -> None:
        """Keep what the keypoints are; all results need the same."""
        mine, known = (
            list((m.get("keypoint_id2name") or {}).values()) for m in (metainfo, self.metainfo)
        )
        if known and mine != known:
            raise DataError(
                f"{path} has other keypoints ({', '.join(map(str, mine[:3]))} ...) than the "
                "results before it; pick from the results of each model by themselves"
            )
        self.metainfo = self.metainfo or metainfo

    def _found(self, name: str, path: Path) -> Source:
        """The picture or video of results: where it was, below `images`, or beside the file."""
        bare = Path(name.replace("\\", "/"))
        homes = (self.images,) if self.images is not None else (None, path.parent)
        tried = [
            bare if home is None else home / part for home in homes for part in (bare, bare.name)
        ]
        place = next((p for p in tried if name and p.is_file()), None)
        if place is None:
            raise DataError(
                f"{path} is of '{name or 'pictures without a path'}', which is neither there nor "
                "beside the file; --images FOLDER says where it is"
            )
        return next(open_sources([str(place)]))


def _of_predictions(found: Sequence[Any]) -> Poses:
    """Poses of the samples of one picture."""
    points = np.concatenate([as_numpy(p["keypoints"]) for p in found])[..., :2].astype(np.float32)
    scores = np.concatenate([as_numpy(p["keypoint_scores"]) for p in found]).astype(np.float32)
    boxes = np.concatenate([as_numpy(p["bboxes"]).reshape(-1, 4) for p in found])
    sure = np.clip(scores, 0, 1)
    return Poses(points, boxes.astype(np.float32), scores, sure, scores.mean(axis=1))
