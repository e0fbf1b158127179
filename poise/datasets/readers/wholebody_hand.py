"""The hands of COCO-WholeBody, each as an instance of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.datasets.base.coco_style import BaseCocoStyleDataset
from poise.datasets.coco_file import CocoFile
from poise.datasets.paths import join_path
from poise.geometry import bbox_xywh2xyxy
from poise.registry import DATASETS

__all__ = ["CocoWholeBodyHandDataset"]

SIDES = ("left", "right")


@DATASETS.register_module()
class CocoWholeBodyHandDataset(BaseCocoStyleDataset):
    """COCO-WholeBody's hands, 21 keypoints (Jin et al., ECCV 2020).

    A person gives none, one or two instances, numbered anew. Arguments are those of
    `BaseCocoStyleDataset`.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/coco_wholebody_hand.py"}

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        self.coco = CocoFile(self.ann_file or "", owner=type(self).__name__)
        instances: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for img_id, image in self.coco.imgs.items():
            image["img_id"] = img_id
            image["img_path"] = join_path(self.data_prefix["img"], image["file_name"])
            images.append(image)
            for ann in self.coco.by_image.get(img_id, ()):
                if ann["iscrowd"]:
                    self.report.drop("crowd", len(SIDES))
                    continue
                for side in SIDES:
                    if ann[f"{side}hand_valid"] and max(ann[f"{side}hand_kpts"]) > 0:
                        instances.append(_hand(len(instances), ann, image, side))
        self.report.images = len(images)
        self.report.total = len(SIDES) * len(self.coco.annotations)
        left = self.report.total - len(instances) - sum(self.report.dropped.values())
        self.report.drop("without valid hand", left)
        return instances, images


def _hand(number: int, ann: dict[str, Any], image: dict[str, Any], side: str) -> dict[str, Any]:
    box = np.array(ann[f"{side}hand_box"], dtype=np.float32).reshape(1, 4)
    triples = np.array(ann[f"{side}hand_kpts"], dtype=np.float32).reshape(1, -1, 3)
    keypoints = triples[..., :2]
    return {
        "img_id": ann["image_id"],
        "img_path": image["img_path"],
        "bbox": bbox_xywh2xyxy(box),
        "bbox_score": np.ones(1, dtype=np.float32),
        "num_keypoints": np.count_nonzero(keypoints.max(axis=2)),
        "keypoints": keypoints,
        "keypoints_visible": np.minimum(np.float32(1), triples[..., 2]),
        "iscrowd": ann["iscrowd"],
        "segmentation": ann["segmentation"],
        "id": number,
    }
