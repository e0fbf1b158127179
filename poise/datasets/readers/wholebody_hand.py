"""Hands of whole bodies, each as an instance of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.datasets.base.coco_style import BaseCocoStyleDataset
from poise.datasets.coco_file import CocoFile
from poise.errors import DataError
from poise.geometry import bbox_xywh2xyxy
from poise.registry import DATASETS

__all__ = ["CocoWholeBodyHandDataset", "HalpeHandDataset"]

SIDES = ("left", "right")
# Halpe-FullBody: 26 keypoints of body and feet, 68 of the face, 21 of each hand
HALPE_KEYPOINTS = 136
HALPE_HANDS = (slice(94, 115), slice(115, 136))


@DATASETS.register_module()
class CocoWholeBodyHandDataset(BaseCocoStyleDataset):
    """COCO-WholeBody's hands, 21 keypoints (Jin et al., ECCV 2020).

    A person gives none, one or two instances, numbered anew. Arguments are those of
    `BaseCocoStyleDataset`.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/coco_wholebody_hand.py"}

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        self.coco = CocoFile(self.ann_file or "", owner=type(self).__name__)
        self.coco.check_images()
        instances: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for img_id, image in self.coco.imgs.items():
            images.append(self._picture(img_id, image))
            for ann in self.coco.by_image.get(img_id, ()):
                if ann["iscrowd"]:
                    self.report.drop("crowd", [ann["id"]] * len(SIDES))
                    continue
                with self._reading(ann):
                    hands = self.hands_of(ann)
                    for triples, box in hands:
                        self._check_keypoints(f"a hand of annotation {ann['id']}", len(triples))
                        instances.append(_hand(len(instances), ann, image, triples, box))
                # a person is counted once for each hand
                self.report.drop("without valid hand", [ann["id"]] * (len(SIDES) - len(hands)))
        self.report.drop("of an image that is not listed", self.coco.unlisted() * len(SIDES))
        self.report.images = len(images)
        self.report.total = len(SIDES) * len(self.coco.annotations)
        return instances, images

    def hands_of(self, ann: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Keypoints `(K, 3)` with visibility and box `(4,)` xywh of each usable hand."""
        return [
            (
                _numbers(ann[f"{side}hand_kpts"]).reshape(-1, 3),
                _numbers(ann[f"{side}hand_box"]).reshape(4),
            )
            for side in SIDES
            if ann[f"{side}hand_valid"] and max(ann[f"{side}hand_kpts"]) > 0
        ]


@DATASETS.register_module()
class HalpeHandDataset(CocoWholeBodyHandDataset):
    """Hands of Halpe-FullBody, 21 keypoints (Fang et al., TPAMI 2022).

    Configs of MMPose's hand models name this class, which MMPose does not have. Halpe has no
    boxes of hands, so the box is the extent of the hand's labelled keypoints. Arguments are
    those of `BaseCocoStyleDataset`.
    """

    def hands_of(self, ann: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Keypoints `(K, 3)` with visibility and box `(4,)` xywh of each labelled hand."""
        triples = _numbers(ann["keypoints"]).reshape(-1, 3)
        if len(triples) != HALPE_KEYPOINTS:
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: annotation {ann['id']} has "
                f"{len(triples)} keypoints, expected {HALPE_KEYPOINTS} of Halpe-FullBody"
            )
        found = []
        for part in HALPE_HANDS:
            labelled = triples[part][triples[part, 2] > 0, :2]
            # one point, or several in a row, span no box
            if len(labelled) and np.ptp(labelled, axis=0).min() > 0:
                corner = labelled.min(axis=0)
                found.append((triples[part], np.concatenate([corner, np.ptp(labelled, axis=0)])))
        return found


def _numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def _hand(
    number: int,
    ann: dict[str, Any],
    image: dict[str, Any],
    triples: np.ndarray,
    box: np.ndarray,
) -> dict[str, Any]:
    keypoints = triples[None, :, :2]
    return {
        "img_id": ann["image_id"],
        "img_path": image["img_path"],
        "bbox": bbox_xywh2xyxy(box[None]),
        "bbox_score": np.ones(1, dtype=np.float32),
        "num_keypoints": np.count_nonzero(keypoints.max(axis=2)),
        "keypoints": keypoints,
        "keypoints_visible": np.minimum(np.float32(1), triples[None, :, 2]),
        "iscrowd": ann["iscrowd"],
        "segmentation": ann.get("segmentation"),
        "id": number,
    }
