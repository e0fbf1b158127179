"""A detector in an ONNX file, run by ONNX Runtime; works without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, DataError, FileMissingError
from poise.inference.detectors.base import SelectingDetector
from poise.runtimes import METADATA_KEY, open_onnx

__all__ = ["OnnxDetector"]

#: side of the input where the file leaves it open
SIDE = 640
GREY = 114
#: BGR, of RTMDet
RTMDET_MEAN, RTMDET_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
#: overlap above which raw boxes of a YOLO are the same thing
YOLO_IOU = 0.6

#: outputs of a network -> boxes (M, 4) xyxy in input space, scores (M,), labels (M,), of a picture
Reader = Callable[[Sequence[np.ndarray], int], tuple[np.ndarray, np.ndarray, np.ndarray]]


class OnnxDetector(SelectingDetector):
    """Boxes from a network in an ONNX file.

    The input is (B, 3, H, W) float. These outputs are understood, and told apart by their shapes:

    - `dets` (B, N, 5: x1, y1, x2, y2, score) and `labels` (B, N), as MMDeploy writes RTMDet and
      YOLOX. `pipeline.json` beside the file, which MMDeploy writes too, says how pictures are
      normalised; without it, as for RTMDet.
    - (B, N, 6: x1, y1, x2, y2, score, label), of YOLO networks that suppress doubles themselves.
    - what `poise export nanodet` writes.
    - (B, 4 + C, M) or (B, M, 4 + C): centre, size, and the scores of C classes, of YOLOv8 and
      later; (B, M, 5 + C) with an objectness before the scores, of YOLOv5 (`objectness=True`).

    Args:
        path: the file.
        score_threshold, iou_threshold, max_boxes: as `SelectingDetector`; None as the
            `iou_threshold` takes 0.6 for raw outputs and leaves suppressed ones as they are.
        categories: classes to keep; None keeps all.
        mean, std: subtracted and divided by, each channel in the order that the network takes.
        bgr: the network takes BGR; None: of RTMDet and YOLOX yes, of others no.
        objectness: raw boxes carry an objectness; None: where the file names YOLOv5's 85 columns.
        threads: of ONNX Runtime; 0 lets it choose.

    Raises:
        FileMissingError, CheckpointError: no such file, or one that ONNX Runtime cannot read.
        MissingDependencyError: ONNX Runtime is not installed.
        ArgumentError: `mean` without `std`.
        DataError: outputs of another form.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        score_threshold: float = 0.3,
        iou_threshold: float | None = None,
        categories: int | Sequence[int] | None = (0,),
        max_boxes: int = 100,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr: bool | None = None,
        objectness: bool | None = None,
        threads: int = 0,
    ) -> None:
        super().__init__(
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            categories=categories,
            max_boxes=max_boxes,
        )
        if (mean is None) != (std is None):
            raise ArgumentError(f"give both mean and std, or neither; got {mean}, {std}")
        path = Path(path)
        if not path.is_file():
            raise FileMissingError(f"there is no detector file '{path}' (looked in {Path.cwd()})")
        self._session = open_onnx(path, threads)
        entry = self._session.get_inputs()[0]
        self._input, shape = entry.name, entry.shape
        self._size = tuple(s if isinstance(s, int) else SIDE for s in (shape[3], shape[2]))
        self._fixed_batch = shape[0] if isinstance(shape[0], int) else None
        self._half = "float16" in entry.type
        about = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")
        self._padding = json.loads(about).get("padding", GREY)
        outputs = self._session.get_outputs()
        self._read = _reader(outputs, objectness)
        deployed = len(outputs) > 1
        self._bgr = deployed if bgr is None else bgr
        self._corner = deployed
        if mean is None and deployed:
            mean, std = _deployed_norm(path.parent / "pipeline.json") or (RTMDET_MEAN, RTMDET_STD)
        self._mean = np.asarray(0 if mean is None else mean, np.float32)
        self._std = np.asarray(255 if std is None else std, np.float32)
        if self.iou_threshold is None and self._read in (_read_yolo, _read_objectness):
            self.iou_threshold = YOLO_IOU
        self.description = f"{path.name} (boxes with a score of {score_threshold:g} or more)"

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of each picture, best first, cut at the borders of the picture."""
        results: list[np.ndarray] = []
        size = self._fixed_batch or len(images) or 1
        for start in range(0, len(images), size):
            results += self._detect(images[start : start + size], size)
        return results

    def _detect(self, images: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
        width, height = self._size
        # a file of a fixed batch gets plain pictures in the places that are left
        batch = np.full((size, height, width, 3), self._padding, np.uint8)
        places = [
            _fitted(image, out, centred=not self._corner)
            for image, out in zip(images, batch, strict=False)
        ]
        if not self._bgr:
            batch = batch[..., ::-1]
        inputs = ((batch - self._mean) / self._std).transpose(0, 3, 1, 2)
        dtype = np.float16 if self._half else np.float32
        outputs = self._session.run(None, {self._input: np.ascontiguousarray(inputs, dtype)})
        results = []
        for i, (scale, corner) in enumerate(places):
            boxes, scores, labels = self._read(outputs, i)
            boxes = (boxes - np.tile(corner, 2)) / np.tile(scale, 2)
            results.append(self.select(boxes, scores, labels, images[i].shape))
        return results


def _deployed_norm(path: Path) -> tuple[Any, Any] | None:
    """(mean, std) of MMDeploy's `pipeline.json`; (0, 1) where it does not normalise."""
    if not path.is_file():
        return None
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))["pipeline"]["tasks"]
        steps = [step for task in tasks for step in task.get("transforms", ())]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' is not a pipeline.json as MMDeploy writes it: {error}"
        ) from error
    for step in steps:
        if step.get("type") == "Normalize":
            mean, std = step["mean"], step["std"]
            # written for the order after the swap
            return (mean, std) if not step.get("to_rgb") else (mean[::-1], std[::-1])
    return 0, 1


def _fitted(image: np.ndarray, out: np.ndarray, *, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """Write a picture into an input; return its scales and the place of its corner (x, y)."""
    height, width = image.shape[:2]
    room = np.array([out.shape[1] / width, out.shape[0] / height])
    size = np.maximum(np.rint(np.array([width, height]) * room.min()), 1).astype(int)
    corner = (np.array([out.shape[1], out.shape[0]]) - size) // 2 if centred else np.zeros(2, int)
    x, y = corner
    out[y : y + size[1], x : x + size[0]] = cv2.resize(image, (int(size[0]), int(size[1])))
    return size / (width, height), corner


def _reader(outputs: Sequence[Any], objectness: bool | None) -> Reader:
    """How the outputs of a file are read, by their number and shapes."""
    shapes = [output.shape for output in outputs]
    if len(shapes) >= 2 and len(shapes[0]) == 3 and len(shapes[1]) == 2:
        return _read_deployed
    if len(shapes) == 1 and len(shapes[0]) == 3:
        if shapes[0][2] == 6 and objectness is None:
            return _read_end_to_end
        # YOLOv5 of COCO: 4 numbers of the box, objectness, 80 classes
        return _read_objectness if objectness or shapes[0][2] == 85 else _read_yolo
    raise DataError(
        f"the detector file gives the outputs "
        f"{', '.join(f'{o.name} {o.shape}' for o in outputs)}; expected dets (B, N, 5) and labels "
        "(B, N), or one output (B, N, 6), (B, 4 + classes, M) or (B, M, 5 + classes)"
    )


def _read_deployed(outputs: Sequence[np.ndarray], i: int) -> tuple[Any, Any, Any]:
    dets, labels = outputs[0][i].astype(np.float32), outputs[1][i]
    return dets[:, :4], dets[:, 4], labels


def _read_end_to_end(outputs: Sequence[np.ndarray], i: int) -> tuple[Any, Any, Any]:
    rows = outputs[0][i].astype(np.float32)
    return rows[:, :4], rows[:, 4], rows[:, 5]


def _read_yolo(outputs: Sequence[np.ndarray], i: int) -> tuple[Any, Any, Any]:
    rows = outputs[0][i].astype(np.float32)
    # there are more places than numbers of a place
    rows = rows.T if rows.shape[0] < rows.shape[1] else rows
    return _corners(rows), rows[:, 4:].max(1), rows[:, 4:].argmax(1)


def _read_objectness(outputs: Sequence[np.ndarray], i: int) -> tuple[Any, Any, Any]:
    rows = outputs[0][i].astype(np.float32)
    return _corners(rows), rows[:, 5:].max(1) * rows[:, 4], rows[:, 5:].argmax(1)


def _corners(rows: np.ndarray) -> np.ndarray:
    """Centre and size -> xyxy, (M, 4)."""
    centers, half = rows[:, :2], rows[:, 2:4] / 2
    return np.concatenate((centers - half, centers + half), 1)
