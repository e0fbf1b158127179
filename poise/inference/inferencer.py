"""`Inferencer`: pictures and videos in, poses out; batched over people and pictures."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from poise._failures import own_line
from poise.errors import ArgumentError, DataError, UnknownNameError, one_of
from poise.inference.boxes.given import GivenBoxes
from poise.inference.boxes.tiling import Tiling
from poise.inference.detectors import WholeImage, build_detector
from poise.inference.exported.opening import exported_network, is_exported, load_exported
from poise.inference.machine.devices import pick_device
from poise.inference.machine.memory import keep_freed_memory
from poise.inference.networks.choosing import choose_network
from poise.inference.networks.crops import BOX_STEPS, crop_maker, read_test_pipeline
from poise.inference.networks.direct3d import space_of
from poise.inference.networks.loading import load_pose_model
from poise.inference.networks.modes import Mode, mode_of, pick_model
from poise.inference.networks.network import Network
from poise.inference.pipeline.jobs import Job
from poise.inference.pipeline.locating import DETECTOR_BATCH, located
from poise.inference.pipeline.overlap import Timings, prefetched
from poise.inference.pipeline.posing import posed
from poise.inference.results.calibration import FITTED, Calibration, calibrate_covariances
from poise.inference.results.categories import keep_own_keypoints
from poise.inference.results.pose_result import PoseResult, empty_instances
from poise.inference.results.probabilities import score_kind_of
from poise.inference.sources.frame import Source
from poise.inference.sources.opening import check_files, open_sources
from poise.inference.stages import build_stages, chain_stages
from poise.runtimes import RUNTIMES, runtime_of

__all__ = ["Inferencer"]

_LOG = logging.getLogger(__name__)

#: What runs the network.
BACKENDS = ("torch", *RUNTIMES)
#: Who warps crops.
CROPS = ("opencv", "torch")
#: Frames that may wait between two stages; of live sources one, since what waits grows old.
_WAITING_FRAMES, _WAITING_LIVE = 8, 1


class Inferencer:
    """Finds poses with any 2D model: top-down ones with boxes, bottom-up ones without.

    Args:
        model: "auto" (the best model whose weights are on this machine, else the one inside the
            package), a model name or alias, a config file, a `Config`, a built estimator that
            has `cfg` and `dataset_meta`, or a file of `poise.export.export_model` (.onnx, .xml,
            .pt2); the first two need no torch.
        weights: checkpoint; None takes the model's own: those on this machine, else a download.
        detector: finds the boxes where the caller gives none: "auto" (the best detector at hand
            for what the model looks at, else the whole picture), another name, a file, a dict
            with `name` and options, a callable ...: all that
            `poise.inference.detectors.build_detector` takes. Models of whole pictures need none.
        tiles: find small people in large pictures: the detector, or a model of whole pictures, also
            looks at overlapping tiles: "3x2" columns x rows, 640 pixels a side, or "auto", as
            `poise.inference.boxes.Tiling`. None: at the whole alone.
        device: "auto" (CUDA, else MPS, else CPU) or a torch device.
        backend: "torch", "onnxruntime" or "openvino": what runs the network. The last two take
            models that can be exported, which is done when first needed.
        mode: "accurate" (the model's config decides), "balanced" (no flip test, the network
            rearranged for speed) or "fast" (also the detector only at every fifth frame, and a
            small model for "auto").
        flip_test: True or False; None leaves it to the mode.
        calibration: map from scores to probabilities, and what makes covariances those of errors
            (`poise.inference.results.calibration`), or the JSON file of one. None: the one of a
            model inside the package or of an exported file, else the map that follows from how the
            model makes its scores.
        covariances: also keep how unsure each keypoint is, unless a call says otherwise.
        support: labelled pictures that say what to look for, of a model such as pose-anything:
            `poise.inference.Support`, or a COCO-style file of one or a few.
        crops: "opencv" (the pixels that models were trained with) or "torch" (warped on the
            device, for GPUs whose host is slow; pixels differ by a few levels).

    Attributes:
        choice: why "auto" took this model, in words.
        weights: as given; None: the model's own.
        model: the estimator, or what stands for it in an exported file.
        metainfo: parsed schema of its keypoints.
        needs_boxes: whether it takes one person at a time.
        device: torch device.
        timings: what each stage of the last `predict` took.

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
        tiles: Any = None,
        device: Any = "auto",
        backend: str = "torch",
        mode: str = "accurate",
        flip_test: bool | None = None,
        crops: str = "opencv",
        calibration: Calibration | str | os.PathLike[str] | None = None,
        covariances: bool = False,
        support: Any = None,
    ) -> None:
        self.mode: Mode = mode_of(mode)
        self._tiling = None if tiles is None else Tiling(tiles)
        self.choice = ""
        if isinstance(model, str) and model == "auto":
            model, self.choice = pick_model(self.mode)
            _LOG.info("model: %s (%s)", model, self.choice)
        self.model_name, self.weights, self.backend = model, weights, backend
        file, config = (model, None) if weights is None else (weights, model)
        exported = is_exported(model) or is_exported(weights)
        own = [runtime_of(file)] if exported else []
        one_of(backend, dict.fromkeys([*BACKENDS, *own]), "backend", UnknownNameError)
        one_of(crops, CROPS, "crops", UnknownNameError)
        if exported and support is not None:
            raise ArgumentError(
                f"{file} is an exported file, which cannot take a support; give the model by name "
                "or config, and its checkpoint"
            )
        if exported:
            # without torch, and without importing it
            self.backend = runtime_of(file) if backend == "torch" else backend
            self.device: Any = "cpu"
            self.model: Any = load_exported(file, self.backend, half=self.mode.half, config=config)
            self._space_3d = self.model.space_3d
        else:
            self.device = pick_device(device)
            self.model = load_pose_model(model, weights, self.device, support)
            self._space_3d = space_of(self.model)
        if str(self.device) == "cpu":
            keep_freed_memory()
        self.metainfo: Mapping[str, Any] = self.model.dataset_meta
        self.flip_test = self.mode.flip_test if flip_test is None else flip_test
        self.covariances = covariances
        self.timings = Timings()
        self._crops = crops
        pipeline = read_test_pipeline(self.model.cfg)
        self.needs_boxes = any(type(step).__name__ in BOX_STEPS for step in pipeline)
        self._make_batch = crop_maker(pipeline, self.metainfo)
        self._score_kind = score_kind_of(
            getattr(getattr(self.model, "head", None), "decoder", None)
        )
        if calibration is None:
            calibration = getattr(self.model, "calibration", None)
            if calibration is None and weights is None:
                calibration = FITTED.get(str(model))
        elif isinstance(calibration, (str, os.PathLike)):
            calibration = Calibration.load(calibration)
        self.calibration: Any = calibration
        # built when the first picture without boxes comes
        self._detector_spec = detector
        self._detector: Any = None
        self._networks: dict[tuple[bool | None, bool, bool], Network] = {}

    def __repr__(self) -> str:
        """Which model runs where."""
        name = self.model_name if isinstance(self.model_name, str) else type(self.model).__name__
        return f"Inferencer({name}, {self.backend} on {self.device})"

    @property
    def detector(self) -> Any:
        """What finds the boxes; None for models of whole pictures."""
        if self.needs_boxes and self._detector is None:
            self._detector = build_detector(
                self._detector_spec, self.metainfo, device=self.device, tiles=self._tiling
            )
            if self.mode.tuned and hasattr(self._detector, "tune"):
                self._detector.tune(half=self.mode.half)
            _LOG.info("detector: %s", self._detector.description)
            whole = isinstance(self._detector, WholeImage)
            if whole and (doubt := WholeImage.doubt(self.metainfo)):
                _LOG.warning("warning: %s", doubt)
        return self._detector

    # ------------------------------------------------------------------ predict

    def predict(
        self,
        inputs: Any,
        *,
        boxes: Any = None,
        batch_size: int | None = None,
        detector_every: int | None = None,
        track: Any = False,
        smooth: Any = None,
        lift: Any = None,
        keypoint_threshold: float = 0.3,
        flip_test: bool | None = None,
        heatmaps: bool = False,
        covariances: bool | None = None,
        keep_going: bool = False,
        timeout: float = 10.0,
        timing: bool = False,
    ) -> Iterator[PoseResult]:
        """One result a picture or frame, in the order of the inputs; lazily, in constant memory.

        Arguments are checked here; no picture is read and no network runs before the first result
        is asked for. Who has seen enough drops the iterator, or calls its `close()`.

        Args:
            inputs: path of a picture or video, folder, pattern with `*`, address of a picture, a
                video or a stream, number of a camera, array (H, W, 3) uint8 in BGR order, PIL
                image, or a list or an iterator of these.
            boxes: people's boxes, xyxy pixels of the picture, perhaps with a score and the id of a
                category: (N, 4 to 6) for one picture or for all frames of a video, a list or an
                iterator of such for several, a dict by path or file name, or a JSON file of them.
                A picture with no box gets an empty result. None: the detector looks for them.
                Models of whole pictures do not take boxes. Of a model over several skeletons,
                only the keypoints of a box's category are given.
            batch_size: crops (or whole pictures) per network call, at most, from one or several
                pictures. None: what is quickest: 16; on a CPU 8 of exported networks and 2 whole
                pictures.
            detector_every: the detector looks at every n-th frame of a video; in between boxes
                follow from the detections before and after, for cameras from the poses. None
                leaves it to the mode.
            track: True, or a tracker: who is who from frame to frame (`poise.inference.tracking`).
            smooth: a smoother, such as "one-euro" (`poise.inference.smoothing`).
            lift: a lifter: 3D poses (`poise.inference.lifting`).
            keypoint_threshold: keypoints with a lower score are not `visible`, nor drawn.
            flip_test: True or False; None: as the inferencer was told.
            heatmaps: also keep where the model saw keypoints, if it has maps of that; drawn, too.
            covariances: also keep how unsure each keypoint is, as `keypoint_covariances` (N, K, 2,
                2), pixels² of the picture; calibrated where `calibration` says how. None: as the
                inferencer was told.
            keep_going: give a result with `error` for a picture that is missing, cannot be used or
                has no proper boxes, instead of raising.
            timeout: seconds after which a silent camera, stream or address is given up.
            timing: write a table of what the stages took to stderr, at the end.

        Raises:
            FileMissingError, DataError: no such picture or video; boxes of a wrong form.
            ConfigError: covariances of a model that does not know; no such tracker or smoother.
            ArgumentError: an option that a tracker, smoother or lifter has not.

        While iterating:
            DataError: a picture that cannot be read, when its turn comes.
        """
        self._check(batch_size, boxes, detector_every)
        stages = build_stages(track=track, smooth=smooth, lift=lift, device=self.device)
        sources: Iterable[Source] = open_sources(inputs, timeout=timeout)
        count = None
        if not isinstance(inputs, Iterator):
            sources = list(sources)
            # a video tells its length only when it is open
            still = not any(source.info.moves for source in sources)
            count = len(sources) if still else None
        given = None if boxes is None else GivenBoxes(boxes, count)
        if isinstance(sources, list) and not keep_going:
            check_files(sources)
            if given is not None:
                given.check(sources)
        flips = self.flip_test if flip_test is None else flip_test
        covariances = self.covariances if covariances is None else covariances
        self._check_network(flips, heatmaps, covariances)
        every = self.mode.detector_every if detector_every is None else detector_every

        def results() -> Iterator[PoseResult]:
            network = self._network(flips, heatmaps, covariances)
            size = network.batch_size if batch_size is None else batch_size
            jobs = self._jobs(
                sources, given, network, every=every, batch_size=size, overlap=count != 1
            )
            plain = (
                self._result(job, keypoint_threshold, covariances, keep_going=keep_going)
                for job in jobs
            )
            # an error holds on to this generator, and so would keep the threads behind it alive
            with contextlib.closing(jobs):
                yield from chain_stages(plain, stages)
            if timing:
                sys.stderr.write(f"{self.timings.table()}\n")

        return results()

    def __call__(self, inputs: Any, **options: Any) -> list[PoseResult]:
        """All results of `predict` as a list."""
        return list(self.predict(inputs, **options))

    # ------------------------------------------------------------------- stages

    def _jobs(
        self,
        sources: Iterable[Source],
        given: GivenBoxes | None,
        network: Network,
        *,
        every: int,
        batch_size: int,
        overlap: bool,
    ) -> Generator[Job, None, None]:
        """Sources -> jobs with poses; arguments as of `located` and `posed`."""
        self.timings = timings = Timings()
        detector = self.detector if given is None else None
        first, sources = _first(sources)
        live = first is not None and first.info.live
        # boxes that follow from poses cannot be ahead of them
        follows = live and every > 1 and detector is not None
        overlap = overlap and not follows
        looks_ahead = not isinstance(detector, WholeImage) and not live
        waiting = _WAITING_LIVE if live else _WAITING_FRAMES
        frames = timings.watched((f for source in sources for f in source.frames()), "read")
        if overlap:
            frames = prefetched(frames, waiting, "read")
        jobs = located(
            frames,
            detector=detector,
            given=given,
            tiling=None if self.needs_boxes else self._tiling,
            every=every,
            batch=min(batch_size, DETECTOR_BATCH) if looks_ahead else 1,
            timings=timings,
        )
        if overlap and detector is not None:
            jobs = prefetched(jobs, waiting, "detect")
        return posed(jobs, network, batch_size=batch_size, timings=timings, overlap=overlap)

    def _check_network(self, flip_test: bool | None, heatmaps: bool, covariances: bool) -> None:
        """Tell what the network cannot do, before it is rearranged or exported, which runs it."""
        if hasattr(self.model, "session"):
            self._network(flip_test, heatmaps, covariances)
        elif covariances:
            head = getattr(self.model, "head", None)
            # heads of other kinds are found out when they have predicted
            getattr(head, "require_covariances", lambda: None)()

    def _network(self, flip_test: bool | None, heatmaps: bool, covariances: bool) -> Network:
        """Network with or without the flip test, and what else is wanted of it."""
        key = flip_test, heatmaps, covariances
        if key not in self._networks:
            on_torch = self.backend == "torch" and not hasattr(self.model, "session")
            build = choose_network if on_torch else exported_network
            options: dict[str, Any] = (
                {"crops": self._crops} if on_torch else {"runtime": self.backend}
            )
            self._networks[key] = build(
                self.model,
                self._make_batch,
                flip_test=flip_test,
                mode=self.mode,
                heatmaps=heatmaps,
                covariances=covariances,
                **options,
            )
        return self._networks[key]

    def _result(
        self, job: Job, keypoint_threshold: float, covariances: bool, *, keep_going: bool
    ) -> PoseResult:
        """What a job came to; its error is raised, or with `keep_going` part of the result."""
        if job.error is not None:
            if not keep_going:
                raise job.error
            _LOG.info("skipped %s: %s", job.name, job.error)
        instances = job.instances()
        if instances is None:
            count = self.metainfo["num_keypoints"]
            instances = empty_instances(count)
            if self._space_3d is not None:
                instances.set_field(np.zeros((0, count, 3), np.float32), "keypoints_3d")
            if covariances:
                instances.set_field(np.zeros((0, count, 2, 2), np.float32), "keypoint_covariances")
        if covariances and self.calibration is not None:
            calibrate_covariances(instances, self.calibration)
        keep_own_keypoints(instances, self.metainfo)
        frame = job.frame
        return PoseResult(
            job.image,
            instances,
            self.metainfo,
            frame.source.name,
            error=None if job.error is None else own_line(job.error),
            frame_index=frame.index,
            time=frame.time,
            source=frame.source,
            score_kind=self._score_kind,
            calibration=self.calibration,
            keypoint_threshold=keypoint_threshold,
            metainfo_3d=None if self._space_3d is None else self.metainfo,
            space_3d=self._space_3d,
            heatmap=job.heatmap(),
        )

    def _check(self, batch_size: int | None, boxes: Any, detector_every: int | None) -> None:
        if batch_size is not None and batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        if detector_every is not None and detector_every < 1:
            raise DataError(f"detector_every must be at least 1, got {detector_every}")
        if boxes is not None and not self.needs_boxes:
            raise DataError(
                "this model finds everybody in the whole picture and takes no boxes; leave them "
                "out, or choose a top-down model"
            )


def _first(sources: Iterable[Source]) -> tuple[Source | None, Iterable[Source]]:
    """The first source without taking it away."""
    iterator = iter(sources)
    first = next(iterator, None)
    return first, (iterator if first is None else itertools.chain([first], iterator))
