"""COCO results: one list of detections, valid JSON after every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions
from poise.inference.sinks.json_files import JsonList

__all__ = ["CocoSink"]

#: Decimals of pixels and scores.
_DECIMALS = 3


class CocoSink(FileSink):
    """`NAME_coco.json` of a video, `poses_coco.json` of still pictures.

    `image_id` counts the pictures (the frame's number in a video) and `file_name` tells which one
    it is; pictures whose names are numbers, as COCO's are, keep them. A number that is another
    picture's already gives way to the next free one. `score` is the box's score times the mean
    keypoint score, as COCO's evaluation of poses is fed. `category_id` is the box's, 1 where it
    came without.
    """

    suffix = "_coco.json"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        #: number that is taken -> where to look on
        self._after: dict[int, int] = {}

    def begin(self, path: Path, result: PoseResult) -> JsonList:
        """A file that holds an empty list."""
        self._after = {}
        return JsonList(path)

    def add(self, handle: Any, result: PoseResult) -> None:
        """Detections of one picture."""
        handle.extend(_detections(result, self._image_id(result)))

    def _image_id(self, result: PoseResult) -> int:
        if result.moves:
            return result.frame_index
        stem = Path(result.name).stem
        after = self._after
        number = int(stem) if stem.isdecimal() else len(after)
        while number in after:
            # shortened on the way, or folders of frames would be gone through again and again
            after[number] = after.get(after[number], after[number])
            number = after[number]
        after[number] = number + 1
        return number


def _detections(result: PoseResult, image_id: int) -> list[dict[str, Any]]:
    """A COCO result a person."""
    count = len(result)
    if not count:
        return []
    # JSON has no NaN: a keypoint without a place is one that is not there
    placed = np.isfinite(result.keypoints[..., :2]).all(-1)
    places = np.where(placed[..., None], result.keypoints[..., :2], 0)
    scores = np.where(placed, np.nan_to_num(result.keypoint_scores), 0)
    rows = np.concatenate((places, scores[..., None]), -1).reshape(count, -1)
    boxes = result.bboxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    columns: dict[str, Any] = {
        "keypoints": np.round(rows.astype(np.float64), _DECIMALS).tolist(),
        "bbox": np.round(boxes.astype(np.float64), _DECIMALS).tolist(),
        "score": np.round(
            result.bbox_scores * scores.mean(1, dtype=np.float64), _DECIMALS + 3
        ).tolist(),
    }
    if result.categories is not None:
        columns["category_id"] = result.categories.tolist()
    if result.track_ids is not None:
        columns["track_id"] = result.track_ids.tolist()
    common = {"image_id": image_id, "file_name": Path(result.name).name, "category_id": 1}
    return [
        {**common, **dict(zip(columns, row, strict=True))}
        for row in zip(*columns.values(), strict=True)
    ]
