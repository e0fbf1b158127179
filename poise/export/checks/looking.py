"""How a model, or a file of it, looks at real pictures: poses, or boxes of detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from poise.errors import ConfigError
from poise.export.checks.pictures import Pictures
from poise.inference.networks.crops import BOX_STEPS, pipeline_config
from poise.inference.sources.pictures import list_pictures, read_picture

__all__ = [
    "Looker",
    "Seen",
    "Tick",
    "detector_of",
    "finds_boxes",
    "ignored",
    "looker_of",
    "needs_boxes",
]

Array = np.ndarray
Tick = Callable[[int], None]

#: A keypoint is sure whose chance to be right is so high.
_SURE = 0.5
#: Least score of a box, and of one that figures of precision count.
_SURE_BOX, _LEAST_BOX = 0.3, 0.05
_COCO_CLASSES = 80


class Things(NamedTuple):
    """What is found in pictures, in the words of a report.

    Attributes:
        name: of them all.
        place: of one of the K places of each.
    """

    name: str
    place: str


POSES, BOXES = Things("poses", "keypoint"), Things("boxes", "corner")


class Seen(NamedTuple):
    """What was found in one picture, image space.

    Attributes:
        places: (N, K, 2) pixels; of detectors the two corners of boxes.
        scores: (N, K).
        sure: (N, K) bool: more likely right than not.
        boxes: (N, 4) xyxy.
        box_scores: (N,).
        size: height and width of the picture.
        things: of detectors (M, 6), all boxes xyxy, also unsure ones, with score and class.
    """

    places: Array
    scores: Array
    sure: Array
    boxes: Array
    box_scores: Array
    size: tuple[int, int]
    things: Array | None = None


def ignored(count: int) -> None:
    """Nobody watches."""


class Looker(Protocol):
    """Looks at pictures.

    Attributes:
        names: of the K places.
        sigmas: (K,) of them; None where the schema has none.
        takes_boxes: whether people's places are given to it.
    """

    names: Sequence[str]
    sigmas: Array | None
    takes_boxes: bool

    def __call__(self, pictures: Pictures) -> list[Seen]:
        """What is in each."""

    def inputs(self, pictures: Pictures, most: int) -> list[Array]:
        """What the network of a file is given of pictures, at most so many, each (1, ...).

        To be called before the first look at pictures.
        """


class _Recorder:
    """A session that keeps its inputs.

    Args:
        session: of a runtime: ours, or ONNX Runtime's own.

    Attributes:
        kept: the inputs, each (1, ...).
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.kept: list[Array] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __call__(self, pixels: Array) -> Any:
        self.kept += np.split(pixels, len(pixels))
        return self._session(pixels)

    def run(self, names: Any, inputs: dict[str, Array]) -> Any:
        """As ONNX Runtime's sessions are called."""
        self.kept += [one for batch in inputs.values() for one in np.split(batch, len(batch))]
        return self._session.run(names, inputs)

    def spread(self, most: int) -> list[Array]:
        """At most so many of the inputs, from all over."""
        count = min(most, len(self.kept))
        return [self.kept[i * len(self.kept) // count] for i in range(count)]


class _Poses:
    """Any pose model.

    Args:
        model: estimator, or path of a file.
        runtime: that runs a file; None: by its ending.
        tick: is told how many more pictures were looked at.
    """

    def __init__(self, model: Any, runtime: str | None, tick: Tick) -> None:
        from poise.inference import Inferencer

        options = {} if runtime is None or not isinstance(model, Path) else {"backend": runtime}
        self._inferencer = Inferencer(model, device="cpu", flip_test=False, **options)
        meta = self._inferencer.metainfo
        self.names: Sequence[str] = list(meta["keypoint_id2name"].values())
        sigmas = np.asarray(() if meta.get("sigmas") is None else meta["sigmas"], float)
        self.sigmas: Array | None = sigmas if len(sigmas) == len(self.names) else None
        self.takes_boxes, self._tick = self._inferencer.needs_boxes, tick

    def __call__(self, pictures: Pictures) -> list[Seen]:
        options: dict[str, Any] = {}
        if not self.takes_boxes:
            # pictures of other sizes in a batch are padded, which changes maps
            options["batch_size"] = 1
        elif pictures.boxes is not None:
            options["boxes"] = list(pictures.boxes)
        results = self._inferencer.predict(list(pictures.paths), **options)
        return [self._seen(result) for result in results]

    def _seen(self, result: Any) -> Seen:
        self._tick(1)
        return Seen(
            result.keypoints,
            result.keypoint_scores,
            result.probabilities >= _SURE,
            result.bboxes,
            result.bbox_scores,
            result.image.shape[:2],
        )

    def inputs(self, pictures: Pictures, most: int) -> list[Array]:
        recorder = _Recorder(self._inferencer.model.session)
        self._inferencer.model.session = recorder
        self(pictures)
        return recorder.spread(most)


class _Boxes:
    """A detector.

    Args:
        detector: that finds boxes.
        tick: is told how many more pictures were looked at.

    Attributes:
        classes: names of what it finds, None for those that are not known.
    """

    names: Sequence[str] = ("upper left corner", "lower right corner")
    sigmas: Array | None = None
    takes_boxes = False

    def __init__(self, detector: Any, tick: Tick) -> None:
        self._detector, self._tick = detector, tick
        count = getattr(detector, "num_classes", 1)
        # the embedded detector, and those of COCO's classes
        first = "person" if count in (1, _COCO_CLASSES) else None
        named = getattr(detector, "classes", None)
        self.classes: Sequence[str | None] = named or [first, *[None] * (count - 1)]
        detector.score_threshold, detector.category_ids = _LEAST_BOX, range(count)

    def __call__(self, pictures: Pictures) -> list[Seen]:
        return [self._look(path) for path in pictures.paths]

    def _look(self, path: str) -> Seen:
        (picture,) = list_pictures(path)
        image = read_picture(picture)
        self._tick(1)
        (things,) = self._detector.detect([image])
        found = things[things[:, 4] >= _SURE_BOX]
        scores = found[:, 4]
        return Seen(
            found[:, :4].reshape(-1, 2, 2),
            scores[:, None].repeat(2, 1),
            np.ones((len(found), 2), bool),
            found[:, :4],
            scores,
            image.shape[:2],
            # one that knows a single class does not tell it
            np.pad(things, ((0, 0), (0, 6 - things.shape[1]))),
        )

    def inputs(self, pictures: Pictures, most: int) -> list[Array]:
        recorder = _Recorder(self._detector._session)
        self._detector._session = recorder
        self(pictures)
        return recorder.spread(most)


def needs_boxes(model: Any) -> bool:
    """Whether a model is given people's places: it looks at one person at a time."""
    if not hasattr(model, "cfg"):
        return False
    names = {str(step.get("type")).rpartition(".")[2] for step in pipeline_config(model.cfg)}
    return not names.isdisjoint(BOX_STEPS)


def finds_boxes(model: Any) -> bool:
    """Whether a model is a detector: it finds things in pictures, and no keypoints."""
    from poise.inference.detectors import NanoDetDetector
    from poise.models.detectors import Detector, YOLODetector

    network = isinstance(model, Detector) and not isinstance(model, YOLODetector)
    return network or isinstance(model, NanoDetDetector)


def detector_of(subject: Any, **options: Any) -> Any:
    """A detector, of a model (RTMDet, YOLOX) or of the path of its file."""
    from poise.inference.detectors import NetworkDetector
    from poise.inference.detectors.exported import ExportedDetector

    kind: Any = ExportedDetector if isinstance(subject, Path) else NetworkDetector
    return kind(subject, **options)


def looker_of(
    subject: Any, kind: str | None, runtime: str | None = None, *, tick: Tick = ignored
) -> Looker:
    """What looks at pictures with a model or its file.

    Args:
        subject: model, or path of a file.
        kind: as the file's metadata say; None: the embedded detector.
        runtime: that runs a file of ONNX; None: by its ending.
        tick: is told how many more pictures were looked at.

    Raises:
        ConfigError: a lifter, which looks at no pictures.
    """
    if kind == "lifter":
        raise ConfigError("a lifter looks at no pictures, so there is nothing to try it on")
    if kind is None:
        from poise.inference.detectors import NanoDetDetector, OnnxDetector

        embedded = OnnxDetector(subject) if isinstance(subject, Path) else NanoDetDetector()
        return _Boxes(embedded, tick)
    if kind == "boxes":
        return _Boxes(detector_of(subject, categories=None), tick)
    return _Poses(subject, runtime, tick)
