"""Human3.6M as sequences of poses, with 17 keypoints or with the whole body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from poise._options import options_of
from poise.datasets.base.mocap import BaseMocapDataset
from poise.datasets.coco_file import explained
from poise.datasets.columns import WindowColumn
from poise.datasets.paths import join_path, require_file
from poise.datasets.records import Records
from poise.datasets.safe_pickle import load_array, load_arrays
from poise.datasets.sequences import (
    by_video,
    multi_target_sequences,
    padded_sequences,
    random_run,
    sliding_sequences,
)
from poise.errors import DataError, UnknownNameError, one_of
from poise.registry import DATASETS

__all__ = ["H36MWholeBodyDataset", "Human36mDataset"]

MM_PER_METRE = 1000


@DATASETS.register_module()
class Human36mDataset(BaseMocapDataset):
    """Human3.6M, 17 keypoints in 2D and 3D (Ionescu et al., TPAMI 2014).

    Args:
        ann_file: .npz file as MMPose's converter writes it.
        seq_len: frames of a sequence.
        seq_step: from a frame of a sequence to the next.
        multiple_target: if positive, a record has this many frames, and all are targets.
        multiple_target_step: from the start of such a record to that of the next; by default
            they do not overlap.
        pad_video_seq: make every frame a target, filling up sequences at the ends of videos.
        causal: whether the last frame is the target, or the one in the middle.
        subset_frac: share of the sequences to use.
        keypoint_2d_src: `gt`: 2D keypoints of the annotation; `detection`: of
            `keypoint_2d_det_file`; `pipeline`: the pipeline makes them.
        keypoint_2d_det_file: .npy file `(F, K, 3)` of detected keypoints with scores.
        factor_file: .npy file `(F,)` of projection factors (mm to pixels).
        camera_param_file: cameras by (subject, camera), pickle of plain data.

    The others are those of `BaseMocapDataset`.

    Raises:
        DataError: unknown `keypoint_2d_src`; files that do not fit the annotation file.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/h36m.py"}
    SUPPORTED_keypoint_2d_src: ClassVar[frozenset[str]] = frozenset({"gt", "detection", "pipeline"})

    @options_of(BaseMocapDataset)
    def __init__(
        self,
        ann_file: str = "",
        seq_len: int = 1,
        seq_step: int = 1,
        multiple_target: int = 0,
        multiple_target_step: int = 0,
        pad_video_seq: bool = False,
        causal: bool = True,
        subset_frac: float = 1.0,
        keypoint_2d_src: str = "gt",
        keypoint_2d_det_file: str | None = None,
        factor_file: str | None = None,
        **options: Any,
    ) -> None:
        owner, data_root = type(self).__name__, options.get("data_root")
        self.keypoint_2d_src = one_of(
            keypoint_2d_src,
            sorted(self.SUPPORTED_keypoint_2d_src),
            f"{owner}: `keypoint_2d_src`",
            DataError,
        )
        self.keypoint_2d_det_file = (
            join_path(data_root, keypoint_2d_det_file) if keypoint_2d_det_file else None
        )
        self.factor_file = (
            require_file(join_path(data_root, factor_file), "factor_file", owner=owner)
            if factor_file
            else None
        )
        if seq_step < 1:
            raise DataError(f"{owner}: seq_step is at least 1 frame, got {seq_step}")
        self.seq_step = seq_step
        self.pad_video_seq = pad_video_seq
        self.multiple_target_step = multiple_target_step or multiple_target
        super().__init__(
            ann_file=ann_file,
            seq_len=seq_len,
            multiple_target=multiple_target,
            causal=causal,
            subset_frac=subset_frac,
            **options,
        )

    def get_sequence_indices(self) -> list[list[int]]:
        """Sequences within one subject's action as one camera saw it."""
        names = self.ann_data["imgname"]
        sequences: list[list[int]] = []
        for frames in by_video(self._parse_h36m_imgname(str(name)) for name in names).values():
            sequences += self._sequences_of_video(frames)
        return random_run(sequences, self.subset_frac)

    def _sequences_of_video(self, frames: Sequence[int]) -> list[list[int]]:
        if self.multiple_target:
            return multi_target_sequences(
                frames, self.multiple_target, self.multiple_target_step, self.seq_step
            )
        if self.pad_video_seq:
            return padded_sequences(frames, self.seq_len, self.seq_step, causal=self.causal)
        return sliding_sequences(frames, self.seq_len, self.seq_step)

    def frame_arrays(self) -> dict[str, np.ndarray]:
        """Those of the base, with detected 2D keypoints if asked for."""
        arrays = super().frame_arrays()
        if self.keypoint_2d_src == "detection":
            found = self._load_keypoint_2d_detection(self.keypoint_2d_det_file)
            arrays["keypoints"] = np.ascontiguousarray(found[..., :2])
            arrays["keypoints_visible"] = np.ascontiguousarray(found[..., 2])
        return arrays

    def _sequence_records(self) -> Records:
        records = super()._sequence_records()
        if len(records):
            records.columns["factor"] = WindowColumn(self._factors(), self._windows())
        return records

    def _factors(self) -> np.ndarray:
        """`(F,)` float32, zero where no file gives them."""
        frames = len(self.ann_data["imgname"])
        if self.factor_file is None:
            return np.zeros(frames, dtype=np.float32)
        return self._frames_of(self.factor_file, "factor_file")

    def _load_keypoint_2d_detection(self, det_file: str | None) -> np.ndarray:
        """`(F, K, 3)` float32, x and y in image space, score."""
        found = self._frames_of(det_file, "keypoint_2d_det_file")
        K = self._metainfo["num_keypoints"]
        if found.shape[1:] != (K, 3):
            raise DataError(
                f"{type(self).__name__}: {det_file} has the shape {found.shape}, expected "
                f"(frames, {K} keypoints of the schema, 3): x, y, score"
            )
        return found

    def _frames_of(self, path: str | None, what: str) -> np.ndarray:
        """`(F, ...)` float32, the array of a .npy file."""
        owner = type(self).__name__
        values = load_array(require_file(path, what, owner=owner), what, owner=owner)
        with explained(f"{owner}: {path}"):
            values = np.atleast_1d(np.asarray(values, np.float32))
        frames = len(self.ann_data["imgname"])
        if len(values) != frames:
            raise DataError(
                f"{owner}: `{what}` has {len(values)} frames, {self.ann_file} has {frames}; both "
                "must be of the same split"
            )
        return values

    @staticmethod
    def _parse_h36m_imgname(imgname: str) -> tuple[str, str, str]:
        """Subject, action and camera of `S1_Directions_1.54138969_000001.jpg`."""
        subject, _, rest = PurePosixPath(imgname).name.partition("_")
        action, _, rest = rest.partition(".")
        camera, _, frame = rest.partition("_")
        if not frame:
            raise DataError(
                f"{imgname} is not a Human3.6M name; expected one such as "
                "S1_Directions_1.54138969_000001.jpg (subject, action, camera, frame)"
            )
        return subject, action, camera

    def get_camera_param(self, imgname: str) -> Any:
        """Parameters of the camera that took a frame."""
        subject, _, camera = self._parse_h36m_imgname(imgname)
        if (subject, camera) not in self.camera_param:
            raise UnknownNameError(
                f"{type(self).__name__}: {self.camera_param_file} has no camera {camera} of "
                f"subject {subject}"
            )
        return self.camera_param[subject, camera]


@DATASETS.register_module()
class H36MWholeBodyDataset(Human36mDataset):
    """H3WB, 133 keypoints of Human3.6M in 2D and 3D (Zhu et al., ICCV 2023).

    Training uses the subjects S1, S5 and S6, testing S7; 3D poses are in metres.

    Args:
        test_mode: which subjects to use, besides what it means elsewhere.

    The others are those of `Human36mDataset`.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/h3wb.py"}
    SUBJECTS: ClassVar[dict[bool, tuple[str, ...]]] = {False: ("S1", "S5", "S6"), True: ("S7",)}

    @options_of(Human36mDataset)
    def __init__(self, test_mode: bool = False, **kwargs: Any) -> None:
        self.camera_order_id = ["54138969", "55011271", "58860488", "60457274"]
        self.subjects = list(self.SUBJECTS[bool(test_mode)])
        super().__init__(test_mode=test_mode, **kwargs)

    def _load_ann_file(self, ann_file: str) -> None:
        content = load_arrays(ann_file, "ann_file", owner=type(self).__name__)
        lacking = [n for n in ("train_data", "metadata", "bbox") if n not in content]
        if lacking:
            raise DataError(
                f"{type(self).__name__}: {ann_file} has no {', '.join(lacking)} (it has: "
                f"{', '.join(content)}); expected H3WB's h3wb_train_bbox_subset.npz"
            )
        self.ann_data = content["train_data"].item()
        self.camera_data = content["metadata"].item()
        self.bboxes = content["bbox"].item()

    def get_sequence_indices(self) -> list[list[int]]:
        """None here: `_load_annotations` finds them video by video."""
        return []

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        instances: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for subject in self.subjects:
            for action, cameras in self.ann_data.get(subject, {}).items():
                for camera in self.camera_order_id:
                    if camera in cameras:
                        self._add_video(instances, subject, action, camera)
        if self.data_mode == "bottomup":
            found = [
                self.get_img_info(place, path)
                for instance in instances
                for place, path in enumerate(instance["img_paths"])
            ]
            images = [image for image in found if image is not None]
        del self.camera_data, self.bboxes
        return instances, images

    def _add_video(
        self, instances: list[dict[str, Any]], subject: str, action: str, camera: str
    ) -> None:
        """Append all sequences of one action as one camera saw it."""
        video = self.ann_data[subject][action]
        flat = video[camera]["pose_2d"]
        deep = video[camera]["camera_3d"] / MM_PER_METRE
        parameters = _camera(self.camera_data[subject][camera])
        numbers = video["frame_id"]
        targets = self.target_places()
        # targets are places in a sequence, so with several of them it is that long
        length = self.multiple_target or self.seq_len
        for frames in sliding_sequences(range(len(numbers)), length, 1):
            points = flat[frames]
            seen = np.ones(points.shape[:2], dtype=np.float32)
            paths = [self._path(subject, action, camera, numbers[i]) for i in frames]
            box = self.bboxes[subject, action, camera, numbers[frames[-1]]]
            corners = [[box["x_min"], box["y_min"], box["x_max"], box["y_max"]]]
            instances.append(
                {
                    "num_keypoints": points.shape[1],
                    "keypoints": points,
                    "keypoints_3d": deep[frames],
                    "keypoints_visible": seen,
                    "keypoints_3d_visible": seen,
                    "bbox": np.array(corners, dtype=np.float32),
                    "bbox_score": np.ones(len(frames)),
                    "scale": np.zeros((1, 1), dtype=np.float32),
                    "center": np.zeros((1, 2), dtype=np.float32),
                    "factor": np.zeros((1, 1), dtype=np.float32),
                    "id": len(instances),
                    "category_id": 1,
                    "iscrowd": 0,
                    "camera_param": [parameters],
                    "img_paths": paths,
                    "img_path": paths[-1],
                    "img_ids": frames,
                    "lifting_target": deep[frames][targets],
                    "lifting_target_visible": seen[targets],
                }
            )

    def _path(self, subject: str, action: str, camera: str, number: Any) -> str:
        folder = f"original/{subject}/Images/{action}.{camera}"
        return join_path(self.data_root, f"{folder}/frame_{number}.jpg")


def _camera(raw: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Parameters of a camera of H3WB, lengths in metres but for focal length and centre."""
    K = raw["K"][0, :2, ...]
    return {
        "K": K,
        "R": raw["R"][0],
        "T": raw["T"].reshape(3, 1),
        "Distortion": raw["Distortion"][0],
        "f": (K[0, 0] * MM_PER_METRE, K[1, 1] * MM_PER_METRE),
        "c": (K[0, 2] * MM_PER_METRE, K[1, 2] * MM_PER_METRE),
    }
