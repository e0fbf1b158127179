"""Exported networks of whole pictures: everybody at once, all numpy."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import box_nms
from poise.inference.networks.crops import Crop, PipelineCrops, results_of
from poise.inference.networks.network import Poses
from poise.runtimes import Session

__all__ = ["ExportedPeople", "FittedPicture", "OfPictures", "PictureSteps"]

_LOG = logging.getLogger(__name__)
#: Whole pictures per call.
_BATCH = 2


class FittedPicture(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (H, W, 3) uint8 BGR, input space.
        metainfo: what the pipeline wrote down: how it was fitted.
    """

    pixels: Array
    metainfo: Mapping[str, Any]

    def boxes_to_image_space(self, boxes: Array) -> Array:
        """Boxes (N, 4) xyxy of input space in the picture."""
        return self.to_image_space(boxes.reshape(-1, 2, 2)).reshape(-1, 4)

    def to_image_space(self, points: Array) -> Array:
        """Points (..., 2) of input space in the picture."""
        meta = self.metainfo
        if "input_scale" in meta:
            center, scale, size = (
                np.asarray(meta[key]) for key in ("input_center", "input_scale", "input_size")
            )
            return points / size * scale + center - 0.5 * scale
        return points / np.asarray(meta["scale_factor"], np.float32)


class PictureSteps:
    """A test pipeline without its last step, which makes tensors.

    Args:
        crops: maker that runs the test pipeline of a model.
    """

    def __init__(self, crops: PipelineCrops) -> None:
        steps = crops.pipeline.transforms
        self._steps = [step for step in steps if not type(step).__name__.startswith("Pack")]
        self._metainfo = crops.metainfo

    def __call__(self, crop: Crop) -> FittedPicture:
        """A picture, or a part of it, fitted.

        Raises:
            DataError: a step dropped it.
        """
        results: Any = results_of(crop, self._metainfo)
        for step in self._steps:
            results = step(results)
            if results is None:
                raise DataError(
                    f"{type(step).__name__} of the test pipeline gave nothing for {crop.name}"
                )
        return FittedPicture(results["img"], results)


class OfPictures:
    """Base of exported networks that take fitted pictures, one by one."""

    _steps: PictureSteps

    def prepare(self, crops: Sequence[Crop]) -> list[FittedPicture]:
        """Fitted pictures."""
        return [self._steps(crop) for crop in crops]


class ExportedPeople(OfPictures):
    """One-stage network of a runtime: points that could be people in, people out.

    Args:
        session: pictures (B, H, W, 3) uint8 BGR -> boxes (B, N, 4) xyxy, scores (B, N), keypoints
            (B, N, K, 2), input space, and their scores (B, N, K).
        steps: fits pictures into the input.
        select: which points are people; see `poise.export.plans.one_stage`.
        candidates: number of points that the file has, where that is fixed.
    """

    def __init__(
        self,
        session: Session,
        steps: PictureSteps,
        select: Mapping[str, Any],
        candidates: int | None = None,
    ) -> None:
        self._session, self._steps, self._select = session, steps, select
        self._candidates, self._told = candidates, False
        self.batch_size, self.lanes = _BATCH, session.lanes

    def run(self, batch: list[FittedPicture]) -> tuple[Array, ...]:
        """What the points say."""
        return self._session(np.stack([picture.pixels for picture in batch]))

    def decode(self, outputs: tuple[Array, ...], batch: list[FittedPicture]) -> list[Poses]:
        """People of each picture, best first."""
        return [
            self._people(boxes, scores, keypoints, seen, picture)
            for boxes, scores, keypoints, seen, picture in zip(*outputs, batch, strict=True)
        ]

    def _people(
        self, boxes: Array, scores: Array, keypoints: Array, seen: Array, picture: FittedPicture
    ) -> Poses:
        """People of one picture's points."""
        select = self._select
        rows = np.flatnonzero(scores > select["score_threshold"])
        if self._candidates is not None and len(rows) == len(scores) and not self._told:
            self._told = True
            _LOG.warning(
                "the exported file looks at the best %d points of a picture only, and more than "
                "these could be people; export it with more --candidates",
                self._candidates,
            )
        rows = rows[np.argsort(-scores[rows], kind="stable")][: select["candidates"]]
        in_image = picture.boxes_to_image_space(boxes[rows])
        if select["iou_threshold"] is not None:
            places = in_image if select["in_image"] else boxes[rows]
            kept = box_nms(places, scores[rows], select["iou_threshold"])[: select["max_people"]]
            rows = rows[kept]
        return Poses(
            picture.to_image_space(keypoints[rows]),
            seen[rows],
            self._within(boxes[rows], picture),
            scores[rows],
        )

    def _within(self, boxes: Array, picture: FittedPicture) -> Array:
        """Boxes (N, 4) of input space in the picture, cut as the model itself cuts them."""
        limits = picture.metainfo.get("input_size")
        if not self._select["in_image"]:
            boxes = np.clip(boxes, 0, np.tile(np.asarray(limits, np.float32), 2))
        moved = picture.boxes_to_image_space(boxes)
        if not self._select["in_image"]:
            return moved
        height, width = picture.metainfo["ori_shape"][:2]
        return np.clip(moved, 0, np.tile(np.array([width, height], np.float32), 2))
