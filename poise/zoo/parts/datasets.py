"""Where each dataset lies, how it is read and measured, and how training samples are varied."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

from poise import schemas
from poise.zoo.parts.assembly import Tree

__all__ = ["Binding", "binding", "count", "interhand_files", "metainfo_of"]

#: detections of the 56 AP person detector, which published scores were measured with
COCO_BOXES = "data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
HUMANART_BOXES = (
    "data/HumanArt/person_detection_results/HumanArt_validation_detections_AP_H_56_person.json"
)
PCK_AUC_EPE: list[Tree] = [dict(type="PCKAccuracy", thr=0.2), dict(type="AUC"), dict(type="EPE")]
FACE_NME: Tree = dict(type="NME", norm_mode="keypoint_distance")

#: how samples are varied: settings of `topdown_train`
UPRIGHT: Tree = dict(half_body=False, box=dict(shift_prob=0))
WHOLE: Tree = dict(half_body=False)
TILTED: Tree = dict(half_body=False, box=dict(rotate_factor=60, scale_factor=(0.75, 1.25)))
FACES: Tree = dict(half_body=False, box=dict(shift_prob=0) | TILTED["box"])
ANY_ANGLE: Tree = dict(half_body=False, box=dict(rotate_factor=180, scale_factor=(0.7, 1.3)))
INSECTS: Tree = dict(half_body=False, padding=0.8, box=dict(shift_factor=0.25) | ANY_ANGLE["box"])


@dataclass(frozen=True)
class Binding:
    """A dataset as recipes use it.

    Attributes:
        type: name of the dataset class.
        root: `data_root`.
        train: annotation file of training, under the root.
        val: annotation file of validation.
        images: folder of the pictures, or folders for (train, val).
        schema: name of the keypoint schema.
        metric: settings of a metric on the validation annotations, or whole metrics.
        test: annotation file of the test, where it is another than that of validation.
        boxes: settings of validation, such as `bbox_file`.
        options: settings of the dataset class for all three.
        varied: how training samples are varied.
    """

    type: str
    root: str
    train: str
    val: str
    images: str | tuple[str, str]
    schema: str
    metric: Tree | list[Tree]
    test: str | None = None
    boxes: Tree = field(default_factory=dict)
    options: Tree = field(default_factory=dict)
    varied: Tree = field(default_factory=dict)

    def dataset(self, part: str, pipeline: list[Tree], mode: str = "topdown") -> Tree:
        """Dataset config of "train", "val" or "test"."""
        images = (self.images,) * 2 if isinstance(self.images, str) else self.images
        files = dict(train=self.train, val=self.val, test=self.test or self.val)
        tree: Tree = dict(type=self.type, data_root=self.root, data_mode=mode) | self.options
        tree["ann_file"] = files[part]
        if part == "train":
            return tree | dict(data_prefix=dict(img=images[0]), pipeline=pipeline)
        tree |= self.boxes
        tree["data_prefix"] = dict(img=images[1])
        return tree | dict(test_mode=True, pipeline=pipeline)

    def evaluator(self, part: str = "val", **options: Any) -> Tree | list[Tree]:
        """Metric config of "val" or "test"; a metric that needs the annotations is told where."""
        if isinstance(self.metric, list):
            return [metric | options for metric in self.metric]
        if self.metric["type"] in ("NME", "MpiiPCKAccuracy"):
            return self.metric | options
        files = dict(val=self.val, test=self.test or self.val)
        kind = dict(type=self.metric["type"], ann_file=self.root + files[part])
        return kind | self.metric | options

    def changed(self, **changes: Any) -> Binding:
        """The same with other settings."""
        return replace(self, **changes)

    def below_data(self, images: str | tuple[str, str]) -> Binding:
        """The same with the folder `data/` as its root, as recipes for mixtures have it."""
        folder = self.root.removeprefix("data/")
        return replace(
            self,
            root="data/",
            train=folder + self.train,
            val=folder + self.val,
            test=self.test and folder + self.test,
            images=images,
        )


@functools.cache
def count(schema: str) -> int:
    """Number of keypoints of a schema."""
    return len(schemas.get(schema)["keypoint_info"])


def metainfo_of(schema: str) -> Tree:
    """`metainfo` that names a schema by the path of MMPose's file."""
    return dict(from_file=f"configs/_base_/datasets/{schema}.py")


def interhand_files(part: str, folder: str) -> Tree:
    """Annotation files of InterHand2.6M, of "train", "val" or "test", in a folder."""
    kinds = dict(ann_file="data", camera_param_file="camera", joint_file="joint_3d")
    return {key: f"{folder}/InterHand2.6M_{part}_{kind}.json" for key, kind in kinds.items()}


def binding(name: str) -> Binding:
    """Binding by the name that model names use, such as "coco" or "deepfashion_full"."""
    if name == "mpii//":
        # as most recipes spell the path
        boxes = dict(headbox_file="data/mpii//annotations/mpii_gt_val.mat")
        return _BINDINGS["mpii"].changed(boxes=boxes)
    if name in _BINDINGS:
        return _BINDINGS[name]
    start = next(start for start in _SERIES if name.startswith(start))
    return _SERIES[start](name.removeprefix(start))


def _coco(**metric: Any) -> Tree:
    return dict(type="CocoMetric") | metric


def _kingdom(part: str) -> Binding:
    """Animal Kingdom in the parts of its paper."""
    return Binding(
        "AnimalKingdomDataset",
        "data/ak/",
        f"annotations/ak_{part}/train.json",
        f"annotations/ak_{part}/test.json",
        "images/",
        "ak",
        [dict(type="PCKAccuracy", thr=0.05), dict(type="AUC")],
    )


def _deepfashion(subset: str) -> Binding:
    return _simple(
        "DeepFashionDataset",
        "fld",
        f"fld_{subset}",
        f"deepfashion_{subset}",
        PCK_AUC_EPE,
        "img/",
        "train val test",
        options=dict(subset=subset),
        varied=WHOLE,
    )


def _deepfashion2(garment: str) -> Binding:
    garment = garment.replace("-", "_")
    return Binding(
        "DeepFashion2Dataset",
        "data/deepfasion2/",
        f"train/deepfashion2_{garment}_train.json",
        f"validation/deepfashion2_{garment}_validation.json",
        ("train/image/", "validation/image/"),
        "deepfashion2",
        PCK_AUC_EPE,
        varied=WHOLE,
    )


def _jhmdb(split: str) -> Binding:
    metric = dict(type="JhmdbPCKAccuracy", thr=0.2, norm_item=["bbox", "torso"])
    return _simple("JhmdbDataset", "jhmdb", f"Sub{split}", "jhmdb", [metric], "", varied=TILTED)


def _simple(
    kind: str,
    folder: str,
    files: str,
    schema: str,
    metric: Tree | list[Tree],
    images: str | tuple[str, str] = "images/",
    splits: str = "train test",
    **more: Any,
) -> Binding:
    """A dataset whose annotation files are named `annotations/{files}_{split}.json`."""
    named = [f"annotations/{files}_{split}.json" for split in splits.split()]
    if len(named) > 2:
        more["test"] = named[2]
    return Binding(kind, f"data/{folder}/", named[0], named[1], images, schema, metric, **more)


def _coco_part(part: str, schema: str, metric: Tree | list[Tree], **more: Any) -> Binding:
    """COCO-WholeBody, or the hands or faces of it."""
    return Binding(
        f"CocoWholeBody{part}Dataset",
        "data/coco/",
        "annotations/coco_wholebody_train_v1.0.json",
        "annotations/coco_wholebody_val_v1.0.json",
        ("train2017/", "val2017/"),
        schema,
        metric,
        **more,
    )


_SERIES = {
    "animalkingdom_": _kingdom,
    "deepfashion_": _deepfashion,
    "deepfasion2-": _deepfashion2,
    "jhmdb-sub": _jhmdb,
}

_AIC_IMAGES = (
    "ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902/",
    "ai_challenger_keypoint_validation_20170911/keypoint_validation_images_20170911/",
)

_CROWDPOSE = Binding(
    "CrowdPoseDataset",
    "data/crowdpose/",
    "annotations/mmpose_crowdpose_trainval.json",
    "annotations/mmpose_crowdpose_test.json",
    "images/",
    "crowdpose",
    _coco(use_area=False, iou_type="keypoints_crowd", prefix="crowdpose"),
    boxes=dict(bbox_file="data/crowdpose/annotations/det_for_crowd_test_0.1_0.5.json"),
)

_BINDINGS = {
    "coco": Binding(
        "CocoDataset",
        "data/coco/",
        "annotations/person_keypoints_train2017.json",
        "annotations/person_keypoints_val2017.json",
        ("train2017/", "val2017/"),
        "coco",
        _coco(),
        boxes=dict(bbox_file=COCO_BOXES),
    ),
    "crowdpose": _CROWDPOSE,
    "humanart": Binding(
        "HumanArtDataset",
        "data/",
        "HumanArt/annotations/training_humanart_coco.json",
        "HumanArt/annotations/validation_humanart.json",
        "",
        "humanart",
        _coco(),
        boxes=dict(bbox_file=HUMANART_BOXES),
    ),
    "ap10k": Binding(
        "AP10KDataset",
        "data/ap10k/",
        "annotations/ap10k-train-split1.json",
        "annotations/ap10k-val-split1.json",
        "data/",
        "ap10k",
        _coco(),
        test="annotations/ap10k-test-split1.json",
    ),
    "exlpose": Binding(
        "ExlposeDataset",
        "data/ExLPose/",
        "annotations/ExLPose/ExLPose_train_LL.json",
        "annotations/ExLPose/ExLPose_test_LL-A.json",
        "",
        "exlpose",
        _coco(use_area=False),
    ),
    "aic": _simple(
        "AicDataset", "aic", "aic", "aic", _coco(use_area=False), _AIC_IMAGES, "train val"
    ),
    "animalpose": _simple(
        "AnimalPoseDataset", "animalpose", "animalpose", "animalpose", _coco(), "", "train val"
    ),
    "posetrack18": _simple(
        "PoseTrack18Dataset",
        "posetrack18",
        "posetrack18",
        "posetrack18",
        dict(type="PoseTrack18Metric"),
        "",
        "train val",
        boxes=dict(
            bbox_file="data/posetrack18/annotations/posetrack18_val_human_detections.json",
            filter_cfg=dict(bbox_score_thr=0.4),
        ),
    ),
    "mpii": _simple(
        "MpiiDataset",
        "mpii",
        "mpii",
        "mpii",
        dict(type="MpiiPCKAccuracy"),
        splits="train val",
        boxes=dict(headbox_file="data/mpii/annotations/mpii_gt_val.mat"),
        varied=UPRIGHT,
    ),
    "locust": _simple("LocustDataset", "locust", "locust", "locust", PCK_AUC_EPE, varied=INSECTS),
    "zebra": _simple("ZebraDataset", "zebra", "zebra", "zebra", PCK_AUC_EPE, varied=INSECTS),
    "300w": _simple(
        "Face300WDataset",
        "300w",
        "face_landmarks_300w",
        "300w",
        FACE_NME,
        splits="train valid",
        varied=FACES,
    ),
    "300wlp": _simple(
        "Face300WLPDataset",
        "300wlp",
        "face_landmarks_300wlp",
        "300wlp",
        FACE_NME,
        ("train/", "val/"),
        "train valid",
        varied=FACES,
    ),
    "aflw": _simple(
        "AFLWDataset",
        "aflw",
        "face_landmarks_aflw",
        "aflw",
        dict(type="NME", norm_mode="use_norm_item", norm_item="bbox_size"),
        varied=FACES,
    ),
    "cofw": _simple("COFWDataset", "cofw", "cofw", "cofw", FACE_NME, varied=FACES),
    "wflw": _simple("WFLWDataset", "wflw", "face_landmarks_wflw", "wflw", FACE_NME, varied=FACES),
    "lapa": _simple(
        "LapaDataset", "LaPa", "lapa", "lapa", FACE_NME, "", "train val test", varied=FACES
    ),
    "freihand2d": _simple(
        "FreiHandDataset",
        "freihand",
        "freihand",
        "freihand2d",
        PCK_AUC_EPE,
        "",
        "train val test",
        varied=INSECTS,
    ),
    "onehand10k": _simple(
        "OneHand10KDataset",
        "onehand10k",
        "onehand10k",
        "onehand10k",
        PCK_AUC_EPE,
        "",
        varied=ANY_ANGLE,
    ),
    "rhd2d": _simple("Rhd2DDataset", "rhd", "rhd", "rhd2d", PCK_AUC_EPE, "", varied=ANY_ANGLE),
    "coco-wholebody": _coco_part(
        "",
        "coco_wholebody",
        dict(type="CocoWholeBodyMetric"),
        boxes=dict(bbox_file=COCO_BOXES),
    ),
    "coco-wholebody-face": _coco_part("Face", "coco_wholebody_face", FACE_NME, varied=TILTED),
    "coco-wholebody-hand": _coco_part(
        "Hand", "coco_wholebody_hand", PCK_AUC_EPE, varied=ANY_ANGLE | dict(flip="after")
    ),
}
