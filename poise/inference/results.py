"""What an inference gives: one `PoseResult` a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.structures import InstanceData, split_instances

__all__ = ["RESULT_VERSION", "PoseResult"]

#: Version of the JSON layout; raised when a key changes its meaning or goes.
RESULT_VERSION = 1

#: Decimals in the files: a hundredth of a pixel, a ten-thousandth of a score.
_PIXEL_DECIMALS, _SCORE_DECIMALS = 2, 4


@dataclasses.dataclass
class PoseResult:
    """The people (hands, animals ...) of one picture.

    Attributes:
        image: (H, W, 3) uint8 BGR, as it was read.
        instances: numpy fields, all in image space: `keypoints` (N, K, 2) float32 pixels,
            `keypoint_scores` (N, K), `bboxes` (N, 4) xyxy, `bbox_scores` (N,). N may be 0.
        metainfo: parsed schema: names, links, colours, sigmas.
        name: path of the file, or "array-3" for the fourth picture without one.
        error: why the picture could not be used; then `instances` is empty.
    """

    image: np.ndarray | None
    instances: InstanceData
    metainfo: Mapping[str, Any]
    name: str
    error: str | None = None

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def keypoints(self) -> np.ndarray:
        """(N, K, 2) float32, pixels of the picture."""
        return self.instances.keypoints

    @property
    def keypoint_scores(self) -> np.ndarray:
        """(N, K) float32, as the model gives them."""
        return self.instances.keypoint_scores

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the JSON file holds them (docs/reference/result-json.md)."""
        height, width = (0, 0) if self.image is None else self.image.shape[:2]
        fields = self.instances
        rows = zip(
            np.round(fields.bboxes, _PIXEL_DECIMALS).tolist(),
            np.round(fields.bbox_scores, _SCORE_DECIMALS).tolist(),
            np.round(fields.keypoints, _PIXEL_DECIMALS).tolist(),
            np.round(fields.keypoint_scores, _SCORE_DECIMALS).tolist(),
            strict=True,
        )
        keys = ("bbox", "bbox_score", "keypoints", "keypoint_scores")
        out: dict[str, Any] = {
            "version": RESULT_VERSION,
            "image": self.name,
            "width": width,
            "height": height,
            "schema": self.metainfo.get("dataset_name", ""),
            "keypoint_names": [
                self.metainfo["keypoint_id2name"][i] for i in range(self.metainfo["num_keypoints"])
            ],
            "instances": [dict(zip(keys, _exact(row), strict=True)) for row in rows],
        }
        if self.error is not None:
            out["error"] = self.error
        return out

    def to_mmpose(self) -> list[dict[str, Any]]:
        """Plain values as MMPose's inferencer gives them: a dict a person, nothing rounded."""
        rows = split_instances(self.instances)
        for row in rows:
            row["bbox_score"] = float(row["bbox_score"])
        return rows


def _exact(row: tuple[Any, ...]) -> list[Any]:
    """float32 rounded in numpy prints as 0.8999999: round the Python floats once more."""

    def tidy(value: Any) -> Any:
        if isinstance(value, list):
            return [tidy(v) for v in value]
        return round(value, _SCORE_DECIMALS) if np.isfinite(value) else None

    return [tidy(v) for v in row]


def empty_instances(num_keypoints: int) -> InstanceData:
    """Instances of a picture in which nobody is."""
    return InstanceData(
        keypoints=np.zeros((0, num_keypoints, 2), np.float32),
        keypoint_scores=np.zeros((0, num_keypoints), np.float32),
        bboxes=np.zeros((0, 4), np.float32),
        bbox_scores=np.zeros((0,), np.float32),
    )
