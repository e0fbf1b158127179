"""A detector in an ONNX file, run by ONNX Runtime; works without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poise.errors import ArgumentError, DataError, FileMissingError
from poise.inference.detectors.base import SelectingDetector, fit_picture
from poise.runtimes import METADATA_KEY, Levels, open_onnx, read_pipeline

__all__ = ["OnnxDetector"]

#: side of the input where the file leaves it open
SIDE = 640
GREY = 114
RTMDET = Levels((103.53, 116.28, 123.675), (57.375, 57.12, 58.395), rgb=False)
#: pixels as they are
YOLOX = Levels((0, 0, 0), (1, 1, 1), rgb=False)
#: of the other YOLOs
YOLO = Levels((0, 0, 0), (255, 255, 255), rgb=True)
#: of a box's side in strides; pixels of decoded boxes go far beyond it
LARGEST_LOGARITHM = 10.0
#: overlap above which raw boxes of a YOLO are the same thing
YOLO_IOU = 0.6

#: outputs of a network -> boxes (M, 4) xyxy in input space, scores (M,), labels (M,), of a picture
Reader = Callable[[Sequence[np.ndarray], int], tuple[np.ndarray, np.ndarray, np.ndarray]]


class OnnxDetector(SelectingDetector):
    """Boxes from a network in an ONNX file.

    The input is (B, 3, H, W) float. These outputs are understood, and told apart by their shapes:

    - `dets` (B, N, 5: x1, y1, x2, y2, score) and `labels` (B, N), as MMDeploy writes RTMDet and
      YOLOX. `pipeline.json` beside the file, which MMDeploy writes too, says how pictures are
      normalised; without it, as for RTMDet, or YOLOX where the file's name says so.
    - (B, N, 6: x1, y1, x2, y2, score, label), of YOLO networks that suppress doubles themselves.
    - what `poise export nanodet` writes.
    - (B, 4 + C, M) or (B, M, 4 + C): centre, size, and the scores of C classes, of YOLOv8 and
      later; (B, M, 5 + C) with an objectness before the scores, of YOLOv5 and YOLOX
      (`objectness=True`), which differ in their number of boxes.

    Args:
        path: the file.
        score_threshold, iou_threshold, max_boxes: as `SelectingDetector`; None as the
            `iou_threshold` takes 0.6 for raw outputs and leaves suppressed ones as they are.
        categories: classes to keep; None keeps all.
        mean, std: subtracted and divided by, each channel in the order that the network takes.
        bgr: the network takes BGR; None: of RTMDet and YOLOX yes, of others no.
        objectness: raw boxes carry an objectness; None: where there are
            85 columns, for COCO's classes.

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
    ) -> None:
        super().__init__(score_threshold, iou_threshold, categories, max_boxes)
        if (mean is None) != (std is None):
            raise ArgumentError(f"give both mean and std, or neither; got {mean}, {std}")
        path = Path(path)
        if not path.is_file():
            raise FileMissingError(f"there is no detector file '{path}' (looked in {Path.cwd()})")
        self._session = open_onnx(path)
        entry = self._session.get_inputs()[0]
        self._input, shape = entry.name, entry.shape
        width, height = (s if isinstance(s, int) else SIDE for s in (shape[3], shape[2]))
        self._size = width, height
        self._fixed_batch = shape[0] if isinstance(shape[0], int) else None
        self._half = "float16" in entry.type
        about = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")
        self._padding = json.loads(about).get("padding", GREY)
        outputs = self._session.get_outputs()
        self._form = _form_of(outputs, objectness, self._size)
        levels = self._form.levels
        if len(outputs) > 1:
            said = read_pipeline(path)
            usual = YOLOX if "yolox" in path.name.lower() else RTMDET
            levels = usual if said is None else said.levels or YOLOX
        self._bgr = not levels.rgb if bgr is None else bgr
        self._mean = np.asarray(levels.mean if mean is None else mean, np.float32)
        self._std = np.asarray(levels.std if std is None else std, np.float32)
        if self.iou_threshold is None and self._form.raw:
            self.iou_threshold = YOLO_IOU
        self.description = self.described(path.name, None)

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
            fit_picture(image, out, centred=self._form.centred)
            for image, out in zip(images, batch, strict=False)
        ]
        if not self._bgr:
            batch = batch[..., ::-1]
        inputs = ((batch - self._mean) / self._std).transpose(0, 3, 1, 2)
        dtype = np.float16 if self._half else np.float32
        outputs = self._session.run(None, {self._input: np.ascontiguousarray(inputs, dtype)})
        results = []
        for i, (scale, corner) in enumerate(places):
            boxes, scores, labels = self._form.read(outputs, i)
            boxes = (boxes - np.tile(corner, 2)) / np.tile(scale, 2)
            results.append(self.select(boxes, scores, labels, images[i].shape))
        return results


class _Form(NamedTuple):
    """How the outputs of a file are read, and how pictures get in.

    Attributes:
        read: outputs, and place of a picture in the batch -> its boxes.
        raw: doubles are not suppressed.
        centred: pictures are fitted into the middle; else into the upper left corner.
        levels: how pictures are normalised, where no file beside it says so.
    """

    read: Reader
    raw: bool
    centred: bool
    levels: Levels


def _form_of(outputs: Sequence[Any], objectness: bool | None, size: tuple[int, int]) -> _Form:
    """The form of a file, by the number of its outputs and their shapes."""
    shapes = [output.shape for output in outputs]
    if len(shapes) >= 2 and len(shapes[0]) == 3 and len(shapes[1]) == 2:
        return _Form(_read_deployed, raw=False, centred=False, levels=RTMDET)
    if len(shapes) == 1 and len(shapes[0]) == 3:
        places, columns = shapes[0][1:]
        if columns == 6 and objectness is None:
            return _Form(_read_end_to_end, raw=False, centred=True, levels=YOLO)
        # 4 numbers of the box, objectness, 80 classes of COCO; YOLOv5 has three boxes a cell
        if objectness or (columns == 85 and objectness is None):
            cells = _cells(size)
            if places == len(cells):
                read = partial(_read_yolox, cells=cells)
                return _Form(read, raw=True, centred=False, levels=YOLOX)
            return _Form(_read_objectness, raw=True, centred=True, levels=YOLO)
        return _Form(_read_yolo, raw=True, centred=True, levels=YOLO)
    raise DataError(
        f"the detector file gives the outputs "
        f"{', '.join(f'{o.name} {o.shape}' for o in outputs)}; expected dets (B, N, 5) and labels "
        "(B, N), or one output (B, N, 6), (B, 4 + classes, M) or (B, M, 5 + classes)"
    )


def _cells(size: tuple[int, int]) -> np.ndarray:
    """Column, row and stride (M, 3) of the cells of YOLOX's three maps, for an input (W, H)."""
    grids = []
    for stride in (8, 16, 32):
        rows, columns = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1)
        grids.append(np.stack([columns, rows, np.full(len(rows), stride)], axis=1))
    return np.concatenate(grids).astype(np.float32)


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


def _read_yolox(
    outputs: Sequence[np.ndarray], i: int, *, cells: np.ndarray
) -> tuple[Any, Any, Any]:
    """Boxes by places within cells and logarithms of sizes; or as they are, if decoded already."""
    rows = outputs[0][i].astype(np.float32)
    if rows[:, 2:4].max(initial=0) < LARGEST_LOGARITHM:
        stride = cells[:, 2:]
        rows = rows.copy()
        rows[:, :2] = (rows[:, :2] + cells[:, :2]) * stride
        rows[:, 2:4] = np.exp(rows[:, 2:4]) * stride
    return _corners(rows), rows[:, 5:].max(1) * rows[:, 4], rows[:, 5:].argmax(1)


def _corners(rows: np.ndarray) -> np.ndarray:
    """Centre and size -> xyxy, (M, 4)."""
    centers, half = rows[:, :2], rows[:, 2:4] / 2
    return np.concatenate((centers - half, centers + half), 1)
