"""Motion capture: sequences of 2D poses with the 3D pose they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from poise._options import options_of
from poise._words import shortened
from poise.datasets.base.dataset import BaseDataset
from poise.datasets.base.metainfo import PoseMetainfo
from poise.datasets.base.modes import check_data_mode
from poise.datasets.coco_file import read_json
from poise.datasets.columns import (
    ArrayColumn,
    Column,
    ConstantColumn,
    PoolColumn,
    ScalarColumn,
    WindowColumn,
)
from poise.datasets.grouping import join_values
from poise.datasets.instances import invalid_reason
from poise.datasets.paths import is_absolute, join_path, require_file
from poise.datasets.records import Records
from poise.datasets.report import LoadReport
from poise.datasets.safe_pickle import load_arrays, load_pickle
from poise.errors import DataError
from poise.registry import DATASETS
from poise.transforms.image import stored_image

__all__ = ["BaseMocapDataset"]

Frames = list[list[int]]
#: Parts of a record in which one number that is not finite would turn the loss into NaN.
_FINITE = ("keypoints", "keypoints_3d", "factor", "bbox")


@DATASETS.register_module()
class BaseMocapDataset(PoseMetainfo, BaseDataset):
    """Reader of .npz files of motion capture: `imgname`, `part`, `S`, `center`, `scale`.

    Arrays are kept once and records are windows on them: sequences overlap, and written out
    they would take as many times the memory as they are frames long.

    Args:
        ann_file: the .npz file, below `data_root` if relative. Of F frames: `imgname` `(F,)`,
            `part` `(F, K, 3)` 2D keypoints with visibility, `S` `(F, K, 4)` 3D keypoints with
            visibility, `center` `(F, 2)`, `scale` `(F,)`; all but the first may be missing.
        seq_len: frames of a sequence.
        multiple_target: if positive, a record has this many frames, and all of them are targets.
        causal: whether the last frame is the target, or the one in the middle.
        subset_frac: share of the sequences to use, a run of them that starts at random.
        camera_param_file: pickle (of plain data) or JSON file of camera parameters.
        data_mode: `topdown`, a record for each sequence; `bottomup`, one for each set of frames.
        filter_cfg: `on_bad` says what becomes of sequences with NaN or infinity: an error without
            it, "skip" leaves them out and counts them, "keep" counts them.

    The others are those of `BaseDataset`.

    Raises:
        DataError: settings that do not fit together; a file that is not what it should be.
        FileMissingError: a file does not exist.
    """

    METAINFO: dict[str, Any] = {}

    @options_of(BaseDataset, positional=True, data_root=None, data_prefix={"img": ""})
    def __init__(
        self,
        ann_file: str = "",
        seq_len: int = 1,
        multiple_target: int = 0,
        causal: bool = True,
        subset_frac: float = 1.0,
        camera_param_file: str | None = None,
        data_mode: str = "topdown",
        **options: Any,
    ) -> None:
        owner, data_root = type(self).__name__, options.get("data_root")
        check_data_mode(data_mode, owner)
        if multiple_target and seq_len != 1:
            raise DataError(
                f"{owner}: Multi-target data sample only supports seq_len=1, got {seq_len}."
            )
        if seq_len < 1:
            raise DataError(f"{owner}: seq_len is at least 1 frame, got {seq_len}")
        if not 0 < subset_frac <= 1:
            raise DataError(
                f"{owner}: Unsupported `subset_frac` {subset_frac}. Supported range is (0, 1]."
            )
        self.data_mode = data_mode
        self.seq_len = seq_len
        self.multiple_target = multiple_target
        self.causal = causal
        self.subset_frac = subset_frac
        self.camera_param_file = (
            require_file(join_path(data_root, camera_param_file), "camera_param_file", owner=owner)
            if camera_param_file
            else None
        )
        self.report = LoadReport(ann_file)
        self.ann_data: Any = None
        self.sequence_indices: Frames = []
        super().__init__(ann_file, **options)

    # loading ------------------------------------------------------------------------------

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Records of sequences."""
        self.report = LoadReport(self.ann_file or "")
        self._load_ann_file(require_file(self.ann_file, "ann_file", owner=type(self).__name__))
        if self.camera_param_file:
            self.camera_param = self._read_cameras(self.camera_param_file)
        self.sequence_indices = self.get_sequence_indices()
        if self._reads_columns():
            records: Sequence[dict[str, Any]] = self._valid(self._sequence_records())
        else:
            instances, images = self._load_annotations()
            self.report.total = len(instances)
            instances = self._finite(instances)
            if self.data_mode == "topdown":
                records = self._get_topdown_data_infos(instances)
            else:
                records = self._get_bottomup_data_infos(instances, images)
        self.report.note = "; ".join(filter(None, (self.report.note, self._unused_frames())))
        self.ann_data = None
        self.report.kept = len(records)
        if not len(records):
            raise DataError(
                f"{type(self).__name__}: no sequence of {self.multiple_target or self.seq_len} "
                f"frames is left to use: {self.report}; shorter sequences, or pad_video_seq=True "
                "where the class has it, need fewer frames"
            )
        self.report.log()
        return records

    def _unused_frames(self) -> str:
        """How many frames no sequence has, or nothing."""
        by_array = isinstance(self.ann_data, Mapping)
        names = self.ann_data.get("imgname", ()) if by_array else self.ann_data.anns
        used = {frame for sequence in self.sequence_indices for frame in sequence}
        unused = len(names) - len(used)
        return f"{unused:,} of {len(names):,} frames are in no sequence" if unused > 0 else ""

    def _load_ann_file(self, ann_file: str) -> None:
        """Set `ann_data`, name -> array."""
        self.ann_data = load_arrays(ann_file, "ann_file", owner=type(self).__name__)
        if "imgname" not in self.ann_data:
            raise DataError(
                f"{type(self).__name__}: {ann_file} has no array 'imgname' (it has: "
                f"{', '.join(self.ann_data)}), which names the frames; is it the file of another "
                "data set class?"
            )

    def _read_cameras(self, path: str) -> Any:
        read = read_json if Path(path).suffix == ".json" else load_pickle
        return read(path, "camera_param_file", owner=type(self).__name__)

    def _reads_columns(self) -> bool:
        """Whether all steps from frame to record are ours, so that windows can stand for them."""
        steps = ("_load_annotations", "_is_valid_instance", "_get_topdown_data_infos")
        own = all(getattr(type(self), s) is getattr(BaseMocapDataset, s) for s in steps)
        return own and self.data_mode == "topdown"

    def get_sequence_indices(self) -> Frames:
        """Frames of each record; override it to tell where videos begin and end.

        Returns:
            N lists of `seq_len` (or `multiple_target`) frame numbers.
        """
        if self.seq_len != 1:
            raise NotImplementedError(
                f"{type(self).__name__} does not know which frames are of one video, so seq_len "
                f"must be 1, got {self.seq_len}; override get_sequence_indices"
            )
        frames = list(range(len(self.ann_data["imgname"])))
        size = self.multiple_target or 1
        return [frames[i : i + size] for i in range(0, len(frames) - size + 1, size)]

    def frame_arrays(self) -> dict[str, np.ndarray]:
        """What each of the F frames has, in float32: override it to add or replace something.

        Returns:
            `keypoints` `(F, K, 2)` image space, `keypoints_visible` `(F, K)`, `keypoints_3d`
            `(F, K, 3)` in the file's unit, `keypoints_3d_visible` `(F, K)`.
        """
        F, K = len(self.ann_data["imgname"]), self._metainfo["num_keypoints"]
        flat, deep = self._array("part", F, K, 3), self._array("S", F, K, 4)
        return {
            "keypoints": np.ascontiguousarray(flat[..., :2]),
            "keypoints_visible": np.ascontiguousarray(flat[..., 2]),
            "keypoints_3d": np.ascontiguousarray(deep[..., :3]),
            "keypoints_3d_visible": np.ascontiguousarray(deep[..., 3]),
        }

    def _array(self, name: str, *shape: int) -> np.ndarray:
        """An array of the file in float32, zeros where it has none."""
        values = np.asarray(self.ann_data.get(name, np.zeros(shape)), dtype=np.float32)
        if values.shape != shape:
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: `{name}` has the shape {values.shape}, "
                f"expected {shape}, for {shape[0]:,} frames in `imgname` and "
                f"{self._metainfo['num_keypoints']} keypoints of the schema"
            )
        return values

    def _sequence_records(self) -> Records:
        """All sequences as windows on the frames."""
        windows = self._windows()
        if not len(windows):
            return Records({}, 0)
        targets = windows[:, self.target_places()]
        names = np.asarray(self.ann_data["imgname"])
        arrays = self.frame_arrays()
        N, frames = len(windows), np.arange(len(names))
        columns: dict[str, Column] = {
            "num_keypoints": ConstantColumn(self._metainfo["num_keypoints"]),
            **{name: WindowColumn(values, windows) for name, values in arrays.items()},
            **self._place_columns(N),
            "id": ScalarColumn(np.arange(N), int),
            "category_id": ConstantColumn(1),
            "iscrowd": ConstantColumn(0),
            "img_paths": WindowColumn(names, windows, as_list=True),
            "img_ids": WindowColumn(frames, windows, as_list=True),
            "lifting_target": WindowColumn(arrays["keypoints_3d"], targets),
            "lifting_target_visible": WindowColumn(arrays["keypoints_3d_visible"], targets),
            "target_img_path": WindowColumn(names, targets),
        }
        if self.camera_param_file:
            columns["camera_param"] = self._camera_column(names[windows[:, 0]])
        return Records(columns, N)

    def target_places(self) -> list[int]:
        """Places in a sequence of the frames whose 3D pose is to be found."""
        if self.multiple_target:
            return list(range(self.multiple_target))
        return [-1] if self.causal else [self.seq_len // 2]

    def _windows(self) -> np.ndarray:
        """`(N, T)` int64, frame numbers of each record."""
        expected = self.multiple_target or self.seq_len
        wrong = next((s for s in self.sequence_indices if len(s) != expected), None)
        if wrong is not None:
            raise DataError(
                f"{type(self).__name__}: a sequence has {len(wrong)} frames, expected {expected} "
                f"({'multiple_target' if self.multiple_target else 'seq_len'})"
            )
        return np.array(self.sequence_indices, dtype=np.int64).reshape(-1, expected)

    def _place_columns(self, count: int) -> dict[str, Column]:
        """Box scale and centre. As in MMPose these are of frame i for sequence i, whatever its
        frames are; models that lift 2D poses do not use them.
        """
        F = len(self.ann_data["imgname"])
        return {
            "scale": ScalarColumn(self._array("scale", F)[:count], None),
            "center": ArrayColumn(self._array("center", F, 2)[:count, None]),
        }

    def _camera_column(self, names: Iterable[Any]) -> PoolColumn:
        known: dict[int, int] = {}
        pool: list[Any] = []
        codes = []
        for name in names:
            camera = self.get_camera_param(str(name))
            if id(camera) not in known:
                known[id(camera)] = len(pool)
                pool.append(camera)
            codes.append(known[id(camera)])
        return PoolColumn(np.array(codes, dtype=np.int64), pool)

    def get_camera_param(self, imgname: str) -> Any:
        """Parameters of the camera that took a frame; override it."""
        raise NotImplementedError(
            f"{type(self).__name__} does not know which camera took {imgname}; override "
            "get_camera_param"
        )

    def _valid(self, records: Records) -> Records:
        """Sequences with a keypoint inside the picture, as `_is_valid_instance` has it."""
        self.report.total = len(records)
        columns = [records.columns.get(name) for name in _FINITE]
        good = np.ones(len(records), bool)
        for column in columns:
            if isinstance(column, WindowColumn):
                good &= ~_not_finite(column.values)[column.windows].any(axis=1)
        if not good.all() and not self._keeps(records.select(np.flatnonzero(~good))):
            records = records.select(np.flatnonzero(good))
        column = records.columns.get("keypoints")
        if not isinstance(column, WindowColumn):
            return records
        highest = column.values.reshape(len(column.values), -1).max(axis=1)
        valid = ~(highest[column.windows].max(axis=1) <= 0)
        self.report.drop("without keypoints in the picture", np.flatnonzero(~valid).tolist())
        return records if valid.all() else records.select(np.flatnonzero(valid))

    def _finite(self, sequences: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The sequences without NaN, as `_valid` has them."""
        bad = [any(_not_finite(s[k]).any() for k in _FINITE if k in s) for s in sequences]
        if self._keeps([s for s, wrong in zip(sequences, bad, strict=True) if wrong]):
            return sequences
        return [s for s, wrong in zip(sequences, bad, strict=True) if not wrong]

    def _keeps(self, sequences: Iterable[Mapping[str, Any]]) -> bool:
        """Count sequences with NaN; whether they stay, which is an error unless it is asked for."""
        wrong = {sequence["id"]: sequence for sequence in sequences}
        policy = (self.filter_cfg or {}).get("on_bad")
        if policy == "keep":
            self.report.note = f"{len(wrong):,} sequences have NaN or infinity" if wrong else ""
            return True
        if wrong and policy != "skip":
            first = next(iter(wrong.values()))
            parts = [k for k in _FINITE if k in first and _not_finite(first[k]).any()]
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: NaN or infinity in {len(wrong)} "
                f"sequences (number {shortened(wrong)}), first in {' and '.join(parts)} of "
                f"{first['img_paths'][0]} ...; one of them would turn the loss into NaN. Correct "
                'them, or set filter_cfg=dict(on_bad="skip") to leave these sequences out'
            )
        self.report.drop("with NaN", wrong)
        return False

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Read `ann_data`.

        Returns:
            sequences; and, in bottom-up mode, the pictures.
        """
        instances = list(self._sequence_records())
        images = []
        if self.data_mode == "bottomup":
            images = [self.get_img_info(i, n) for i, n in enumerate(self.ann_data["imgname"])]
        return instances, [image for image in images if image is not None]

    def get_img_info(self, img_idx: int, img_name: str) -> dict[str, Any] | None:
        """Path and size of a picture, or `None` where it cannot be read."""
        path = str(img_name)
        if not is_absolute(path):
            path = join_path(self.data_prefix["img"], path)
        image = stored_image(path)
        if image is None:
            return None
        height, width = image.shape[:2]
        return {
            "file_name": img_name,
            "height": height,
            "width": width,
            "id": img_idx,
            "img_id": img_idx,
            "img_path": path,
        }

    @staticmethod
    def _is_valid_instance(data_info: dict[str, Any]) -> bool:
        """Whether one can learn from a sequence: no crowd, a keypoint in the picture."""
        if data_info.get("iscrowd") or data_info.get("num_keypoints") == 0:
            return False
        return "keypoints" not in data_info or not np.max(data_info["keypoints"]) <= 0

    def _get_topdown_data_infos(
        self, instance_list: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """The sequences one can learn from."""
        kept = []
        for number, sequence in enumerate(instance_list):
            if self._is_valid_instance(sequence):
                kept.append(sequence)
            else:
                reason = invalid_reason(sequence) or "left out by _is_valid_instance"
                self.report.drop(reason, [sequence.get("id", number)])
        return kept

    def _get_bottomup_data_infos(
        self, instance_list: Sequence[dict[str, Any]], image_list: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """One record for each run of sequences of the same frames."""
        records: list[dict[str, Any]] = []
        used: set[Any] = set()
        for frames, run in groupby(instance_list, key=lambda sequence: sequence["img_ids"]):
            people = list(run)
            used.update(frames)
            record = {"img_ids": frames, "img_paths": people[0]["img_paths"]}
            for key in people[0]:
                values = [person[key] for person in people]
                is_array = isinstance(values[0], np.ndarray)
                record.setdefault(key, join_values(values) if is_array else values)
            record["invalid_segs"] = [
                person["segmentation"]
                for person in people
                if "segmentation" in person and not self._is_valid_instance(person)
            ]
            records.append(record)
        if self.test_mode:
            records += [
                {"img_ids": [image["img_id"]], "img_path": [image["img_path"]], "id": []}
                for image in image_list
                if image["img_id"] not in used
            ]
        return records


def _not_finite(values: Any) -> np.ndarray:
    """`(N,)` whether a row of `values` `(N, ...)` has a number that is none."""
    array = np.asarray(values)
    return ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
