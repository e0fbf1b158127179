"""`Inferencer`: pictures in, poses out; batched over people and pictures."""

from __future__ import annotations

import copy
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from poise.config import Config
from poise.errors import ConfigError, DataError, PoiseError
from poise.inference.boxes import BoxFile, check_boxes, read_boxes
from poise.inference.results import PoseResult, empty_instances
from poise.inference.sources import Picture, list_pictures, read_picture
from poise.structures import InstanceData

__all__ = ["Inferencer"]

_LOG = logging.getLogger(__name__)


class Inferencer:
    """Finds poses with any top-down model of a config, or with the embedded one.

    Args:
        model: "auto" (the model inside the package), a model name, a config file, a `Config`,
            or a built estimator that has `cfg` and `dataset_meta`.
        weights: checkpoint; None takes the model's own where it comes inside the package.
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
        device: Any = "auto",
        flip_test: bool | None = None,
    ) -> None:
        from poise.models.build import load_model
        from poise.zoo import DEFAULT_MODEL

        self.model_name = DEFAULT_MODEL if isinstance(model, str) and model == "auto" else model
        self.model = load_model(self.model_name, weights, device=pick_device(device))
        if flip_test is not None:
            self.model.test_cfg = {**(self.model.test_cfg or {}), "flip_test": flip_test}
        self.metainfo: Mapping[str, Any] = self.model.dataset_meta
        self._pipeline = _test_pipeline(self.model.cfg)

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
                image, or a list of these.
            boxes: people's boxes, xyxy pixels of the picture with or without a score:
                (N, 4 or 5) for one picture, a list of such for several, a dict by path or file
                name, or a JSON file of them. A picture with no box gets an empty result. None:
                the whole picture is taken as one box.
            batch_size: crops per network call, from one or several pictures.
            keep_going: give a result with `error` for a picture that cannot be read, instead of
                raising.

        Raises:
            FileMissingError, DataError: no such picture; unreadable; boxes of a wrong form.
        """
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}")
        pictures = list(list_pictures(inputs))
        boxes_of = _Boxes(boxes, pictures)
        waiting: deque[_Job] = deque()
        crops: list[tuple[_Job, dict[str, Any]]] = []
        for index, picture in enumerate(pictures):
            job = self._open(picture, boxes_of, index, keep_going)
            waiting.append(job)
            for item in self._crops(job):
                crops.append((job, item))
                if len(crops) == batch_size:
                    self._run(crops)
                    crops = []
            while waiting and waiting[0].complete:
                yield self._finish(waiting.popleft())
        if crops:
            self._run(crops)
        while waiting:
            yield self._finish(waiting.popleft())

    def __call__(self, inputs: Any, **options: Any) -> list[PoseResult]:
        """All results of `predict` as a list."""
        return list(self.predict(inputs, **options))

    # ------------------------------------------------------------------- stages

    def _open(self, picture: Picture, boxes_of: _Boxes, index: int, keep_going: bool) -> _Job:
        """Read a picture once, however many people it shows, and settle its boxes."""
        try:
            image = read_picture(picture)
            bboxes, scores = boxes_of.of(index, image)
        except PoiseError as error:
            if not keep_going:
                raise
            _LOG.warning("skipped %s: %s", picture.name, error)
            return _Job(picture.name, None, *check_boxes([]), error=str(error))
        return _Job(picture.name, image, bboxes, scores)

    def _crops(self, job: _Job) -> Iterator[dict[str, Any]]:
        """Packed test-pipeline items, one a box."""
        for box, score in zip(job.bboxes, job.bbox_scores, strict=True):
            info = dict(img=job.image, bbox=box[None], bbox_score=score[None], **self.metainfo)
            item = self._pipeline(info)
            if item is None:
                raise DataError(f"the test pipeline of the config gave nothing for {job.name}")
            yield item

    def _run(self, crops: Sequence[tuple[_Job, dict[str, Any]]]) -> None:
        """One network call; hands each crop's instances to its picture."""
        import torch

        batch = {
            "inputs": [item["inputs"] for _, item in crops],
            "data_samples": [item["data_samples"] for _, item in crops],
        }
        with torch.inference_mode():
            batch = self.model.data_preprocessor(batch, False)
            samples = self.model(**batch, mode="predict")
        for (job, _), sample in zip(crops, samples, strict=True):
            job.add(sample.pred_instances)

    def _finish(self, job: _Job) -> PoseResult:
        instances = job.instances()
        if instances is None:
            instances = empty_instances(self.metainfo["num_keypoints"])
        return PoseResult(job.image, instances, self.metainfo, job.name, job.error)


class _Job:
    """A picture on its way: its boxes, and the instances that came back."""

    def __init__(
        self,
        name: str,
        image: np.ndarray | None,
        bboxes: np.ndarray,
        bbox_scores: np.ndarray,
        error: str | None = None,
    ) -> None:
        self.name, self.image, self.error = name, image, error
        self.bboxes, self.bbox_scores = bboxes, bbox_scores
        self._found: list[Any] = []

    @property
    def complete(self) -> bool:
        return len(self._found) == len(self.bboxes)

    def add(self, instances: Any) -> None:
        self._found.append(instances)

    def instances(self) -> InstanceData | None:
        """All people of the picture, image space, numpy; None where there is none."""
        if not self._found:
            return None
        return InstanceData(
            keypoints=_stack([f.keypoints for f in self._found]),
            keypoint_scores=_stack([f.keypoint_scores for f in self._found]),
            bboxes=self.bboxes,
            bbox_scores=self.bbox_scores,
        )


class _Boxes:
    """The boxes of the n-th picture, whichever form the caller gave them in."""

    def __init__(self, boxes: Any, pictures: Sequence[Picture]) -> None:
        if isinstance(boxes, (str, os.PathLike)):
            boxes = read_boxes(boxes)
        elif isinstance(boxes, Mapping):
            boxes = BoxFile(None, dict(boxes))
        elif boxes is not None and len(pictures) == 1 and not _is_nested(boxes):
            boxes = [boxes]
        if isinstance(boxes, (list, tuple, np.ndarray)) and len(boxes) != len(pictures):
            raise DataError(
                f"there are {len(pictures)} pictures and boxes for {len(boxes)}; give one array "
                f"(N, 4) a picture, empty where nobody is"
            )
        self._boxes, self._pictures = boxes, pictures

    def of(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) xyxy and scores (N,) of a picture."""
        if self._boxes is None:
            height, width = image.shape[:2]
            return check_boxes([[0, 0, width, height]])
        name = self._pictures[index].name
        if not isinstance(self._boxes, BoxFile):
            return check_boxes(self._boxes[index], where=f"boxes of {name}")
        found = self._boxes.of(name)
        if found is None:
            raise DataError(f"{self._boxes.describe()} has no entry for '{name}'")
        return check_boxes(found, where=f"boxes of {name}")


def _is_nested(boxes: Any) -> bool:
    """Whether boxes are a list with one array a picture rather than the array itself."""
    return len(boxes) > 0 and np.ndim(boxes[0]) == 2


def _stack(parts: Sequence[Any]) -> np.ndarray:
    """(1, ...) arrays or tensors -> one float32 array (N, ...)."""
    arrays = [p.cpu().numpy() if hasattr(p, "cpu") else np.asarray(p) for p in parts]
    return np.concatenate(arrays).astype(np.float32, copy=False)


def _test_pipeline(cfg: Config) -> Any:
    """The config's test pipeline; pictures are handed in, so nothing is read twice."""
    from poise.transforms import Compose

    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
    pipeline = (loader or {}).get("dataset", {}).get("pipeline") or cfg.get("test_pipeline")
    if not pipeline:
        raise ConfigError(
            "the config has no test pipeline: expected test_dataloader.dataset.pipeline or "
            "test_pipeline"
        )
    return Compose(copy.deepcopy([dict(step) for step in pipeline]))


def pick_device(device: Any) -> Any:
    """Torch device of "auto", a name or a device."""
    import torch

    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
