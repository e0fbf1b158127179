"""MPII Human Pose and MPII-TRB: centre and scale instead of a box, coordinates from 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from poise._options import options_of
from poise.datasets.base.coco_style import BaseCocoStyleDataset
from poise.datasets.base.modes import check_topdown_test
from poise.datasets.coco_file import explained, read_json
from poise.datasets.instances import PIXELS_PER_SCALE
from poise.datasets.paths import join_path, require_file
from poise.datasets.safe_pickle import read_mat
from poise.errors import DataError, UnknownNameError
from poise.geometry import bbox_cs2xyxy
from poise.geometry.boxes import AREA_PER_BOX
from poise.registry import DATASETS

__all__ = ["MpiiDataset", "MpiiTrbDataset"]

# PCKh's unit of length: this part of the diagonal of the head box (Andriluka 2014)
HEAD_SIZE_PER_DIAGONAL = 0.6
# the annotated centre is moved down so that no limb is cut off, in pixels for a scale of 1
CENTRE_DOWN = 15.0
# MATLAB counts pixels from 1
FIRST_PIXEL = 1
NO_CENTRE = -1
HEADBOX_FORMATS = ("mat",)


@DATASETS.register_module()
class MpiiDataset(BaseCocoStyleDataset):
    """MPII, 16 body keypoints (Andriluka et al., CVPR 2014), in the JSON of HRNet's authors.

    Args:
        headbox_file: MATLAB file with `headboxes_src` `(2, 2, N)`, corners of the heads; gives
            `head_size`, the unit of PCKh. Top-down tests only.

    The others are those of `BaseCocoStyleDataset`.

    Raises:
        DataError: `headbox_file` in bottom-up mode or while training (a ValueError).
        UnknownNameError: `headbox_file` is not a .mat file (a KeyError).
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/mpii.py"}

    @options_of(BaseCocoStyleDataset)
    def __init__(
        self,
        ann_file: str = "",
        bbox_file: str | None = None,
        headbox_file: str | None = None,
        data_mode: str = "topdown",
        **options: Any,
    ) -> None:
        if headbox_file:
            test_mode = options.get("test_mode", False)
            check_topdown_test("headbox_file", data_mode, test_mode, type(self).__name__)
            kind = headbox_file[-3:]
            if kind not in HEADBOX_FORMATS:
                raise UnknownNameError(
                    f"The head boxes file type {kind} is not supported. Should be `mat` (MPII's "
                    f"mpii_gt_val.mat), got {PurePath(headbox_file).name}"
                )
        self.headbox_file = headbox_file
        super().__init__(ann_file=ann_file, bbox_file=bbox_file, data_mode=data_mode, **options)

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        owner = type(self).__name__
        anns = read_json(self.ann_file or "", owner=owner)
        if not isinstance(anns, list):
            raise DataError(
                f"{owner}: {self.ann_file} holds a {type(anns).__name__}, expected a list of "
                "people (MPII's files as HRNet's authors wrote them)"
            )
        heads = self._head_sizes(len(anns)) if self.headbox_file else None
        self.report.total = len(anns)
        instances = []
        for i, ann in enumerate(anns):
            with explained(f"{owner}: {self.ann_file}: person {i}"):
                instances.append(self._person(i, ann))
        if heads is not None:
            for person, size in zip(instances, heads, strict=True):
                person["head_size"] = size.reshape(1, 1)
        return instances, pictures_of(instances)

    def _person(self, number: int, ann: dict[str, Any]) -> dict[str, Any]:
        center = np.array(ann["center"], dtype=np.float32)
        scale = np.full(2, ann["scale"], dtype=np.float32) * np.float32(PIXELS_PER_SCALE)
        if center[0] != NO_CENTRE:
            # in double precision whatever numpy promotes to, as the reference numbers were made
            center[1] = float(center[1]) + CENTRE_DOWN / PIXELS_PER_SCALE * float(scale[1])
        center = (center - FIRST_PIXEL)[None]
        scale = scale[None]
        bbox = bbox_cs2xyxy(center, scale)
        sides = bbox[:, 2:] - bbox[:, :2]
        joints = np.array(ann["joints"], dtype=np.float32).reshape(1, -1, 2)
        visible = np.array(ann["joints_vis"]).reshape(1, -1)
        who = f"person {number}"
        self._check_keypoints(who, joints.shape[1], "joints")
        self._check_keypoints(who, visible.shape[1], "numbers in `joints_vis`")
        return {
            "id": number,
            "img_id": int(ann["image"].split(".")[0]),
            "img_path": join_path(self.data_prefix["img"], ann["image"]),
            "bbox_center": center,
            "bbox_scale": scale,
            "bbox": bbox,
            "bbox_score": np.ones(1, dtype=np.float32),
            "keypoints": joints,
            "keypoints_visible": visible,
            "area": np.maximum(sides[:, 0] * sides[:, 1] * np.float32(AREA_PER_BOX), 1.0),
            "category_id": ann.get("category_id", [1] * len(bbox)),
        }

    def _head_sizes(self, people: int) -> np.ndarray:
        """Length `(N,)` that PCKh divides distances by, pixels."""
        path = require_file(self.headbox_file, "headbox_file", owner=type(self).__name__)
        with explained(f"{type(self).__name__}: {path}"):
            corners = np.transpose(read_mat(Path(path))["headboxes_src"], (2, 0, 1))
        if len(corners) != people:
            raise DataError(
                f"{type(self).__name__}: {path} has {len(corners)} head boxes, {self.ann_file} "
                f"has {people} people; both must be of the same split, in the same order"
            )
        return np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1) * HEAD_SIZE_PER_DIAGONAL


@DATASETS.register_module()
class MpiiTrbDataset(BaseCocoStyleDataset):
    """MPII-TRB, 40 keypoints of bones and outline (Duan et al., ICCV 2019).

    Arguments are those of `BaseCocoStyleDataset`.
    """

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/mpii_trb.py"}

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        self._open()
        self.report.drop("of an image that is not listed", self.coco.unlisted())
        instances = []
        for img_id, image in self.coco.imgs.items():
            path = self._picture(img_id, image)["img_path"]
            for ann in self._annotations_of(img_id):
                with self._reading(ann):
                    instances.append(self._person(ann, path))
        with explained(f"{type(self).__name__}: {self.ann_file}: the order of ids"):
            instances.sort(key=lambda person: person["id"])
        return instances, pictures_of(instances)

    def _person(self, ann: dict[str, Any], path: str) -> dict[str, Any]:
        center = np.array(ann["center"], dtype=np.float32)[None]
        scale = np.full((1, 2), ann["scale"], dtype=np.float32) * np.float32(PIXELS_PER_SCALE)
        triples = np.array(ann["keypoints"], dtype=np.float32).reshape(1, -1, 3)
        self._check_keypoints(f"annotation {ann['id']}", triples.shape[1])
        person = {
            "id": ann["id"],
            "img_id": ann["image_id"],
            "img_path": path,
            "bbox_center": center,
            "bbox_scale": scale,
            "bbox": bbox_cs2xyxy(center, scale),
            "bbox_score": np.ones(1, dtype=np.float32),
            "num_keypoints": ann["num_joints"],
            "keypoints": triples[..., :2],
            "keypoints_visible": np.minimum(np.float32(1), triples[..., 2]),
            "iscrowd": ann["iscrowd"],
        }
        if "headbox" in ann:
            person["headbox"] = np.array(ann["headbox"], dtype=np.float32)
        return person


def pictures_of(instances: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pictures that people were annotated in, in order of appearance."""
    paths = {person["img_id"]: person["img_path"] for person in reversed(instances)}
    order = dict.fromkeys(person["img_id"] for person in instances)
    return [{"img_id": i, "img_path": paths[i]} for i in order]
