"""InterHand2.6M: two hands seen by calibrated cameras, in 2D and 3D."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._options import options_of
from poise.datasets.base.coco_style import BaseCocoStyleDataset
from poise.datasets.cache import file_facts
from poise.datasets.coco_file import read_json
from poise.datasets.paths import join_path, require_file
from poise.errors import DataError
from poise.geometry import bbox_xywh2xyxy, camera_to_pixel
from poise.registry import DATASETS

__all__ = ["InterHand2DDoubleDataset", "InterHand3DDataset"]

# the keypoints of a hand: 20 of the fingers, then the wrist it hangs from
HANDS = (slice(0, 21), slice(21, 42))
WRISTS = (20, 41)
HAND_TYPES = {"right": (1, 0), "left": (0, 1), "interacting": (1, 1)}


class _InterHandDataset(BaseCocoStyleDataset):
    """Reading of the three files; subclasses pick what a record holds."""

    METAINFO: dict[str, Any] = {"from_file": "configs/_base_/datasets/interhand3d.py"}

    @options_of(BaseCocoStyleDataset)
    def __init__(
        self,
        ann_file: str = "",
        camera_param_file: str = "",
        joint_file: str = "",
        use_gt_root_depth: bool = True,
        rootnet_result_file: str | None = None,
        **options: Any,
    ) -> None:
        owner, data_root = type(self).__name__, options.get("data_root")
        self.camera_param_file = _found(camera_param_file, "camera_param_file", data_root, owner)
        self.joint_file = _found(joint_file, "joint_file", data_root, owner)
        self.use_gt_root_depth = use_gt_root_depth
        if not use_gt_root_depth:
            if rootnet_result_file is None:
                raise DataError(
                    f"{owner}: use_gt_root_depth=False takes the depth of the wrists from "
                    "`rootnet_result_file`, which is not given"
                )
            self.rootnet_result_file = _found(
                rootnet_result_file, "rootnet_result_file", data_root, owner
            )
        super().__init__(ann_file=ann_file, **options)

    def _cache_facts(self) -> list[Any] | None:
        files = [self.camera_param_file, self.joint_file]
        if not self.use_gt_root_depth:
            files.append(self.rootnet_result_file)
        return [self.use_gt_root_depth, *map(file_facts, files)]

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        owner = type(self).__name__
        self._open()
        if "categories" in self.coco.dataset:
            self._metainfo["CLASSES"] = list(self.coco.cats.values())
        self.cameras = read_json(self.camera_param_file, "camera_param_file", owner=owner)
        self.joints = read_json(self.joint_file, "joint_file", owner=owner)
        self.rootnet: dict[str, Any] = {}
        if not self.use_gt_root_depth:
            results = read_json(self.rootnet_result_file, "rootnet_result_file", owner=owner)
            self.rootnet = {str(r["annot_id"]): r for r in results}
        instances, images = [], []
        # here the interval counts images; their ids are not consecutive
        for number, (img_id, image) in enumerate(self.coco.imgs.items()):
            if number % self.sample_interval:
                self._drop_outside_interval(img_id)
                continue
            images.append(self._picture(img_id, image))
            annotations = self._annotations_of(img_id)
            if not annotations:
                continue
            first, *others = annotations
            self.report.drop("of an image that has one already", [a["id"] for a in others])
            with self._reading(first):
                parsed = self.parse_data_info({"raw_ann_info": first, "raw_img_info": image})
            if parsed:
                instances.append(parsed)
            else:
                self.report.drop("without valid keypoints", [first["id"]])
        self.report.drop("of an image that is not listed", self.coco.unlisted())
        self.report.images = len(images)
        del self.cameras, self.joints, self.rootnet
        return instances, images

    def _hands(self, ann: dict[str, Any], image: dict[str, Any]) -> _Hands:
        """Both hands of a picture in the camera's coordinates."""
        capture, camera = str(image["capture"]), image["camera"]
        parameters = self.cameras[capture]
        place, turn, focal, centre = (
            np.array(parameters[kind][camera], dtype=np.float32)
            for kind in ("campos", "camrot", "focal", "princpt")
        )
        world = self.joints[capture][str(image["frame_idx"])]["world_coord"]
        seen = (turn @ (np.array(world, dtype=np.float32).T - place[:, None])).T
        valid = np.array(ann["joint_valid"], dtype=np.float32).ravel()
        return _Hands(seen, valid, focal, centre)

    def _box(self, ann: dict[str, Any]) -> np.ndarray:
        source = ann if self.use_gt_root_depth else self.rootnet[str(ann["id"])]
        return bbox_xywh2xyxy(np.array(source["bbox"], dtype=np.float32).reshape(1, 4))

    def _common(self, ann: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
        """What 2D and 3D records share."""
        return {
            "img_id": ann["image_id"],
            "img_path": image["img_path"],
            "hand_type": self.encode_handtype(ann["hand_type"]),
            "hand_type_valid": np.array([ann["hand_type_valid"]]),
            "dataset": self._metainfo["dataset_name"],
            "bbox": self._box(ann),
            "bbox_score": np.ones(1, dtype=np.float32),
            "num_keypoints": self._metainfo["num_keypoints"],
            "iscrowd": ann.get("iscrowd", False),
            "id": ann["id"],
            "raw_ann_info": ann,
        }

    @staticmethod
    def encode_handtype(hand_type: str) -> np.ndarray:
        """`(1, 2)` float32: whether there is a right, a left hand."""
        if hand_type not in HAND_TYPES:
            raise DataError(
                f"Not support hand type: {hand_type}; expected one of {', '.join(HAND_TYPES)}"
            )
        return np.array([HAND_TYPES[hand_type]], dtype=np.float32)


class _Hands:
    """The 42 keypoints of one annotation.

    Args:
        seen: `(42, 3)` float32, camera coordinates, mm.
        valid: `(42,)` float32, 1 where a keypoint is annotated.
        focal: `(2,)` focal length, pixels.
        centre: `(2,)` principal point, pixels.
    """

    def __init__(
        self, seen: np.ndarray, valid: np.ndarray, focal: np.ndarray, centre: np.ndarray
    ) -> None:
        self.seen = seen
        self.wrists_valid = valid[list(WRISTS)].copy()
        self.focal = focal
        self.centre = centre
        # a keypoint is known relative to its wrist only
        self.valid = valid.copy()
        for hand, wrist in zip(HANDS, self.wrists_valid, strict=True):
            self.valid[hand] *= wrist

    @property
    def visible(self) -> np.ndarray:
        """`(1, 42)` float32, 0 or 1."""
        return np.minimum(np.float32(1), self.valid)[None]

    @property
    def wrist_depths(self) -> np.ndarray:
        """`(2,)` right and left, mm from the camera."""
        return self.seen[list(WRISTS), 2]

    @property
    def in_image(self) -> np.ndarray:
        """`(1, 42, 3)` float32: x, y in image space, depth relative to the hand's wrist in mm."""
        points = np.empty((1, len(self.seen), 3), dtype=np.float32)
        pixels = camera_to_pixel(self.seen, *self.focal, *self.centre, shift=True)
        points[0, :, :2] = pixels[..., :2]
        for hand, depth in zip(HANDS, self.wrist_depths, strict=True):
            points[0, hand, 2] = self.seen[hand, 2] - depth
        return points


@DATASETS.register_module()
class InterHand2DDoubleDataset(_InterHandDataset):
    """InterHand2.6M, 42 keypoints of both hands in the picture (Moon et al., ECCV 2020).

    Args:
        ann_file: annotations of pictures.
        camera_param_file: JSON of camera places, rotations, focal lengths and centres.
        joint_file: JSON of keypoints in the world.
        use_gt_root_depth: take the box from the annotation, not from `rootnet_result_file`.
        rootnet_result_file: JSON of boxes and wrist depths as RootNet found them.
        sample_interval: use every so many-th image only.

    The others are those of `BaseCocoStyleDataset`.

    Raises:
        FileMissingError: one of the files does not exist.
        DataError: `rootnet_result_file` is needed and not given; unknown hand type.
    """

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """Both hands of a picture as one record."""
        ann, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        hands = self._hands(ann, image)
        return {
            **self._common(ann, image),
            "keypoints": hands.in_image[..., :2],
            "keypoints_visible": hands.visible,
        }


@DATASETS.register_module()
class InterHand3DDataset(_InterHandDataset):
    """InterHand2.6M, 42 keypoints of both hands in 3D (Moon et al., ECCV 2020).

    A record has `keypoints` `(1, 42, 3)` (x, y in image space, depth in mm relative to the
    wrist), `keypoints_cam` in mm, and the depth of the left wrist relative to the right one.

    Arguments are those of `InterHand2DDoubleDataset`; `use_gt_root_depth` is of the wrists' depth,
    too.
    """

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """Both hands of a picture as one record."""
        ann, image = raw_data_info["raw_ann_info"], raw_data_info["raw_img_info"]
        hands = self._hands(ann, image)
        right, left = hands.wrist_depths
        if self.use_gt_root_depth:
            depth: Any = [right, left]
        else:
            depth = self.rootnet[str(ann["id"])]["abs_depth"]
        return {
            **self._common(ann, image),
            "rotation": 0,
            "keypoints": hands.in_image,
            "keypoints_cam": hands.seen[None],
            "keypoints_visible": hands.visible,
            "rel_root_depth": left - right,
            "rel_root_valid": hands.wrists_valid.prod(),
            "abs_depth": depth,
            "focal": hands.focal,
            "principal_pt": hands.centre,
        }


def _found(name: str, what: str, data_root: str | None, owner: str) -> str:
    return require_file(join_path(data_root, name) if name else "", what, owner=owner)
