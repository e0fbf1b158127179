"""Training on several datasets at once: their keypoints are renumbered to those of one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poise.schemas import conversions
from poise.schemas.conversions.mapping import Pair
from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.datasets import binding, count, metainfo_of

__all__ = [
    "UBODY_SCENES",
    "coco_with_aic",
    "combined",
    "converter",
    "member",
    "named_mapping",
    "renumbered",
    "schema_of",
    "trained_on",
    "ubody",
    "validated_on",
    "whole_body_val",
    "with_ubody",
]

UBODY_SCENES = words(
    "Magic_show Entertainment ConductMusic Online_class TalkShow Speech Fitness Interview Olympic "
    "TVShow Singing SignLanguage Movie LiveVlog VideoConference"
)


@dataclass(frozen=True)
class Member:
    """A dataset below the folder `data/`, as mixtures use it.

    Attributes:
        type: name of the dataset class.
        files: annotation files of training and validation.
        images: folders of pictures of training and validation.
        schema: its keypoints.
    """

    type: str
    files: tuple[str, str]
    images: tuple[str, str]
    schema: str


def _member(kind: str, files: str, images: str, schema: str) -> Member:
    """`{a,b}` in a path stands for a in training and b in validation."""
    return Member(kind, _both(files), _both(images), schema)


def _both(text: str) -> tuple[str, str]:
    if "{" not in text:
        return text, text
    head, _, rest = text.partition("{")
    choice, _, tail = rest.partition("}")
    first, second = choice.split(",")
    return head + first + tail, head + second + tail


_COCO_IMAGES = "detection/coco/{train2017,val2017}/"
_HALPE_IMAGES = "{pose/Halpe/hico_20160224_det/images/train2015,detection/coco/val2017/}"

_MEMBERS = {
    "coco": _member(
        "CocoDataset",
        "coco/annotations/person_keypoints_{train2017,val2017}.json",
        _COCO_IMAGES,
        "coco",
    ),
    **{
        f"coco_wholebody{part.lower()}": _member(
            f"CocoWholeBody{part.strip('_')}Dataset",
            "coco/annotations/coco_wholebody_{train,val}_v1.0.json",
            _COCO_IMAGES,
            f"coco_wholebody{part.lower()}",
        )
        for part in ("", "_Face", "_Hand")
    },
    "aic": _member(
        "AicDataset",
        "aic/annotations/aic_{train,val}.json",
        "pose/ai_challenge/{ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902,"
        "ai_challenger_keypoint_validation_20170911/keypoint_validation_images_20170911}/",
        "aic",
    ),
    "crowdpose": _member(
        "CrowdPoseDataset",
        "crowdpose/annotations/mmpose_crowdpose_{trainval,test}.json",
        "pose/CrowdPose/images/",
        "crowdpose",
    ),
    "mpii": _member(
        "MpiiDataset", "mpii/annotations/mpii_{train,val}.json", "pose/MPI/images/", "mpii"
    ),
    "jhmdb": _member(
        "JhmdbDataset", "jhmdb/annotations/Sub1_{train,test}.json", "pose/JHMDB/", "jhmdb"
    ),
    "halpe": _member(
        "HalpeDataset", "halpe/annotations/halpe_{train,val}_v1.json", _HALPE_IMAGES, "halpe"
    ),
    "halpehand": _member(
        "HalpeHandDataset",
        "halpe/annotations/halpe_{train,val}_v1.json",
        _HALPE_IMAGES.replace("train2015", "train2015/"),
        "coco_wholebody_hand",
    ),
    "ochuman": _member(
        "OCHumanDataset",
        "ochuman/annotations/ochuman_coco_format_val_range_0.00_1.00.json",
        "pose/OCHuman/images/",
        "ochuman",
    ),
    "posetrack": _member(
        "PoseTrack18Dataset",
        "posetrack18/annotations/posetrack18_{train,val}.json",
        "pose/PoseChallenge2018/",
        "posetrack18",
    ),
    "humanart": _member(
        "HumanArt21Dataset", "HumanArt/annotations/training_humanart.json", "pose/", "humanart21"
    ),
    "lapa": _member(
        "LapaDataset", "LaPa/annotations/lapa_{trainval,test}.json", "pose/LaPa/", "lapa"
    ),
    "wflw": _member(
        "WFLWDataset",
        "wflw/annotations/face_landmarks_wflw_{train,test}.json",
        "pose/WFLW/images/",
        "wflw",
    ),
    "300w": _member(
        "Face300WDataset",
        "300w/annotations/face_landmarks_300w_{train,test}.json",
        "pose/300w/images/",
        "300w",
    ),
    "cofw": _member(
        "COFWDataset", "cofw/annotations/cofw_{train,test}.json", "pose/COFW/images/", "cofw"
    ),
    "onehand10k": _member(
        "OneHand10KDataset",
        "onehand10k/annotations/onehand10k_{train,test}.json",
        "pose/OneHand10K/",
        "onehand10k",
    ),
    "freihand": _member(
        "FreiHandDataset",
        "freihand/annotations/freihand_{train,test}.json",
        "pose/FreiHand/",
        "freihand2d",
    ),
    "rhd": _member("Rhd2DDataset", "rhd/annotations/rhd_{train,test}.json", "pose/RHD/", "rhd2d"),
}


def member(name: str, part: str, pipeline: list[Tree], mode: str, **changes: Any) -> Tree:
    """Config of a dataset in a mixture.

    Args:
        name: "aic", "halpe" ...
        part: "train" or "val".
        pipeline: transforms of this dataset before those that all share.
        mode: "topdown" or "bottomup".
        changes: other or further settings; `images` is the folder of the pictures.
    """
    which = 0 if part == "train" else 1
    found = _MEMBERS[name]
    images = changes.pop("images", found.images[which])
    return (
        dict(
            type=found.type,
            data_root="data/",
            data_mode=mode,
            ann_file=found.files[which],
            data_prefix=dict(img=images),
            pipeline=pipeline,
        )
        | changes
    )


def schema_of(name: str) -> str:
    """Keypoint schema of a member."""
    return _MEMBERS[name].schema


def named_mapping(source: str, target: str, *, derived: bool = False) -> list[Pair]:
    """Pairs (index in source, index in target) of `schemas.conversions`.

    Args:
        source: schema of the annotations.
        target: schema of the model.
        derived: also middles of two keypoints.

    Example:
        >>> named_mapping("aic", "coco")[:3]
        [(0, 6), (1, 8), (2, 10)]
    """
    return conversions.find(source, target).pairs(derived=derived)


def renumbered(mapping: Any, points: int) -> Tree:
    """Transform that renumbers keypoints."""
    return dict(type="KeypointConverter", num_keypoints=points, mapping=list(mapping))


def converter(name: str, target: str) -> Tree:
    """Transform that gives a member's keypoints the numbers of the target schema."""
    return renumbered(named_mapping(schema_of(name), target), count(target))


def combined(
    datasets: list[Tree], target: str, pipeline: list[Tree], *, test: bool = False, **more: Any
) -> Tree:
    """One dataset of several, with the keypoints of the target schema."""
    return (
        dict(type="CombinedDataset", metainfo=metainfo_of(target), datasets=datasets)
        | more
        | dict(pipeline=pipeline, test_mode=test)
    )


def ubody(prefix: str, images: str) -> list[Tree]:
    """The scenes of UBody, a tenth of their frames each; `prefix` comes before "annotations"."""
    root = "data/" if prefix else "data/UBody/"
    return [
        dict(
            type="UBody2dDataset",
            data_root=root,
            data_mode="topdown",
            ann_file=f"{prefix}annotations/{scene}/train_annotations.json",
            data_prefix=dict(img=images),
            pipeline=[],
            sample_interval=10,
        )
        for scene in UBODY_SCENES
    ]


def coco_with_aic(tree: Tree, *, target: str = "coco_aic", repeat: bool = False) -> Tree:
    """The tree trained on COCO and AI Challenger together.

    Args:
        tree: recipe for COCO alone.
        target: "coco_aic" adds AI Challenger's two keypoints, "coco" leaves them out.
        repeat: take COCO three times, AI Challenger being three times as large; the datasets
            then lie below the folder `data/`.
    """
    variables: Tree = {}
    steps: dict[str, list[Tree]] = {"coco": [], "aic": [converter("aic", target)]}
    if target == "coco_aic":
        steps["coco"] = [converter("coco", target)]
        for name, (step,) in steps.items():
            variables[f"keypoint_mapping_{name}"] = step["mapping"]
    for name, pipeline in steps.items():
        if repeat:
            variables[f"dataset_{name}"] = member(name, "train", pipeline, "topdown")
        else:
            variables[f"dataset_{name}"] = binding(name).dataset("train", pipeline)
    if repeat:
        variables["dataset_coco"] = dict(
            type="RepeatDataset", dataset=variables["dataset_coco"], times=3
        )
    datasets = [variables["dataset_coco"], variables["dataset_aic"]]
    return trained_on(tree | variables, combined(datasets, target, tree["train_pipeline"]))


def trained_on(tree: Tree, dataset: Tree) -> Tree:
    """The tree with another training dataset."""
    return tree | dict(train_dataloader=tree["train_dataloader"] | dict(dataset=dataset))


def validated_on(tree: Tree, dataset: Tree, test: Tree | None = None) -> Tree:
    """The tree with other datasets for validation and test; one for both unless both are given."""
    return tree | dict(
        val_dataloader=tree["val_dataloader"] | dict(dataset=dataset),
        test_dataloader=tree["test_dataloader"] | dict(dataset=test or dataset),
    )


def whole_body_val(pipeline: list[Tree], images: str, **root: Any) -> Tree:
    """Validation on COCO-WholeBody whose files are named from the working directory."""
    val = binding("coco-wholebody")
    return dict(
        type=val.type,
        **root,
        ann_file=val.root + val.val,
        data_prefix=dict(img=images),
        **val.boxes,
        test_mode=True,
        pipeline=pipeline,
    )


def with_ubody(tree: Tree) -> Tree:
    """A recipe for COCO-WholeBody trained on the scenes of UBody, too."""
    scenes = ubody("", "images/")
    train = [binding("coco-wholebody").dataset("train", []), *scenes]
    tree = trained_on(tree, combined(train, "coco_wholebody", tree["train_pipeline"]))
    return tree | dict(
        dataset_type="UBody2dDataset",
        data_root="data/UBody/",
        scenes=UBODY_SCENES,
        scene=UBODY_SCENES[-1],
        train_dataset=scenes[-1],
        train_datasets=train,
    )
