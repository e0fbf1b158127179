"""UBody in 3D: whole bodies in videos of upper bodies."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np

from poise._options import options_of
from poise._words import shortened
from poise.datasets.base.mocap import BaseMocapDataset
from poise.datasets.coco_file import CocoFile, explained
from poise.datasets.paths import join_path
from poise.datasets.sequences import (
    multi_target_sequences,
    padded_sequences,
    random_run,
    sliding_sequences,
)
from poise.errors import DataError
from poise.registry import DATASETS

__all__ = ["UBody3dDataset"]

KEYPOINTS = 133


@DATASETS.register_module()
class UBody3dDataset(BaseMocapDataset):
    """UBody, 133 keypoints in 2D and 3D (Lin et al., CVPR 2023), annotations in COCO's format.

    Args:
        multiple_target: if positive, a record has this many frames, and all are targets.
        multiple_target_step: from the start of such a record to that of the next; by default
            they do not overlap.
        seq_step: from a frame of a sequence to the next.
        pad_video_seq: make every frame a target, filling up sequences at the ends of videos.

    The others are those of `BaseMocapDataset`.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/ubody3d.py"}

    @options_of(BaseMocapDataset)
    def __init__(
        self,
        multiple_target: int = 0,
        multiple_target_step: int = 0,
        seq_step: int = 1,
        pad_video_seq: bool = False,
        **kwargs: Any,
    ) -> None:
        if seq_step < 1:
            raise DataError(f"{type(self).__name__}: seq_step is at least 1 frame, got {seq_step}")
        self.seq_step = seq_step
        self.pad_video_seq = pad_video_seq
        self.multiple_target_step = multiple_target_step or multiple_target
        super().__init__(multiple_target=multiple_target, **kwargs)

    def _load_ann_file(self, ann_file: str) -> None:
        self.ann_data = CocoFile(ann_file, owner=type(self).__name__)
        self.ann_data.check_images()
        wrong = self.ann_data.duplicated_ids()
        wrong += [i for i in self.ann_data.anns if not isinstance(i, int)]
        if wrong:
            raise DataError(
                f"{type(self).__name__}: {ann_file}: {len(wrong)} annotation ids occur more than "
                f"once or are no whole numbers ({shortened(wrong)}); give every annotation its "
                "own id"
            )

    def get_sequence_indices(self) -> list[list[int]]:
        """Annotation ids of each record, within one video."""
        videos: dict[str, list[Any]] = {}
        for img_id, image in self.ann_data.imgs.items():
            videos.setdefault(self._parse_image_name(image["file_name"])[0], []).append(img_id)
        sequences: list[list[int]] = []
        for _, images in sorted(videos.items()):
            # one person a picture: as many annotations as there are pictures
            sequences += self._sequences_of_video(self.ann_data.getAnnIds(images)[: len(images)])
        return random_run(sequences, self.subset_frac)

    def _sequences_of_video(self, ids: list[int]) -> list[list[int]]:
        step = self.seq_step
        if self.multiple_target:
            return multi_target_sequences(
                ids, self.multiple_target, self.multiple_target_step, step
            )
        if self.pad_video_seq:
            return padded_sequences(ids, self.seq_len, step, causal=self.causal)
        return sliding_sequences(ids, self.seq_len, step, stride=step)

    @staticmethod
    def _parse_image_name(image_path: str) -> tuple[str, str, str]:
        """Video, frame and ending of `.../Movie/Trim1/000001.png`."""
        path = PurePosixPath(image_path)
        return path.parent.name, path.stem, path.suffix.removeprefix(".")

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        self._metainfo["CLASSES"] = list(self.ann_data.cats.values())
        instances = []
        for i, ids in enumerate(self._windows().tolist()):
            with explained(f"{type(self).__name__}: {self.ann_file}: one of the annotations {ids}"):
                instances.append(self._sequence(i, ids))
        images = []
        if self.data_mode == "bottomup":
            for img_id, image in self.ann_data.imgs.items():
                path = join_path(self.data_prefix["img"], image["file_name"])
                images.append({**image, "img_id": img_id, "img_path": path})
        return instances, images

    def _sequence(self, number: int, ids: list[int]) -> dict[str, Any]:
        anns = self.ann_data.loadAnns(ids)
        images = self.ann_data.loadImgs([ann["image_id"] for ann in anns])
        paths = [f"{self.data_root}/images/{image['file_name']}" for image in images]
        T, targets = len(anns), self.target_places()
        points = self._stacked(anns, "keypoints", (KEYPOINTS, 2))
        deep = self._stacked(anns, "keypoints_3d", (KEYPOINTS, 3))
        visible = self._stacked(anns, "keypoints_valid", (KEYPOINTS,))
        camera = anns[-1]["camera_param"]
        return {
            "num_keypoints": KEYPOINTS,
            "keypoints": points,
            "keypoints_3d": deep,
            "keypoints_visible": visible,
            "scale": _given(anns, "scale"),
            "center": _given(anns, "center"),
            "id": number,
            "category_id": 1,
            "iscrowd": 0,
            "img_paths": paths,
            "img_path": paths[-1],
            "img_ids": [image["id"] for image in images],
            "lifting_target": deep[targets],
            "lifting_target_visible": visible[targets],
            "target_img_paths": [paths[i] for i in targets],
            "camera_param": [{"f": camera["focal"], "c": camera["princpt"]}],
            "factor": np.zeros(T, dtype=np.float32),
            "target_idx": targets,
            "bbox": self._stacked(anns, "bbox", (4,)),
            "bbox_scales": np.ones((T, 2), dtype=np.float32),
            "bbox_scores": np.ones(T, dtype=np.float32),
        }

    def _stacked(self, anns: list[dict[str, Any]], name: str, shape: tuple[int, ...]) -> np.ndarray:
        """`(T, *shape)` float32 of a field of the annotations."""
        try:
            values = np.array([ann[name] for ann in anns], dtype=np.float32)
            return values.reshape(len(anns), *shape)
        except (KeyError, ValueError) as error:
            ids = [ann["id"] for ann in anns]
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: `{name}` of the annotations {ids} is "
                f"missing or has not the shape {shape}"
            ) from error


def _given(anns: list[dict[str, Any]], name: str) -> np.ndarray:
    """`(T, 2)` float32, zero where an annotation lacks the field."""
    rows = np.zeros((len(anns), 2), dtype=np.float32)
    for row, ann in zip(rows, anns, strict=True):
        if name in ann:
            row[:] = ann[name]
    return rows
