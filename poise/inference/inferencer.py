"""`Inferencer`: pictures in, poses out; batched over people and pictures."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from poise.errors import ArgumentError, ConfigError, DataError, PoiseError
from poise.inference.boxes import check_boxes
from poise.inference.crops import Crop, crop_maker, read_test_pipeline
from poise.inference.detectors import WholeImage, build_detector
from poise.inference.jobs import GivenBoxes, Job
from poise.inference.results import PoseResult, empty_instances
from poise.inference.sources import Picture, list_pictures, read_picture

__all__ = ["Inferencer"]

_LOG = logging.getLogger(__name__)

#: Pictures per call of the detector.
_DETECTOR_BATCH = 4
#: Transforms that mark a pipeline as one of single people.
_BOX_STEPS = frozenset(("TopdownAffine", "GetBBoxCenterScale"))


class Inferencer:
    """Finds poses with any 2D model: top-down ones with boxes, bottom-up ones without.

    Args:
        model: "auto" (the model inside the package), a model name, a config file, a `Config`,
            or a built estimator that has `cfg` and `dataset_meta`.
        weights: checkpoint; None takes the model's own where it comes inside the package.
        detector: finds the boxes where the caller gives none: "auto" (the embedded person
            detector for models of people, the whole picture for others), "nanodet",
            "whole-image" or None, a callable that takes a picture (H, W, 3) uint8 BGR and
            returns boxes (N, 4 or 5), or a `poise.inference.detectors.BatchDetector`. Models of
            whole pictures need none.
        device: "auto" (CUDA, else MPS, else CPU) or a torch device.
        flip_test: True or False; None keeps the config's setting.

    Example:
        results = Inferencer().predict("photo.jpg")
        keypoints = next(results).keypoints        # (N, K, 2), pixels of the photo
    """

    def __init__(
        self,
        model: Any = "auto",
        weights: str | os.PathLike[str] | None = None,
        *,
        detector: Any = "auto",
        device: Any = "auto",
        flip_test: bool | None = None,
    ) -> None:
        from poise.models.build import load_model
        from poise.zoo import DEFAULT_MODEL

        self.model_name = DEFAULT_MODEL if isinstance(model, str) and model == "auto" else model
        device = pick_device(device)
        network: Any = load_model(self.model_name, weights, device=device)
        self.model = network
        if flip_test is not None:
            self.model.test_cfg = {**(self.model.test_cfg or {}), "flip_test": flip_test}
        self.metainfo: Mapping[str, Any] = self.model.dataset_meta
        pipeline = read_test_pipeline(self.model.cfg)
        _refuse_lifter(self.model)
        #: whether the model takes one person at a time, and so needs boxes
        self.needs_boxes = any(type(step).__name__ in _BOX_STEPS for step in pipeline)
        self._make_batch = crop_maker(pipeline, self.metainfo)
        # built when the first picture without boxes comes
        self._detector_spec, self._device = detector, device
        self._detector: Any = None

    @property
    def detector(self) -> Any:
        """What finds the boxes; None for models of whole pictures."""
        if self.needs_boxes and self._detector is None:
            self._detector = build_detector(self._detector_spec, self.metainfo, device=self._device)
            _LOG.info("detector: %s", self._detector.description)
        return self._detector

    # ------------------------------------------------------------------ predict

    def predict(
        self,
        inputs: Any,
        *,
        boxes: Any = None,
        batch_size: int = 16,
        keep_going: bool = False,
    ) -> Iterator[PoseResult]:
        """One result a picture, in the order of the inputs; lazily, in constant memory.

        Args:
            inputs: path, folder, pattern with `*`, array (H, W, 3) uint8 in BGR order, PIL
                image, or a list or an iterator of these.
            boxes: people's boxes, xyxy pixels of the picture with or without a score:
                (N, 4 or 5) for one picture, a list of such for several, a dict by path or file
                name, or a JSON file of them. A picture with no box gets an empty result. None:
                the detector looks for them. Models of whole pictures do not take boxes.
            batch_size: crops per network call, from one or several pictures.
            keep_going: give a result with `error` for a picture that cannot be used, instead of
                raising when its turn comes.

        Raises:
            FileMissingError, DataError: no such picture; unreadable; boxes of a wrong form.
        """
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        if boxes is not None and not self.needs_boxes:
            raise DataError(
                "this model finds everybody in the whole picture and takes no boxes; leave them "
                "out, or choose a top-down model"
            )
        waiting: deque[Job] = deque()
        crops: list[tuple[Job, Crop]] = []
        for job in self._located(list_pictures(inputs), boxes, batch_size):
            waiting.append(job)
            for crop in _crops(job):
                crops.append((job, crop))
                if len(crops) == batch_size:
                    self._run(crops)
                    crops = []
            while waiting and waiting[0].complete:
                yield self._finish(waiting.popleft(), keep_going)
        if crops:
            self._run(crops)
        while waiting:
            yield self._finish(waiting.popleft(), keep_going)

    def __call__(self, inputs: Any, **options: Any) -> list[PoseResult]:
        """All results of `predict` as a list."""
        return list(self.predict(inputs, **options))

    # ------------------------------------------------------------------- stages

    def _located(self, pictures: Iterable[Picture], boxes: Any, batch_size: int) -> Iterator[Job]:
        """Pictures, each read once, with the places to look at."""
        if boxes is not None:
            pictures = list(pictures)
            given = GivenBoxes(boxes, pictures)
            for index, picture in enumerate(pictures):
                yield _with_given_boxes(_open(picture), given, index)
            return
        looks_ahead = self.needs_boxes and not isinstance(self.detector, WholeImage)
        size = min(batch_size, _DETECTOR_BATCH) if looks_ahead else 1
        chunk: list[Job] = []
        for picture in pictures:
            chunk.append(_open(picture))
            # nothing comes after a picture that may end the run: say so before reading on
            if len(chunk) == size or chunk[-1].error is not None:
                yield from self._detected(chunk)
                chunk = []
        yield from self._detected(chunk)

    def _detected(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Boxes of several pictures by one call of the detector."""
        readable = [job for job in jobs if job.error is None]
        if not self.needs_boxes:
            for job in readable:
                job.expect(1)
        elif readable:
            for job, found in zip(
                readable, self.detector.detect([job.image for job in readable]), strict=True
            ):
                job.bboxes, job.bbox_scores = check_boxes(found, where="the detector's boxes")
                job.expect(len(job.bboxes))
        return jobs

    def _run(self, crops: Sequence[tuple[Job, Crop]]) -> None:
        """One network call; hands each crop's instances to its picture."""
        import torch

        batch = self._make_batch([crop for _, crop in crops])
        with torch.inference_mode():
            batch = self.model.data_preprocessor(batch, False)
            samples = self.model(**batch, mode="predict")
        for (job, _), sample in zip(crops, samples, strict=True):
            job.add(sample.pred_instances)

    def _finish(self, job: Job, keep_going: bool) -> PoseResult:
        if job.error is not None:
            if not keep_going:
                raise job.error
            _LOG.info("skipped %s: %s", job.picture.name, job.error)
        instances = job.instances()
        if instances is None:
            instances = empty_instances(self.metainfo["num_keypoints"])
        error = None if job.error is None else str(job.error)
        return PoseResult(job.image, instances, self.metainfo, job.picture.name, error)


def _open(picture: Picture) -> Job:
    """Read a picture; what goes wrong waits until its turn comes."""
    try:
        return Job(picture, read_picture(picture))
    except PoiseError as error:
        return Job(picture, None, error)


def _with_given_boxes(job: Job, given: GivenBoxes, index: int) -> Job:
    if job.error is None:
        try:
            job.bboxes, job.bbox_scores = given.of(index)
            job.expect(len(job.bboxes))
        except PoiseError as error:
            job.error, job.image = error, None
    return job


def _crops(job: Job) -> Iterator[Crop]:
    """The places to look at in a picture."""
    if job.error is not None:
        return
    name, source = job.picture.name, job.picture.source
    path = str(source) if isinstance(source, Path) else None
    if job.bboxes is None:
        yield Crop(job.image, None, 1.0, name, path)
        return
    for box, score in zip(job.bboxes, job.bbox_scores, strict=True):
        yield Crop(job.image, box, float(score), name, path)


def _refuse_lifter(model: Any) -> None:
    from poise.models.estimators import PoseLifter

    if isinstance(model, PoseLifter):
        raise ConfigError(
            "this model lifts 2D poses to 3D and cannot look at pictures; find the 2D poses with "
            "a 2D model, and lift them with poise.apis.inference_pose_lifter_model"
        )


def _checked_device(device: Any) -> Any:
    """Torch device of a name, once it has been seen to work."""
    import torch

    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ArgumentError(
            f"device '{device}' cannot be used; expected auto, cpu, cuda, cuda:1 or mps, where "
            f"torch was built for it and sees it: {str(error).splitlines()[0]}"
        ) from error
    return found


def pick_device(device: Any) -> Any:
    """Torch device of "auto", a name or a device.

    Raises:
        ArgumentError: a device that torch does not know, or that is not there.
    """
    import torch

    if device != "auto":
        return _checked_device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
