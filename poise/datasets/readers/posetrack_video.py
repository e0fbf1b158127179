"""PoseTrack18 as video: a frame with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from poise._options import options_of
from poise.datasets.base.coco_style import COCO_RULE, BaseCocoStyleDataset
from poise.datasets.base.detections import read_detections
from poise.datasets.coco_file import CocoFile, explained
from poise.datasets.instances import row
from poise.datasets.paths import join_path
from poise.datasets.report import LoadReport
from poise.errors import ArgumentError, DataError
from poise.geometry import bbox_xywh2xyxy
from poise.registry import DATASETS

__all__ = ["PoseTrack18VideoDataset"]


@DATASETS.register_module()
class PoseTrack18VideoDataset(BaseCocoStyleDataset):
    """PoseTrack18, 17 keypoints, with neighbouring frames (Andriluka et al., CVPR 2018).

    `img_path` of a record is a list: the frame itself, then its neighbours.

    Args:
        frame_weights: weight of the frame itself and of each neighbour; they sum to 1.
        frame_sampler_mode: `random`: `num_sampled_frame` neighbours drawn from `frame_range`;
            `fixed`: those of `frame_indices`.
        frame_range: how far before and after a neighbour may lie, or one number for both.
        num_sampled_frame: how many neighbours are drawn.
        frame_indices: places relative to the frame, with 0 for itself.
        ph_fill_len: digits of the file names of frames.

    The others are those of `BaseCocoStyleDataset`.

    Raises:
        DataError: weights and frames do not fit together.
        ArgumentError: `frame_range` is neither a number nor a pair.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/posetrack18.py"}

    @options_of(BaseCocoStyleDataset)
    def __init__(
        self,
        ann_file: str = "",
        bbox_file: str | None = None,
        data_mode: str = "topdown",
        frame_weights: Sequence[float] = (0.0, 1.0),
        frame_sampler_mode: str = "random",
        frame_range: int | Sequence[int] | None = None,
        num_sampled_frame: int | None = None,
        frame_indices: Sequence[int] | None = None,
        ph_fill_len: int = 6,
        **options: Any,
    ) -> None:
        self.frame_weights = _checked_weights(frame_weights)
        self.frame_sampler_mode = frame_sampler_mode
        self.frame_range = None
        self.num_sampled_frame = None
        self.frame_indices = None
        if frame_sampler_mode == "random":
            self.frame_range = _checked_range(frame_range)
            self.num_sampled_frame = num_sampled_frame
            _check_count(frame_weights, "num_sampled_frame", num_sampled_frame, 1)
        elif frame_sampler_mode == "fixed":
            count = None if frame_indices is None else len(frame_indices)
            _check_count(frame_weights, "frame_indices", count, 0)
            self.frame_indices = sorted(frame_indices or ())
        else:
            raise DataError(
                f"{type(self).__name__} got invalid frame_sampler_mode: {frame_sampler_mode}. "
                'Should be "fixed" or "random".'
            )
        self.ph_fill_len = ph_fill_len
        super().__init__(ann_file=ann_file, bbox_file=bbox_file, data_mode=data_mode, **options)

    def _cache_facts(self) -> list[Any] | None:
        if self.frame_range is not None:
            # neighbours are drawn anew at each load
            return None
        return [self.frame_weights.tolist(), self.frame_indices, self.ph_fill_len]

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """One annotation with the paths of its frame and of the neighbours."""
        ann, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        if COCO_RULE.refusal(ann) is not None:
            return None
        kept = ("bbox", "bbox_score", "keypoints", "keypoints_visible", "num_keypoints", "id")
        with self._reading(ann):
            if max(ann["keypoints"]) == 0:
                return None
            person = row(self._read_instances([ann], [image]), 0)
            return {
                "img_id": int(image["frame_id"]),
                "img_path": self._frame_paths(image["file_name"], int(image["nframes"])),
                **{key: person[key] for key in kept},
                "frame_weights": self.frame_weights,
            }

    def _frame_paths(self, file_name: str, frames: int) -> list[str]:
        """Path of a frame, then those of its neighbours, cut to the ends of the video."""
        path = PurePosixPath(file_name)
        folder = join_path(self.data_prefix["img"], file_name)[: -len(path.name)]
        if self.frame_range is None:
            steps = np.array(self.frame_indices)
        else:
            low, high = self.frame_range
            steps = np.random.randint(low, high + 1, self.num_sampled_frame)
        if self.test_mode:
            steps = steps[steps != 0]
        numbers = np.clip(int(path.stem) + steps, 0, frames - 1)
        names = [f"{str(n).zfill(self.ph_fill_len)}.jpg" for n in numbers.tolist()]
        return [folder + name for name in (path.name, *names)]

    def _load_detection_results(self) -> list[dict[str, Any]]:
        """People as a detector found them, each with the paths of its frames."""
        found = read_detections(self.bbox_file or "", type(self).__name__)
        self.coco = CocoFile(self.ann_file or "", owner=type(self).__name__, need_annotations=False)
        by_name = {image["file_name"]: image for image in self.coco.imgs.values()}
        self.report = LoadReport(self.bbox_file or "", total=len(found))
        people = self._people_of(found)
        self.report.kept = len(people)
        K = self._metainfo["num_keypoints"]
        records = []
        for number, detection in enumerate(people):
            # files of other detectors name the frame, and may tell the length of its video
            name = detection.get("image_name")
            listed = name is None or "nframes" not in detection
            image = (by_name.get(name) or self._image_of(detection)) if listed else {}
            box = np.array(detection["bbox"][:4], dtype=np.float32).reshape(1, 4)
            with explained(f"{type(self).__name__}: {self.ann_file}: image {image.get('id')}"):
                frames = int({**image, **detection}["nframes"])
            records.append(
                {
                    "img_id": detection["image_id"],
                    "img_path": self._frame_paths(name or image["file_name"], frames),
                    "frame_weights": self.frame_weights,
                    "bbox": bbox_xywh2xyxy(box),
                    "bbox_score": np.array(detection["score"], dtype=np.float32).reshape(1),
                    "keypoints": np.zeros((1, K, 2), dtype=np.float32),
                    "keypoints_visible": np.ones((1, K), dtype=np.float32),
                    "id": number,
                }
            )
        return records


def _checked_weights(weights: Sequence[float]) -> np.ndarray:
    if not np.isclose(sum(weights), 1):
        raise DataError(f"Invalid `frame_weights`: should sum to 1.0, but got {list(weights)}.")
    if min(weights) < 0:
        raise DataError(f"frame_weight can not be a negative value, got {list(weights)}.")
    return np.array(weights)


def _checked_range(frame_range: int | Sequence[int] | None) -> tuple[int, int]:
    if frame_range is None:
        raise DataError("`frame_sampler_mode` is set as `random`, please specify `frame_range`.")
    if isinstance(frame_range, int):
        frame_range = (-frame_range, frame_range)
    if not isinstance(frame_range, Sequence) or isinstance(frame_range, str):
        raise ArgumentError(
            "The type of `frame_range` must be int or Sequence, but got "
            f"{type(frame_range).__name__}."
        )
    low, high = frame_range if len(frame_range) == 2 else (1, -1)
    whole = isinstance(low, int) and isinstance(high, int)
    if not whole or not low <= 0 <= high or low == high:
        raise DataError(
            "Invalid `frame_range`: expected a pair of whole numbers with first <= 0 <= last and "
            f"first < last, or a positive number; got {list(frame_range)}."
        )
    return low, high


def _check_count(weights: Sequence[float], name: str, count: int | None, extra: int) -> None:
    if count is None:
        mode = "random" if extra else "fixed"
        raise DataError(f"`frame_sampler_mode` is set as `{mode}`, please specify `{name}`.")
    if len(weights) != count + extra:
        raise DataError(
            f"`frame_weights` has {len(weights)} entries, `{name}` asks for {count + extra} "
            "(the frame itself and its neighbours)."
        )
