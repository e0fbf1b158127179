"""The mixtures that RTMPose, RTMW and RTMO are trained on: bodies, faces, hands, whole bodies."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.datasets import count
from poise.zoo.parts.mixtures import (
    UBODY_SCENES,
    combined,
    member,
    named_mapping,
    numbered,
    renumbered,
    schema_of,
    trained_on,
    ubody,
    validated_on,
    whole_body_val,
)

__all__ = ["body8", "body_members", "cocktail14", "face6", "halpe26", "hand5"]

Tree = dict[str, Any]
Pairs = list[tuple[Any, int]]

#: the seven datasets of bodies, in the order of training
BODY7 = ("coco", "aic", "crowdpose", "mpii", "jhmdb", "halpe", "posetrack")
#: OCHuman is for testing only
BODY8 = (*BODY7[:-1], "ochuman", BODY7[-1])

#: what names of mappings call a target
_TAGS = {"coco_wholebody": "coco133"}

#: 68 points of a face -> those of 106 that lie at the same place
_FACE_106 = (
    "0-16:0/2 17-21:33 22-26:42 27-30:51 31-35:58 36:66 39:70 37&38:68 40&41:72 42:75 45:79 "
    "43&44:77 46&47:81 48-67:84"
)
_WFLW_106 = "0-54:0 55-59:58 60-67:66 68-75:75 76-97:84"
_COFW_106 = (
    "0:33 2:38 4:35 5:40 1:46 3:50 6:44 7:48 8:60 10:64 12:62 13:66 9:72 11:68 14:70 15:74 18:57 "
    "19:63 20:54 21:60 22:84 23:90 24:87 25:98 26:102 27:93 28:16"
)
#: faces -> COCO-WholeBody, whose face begins at 23
_FACES_133 = {
    "wflw": "0-32/2:23 33-37:40 42-46:45 51-61:50 63-65:61 67-69:64 71-73:67 75-95:70",
    "300w": "0-67:23",
    "cofw": (
        "0:40 2:44 4:42 1:49 3:45 6:47 8:59 10:62 9:68 11:65 18:54 19:58 20:53 21:56 22:71 23:77 "
        "24:74 25:85 26:89 27:80 28:31"
    ),
    "lapa": (
        "0-32/2:23 33-37:40 42-46:45 51-54:50 58-62:54 66-67:59 69-71:61 73:64 75-76:65 78-80:67 "
        "82:70 84-103:71"
    ),
}
#: InterHand counts each finger from its tip
_LEFT_133 = "21-24:95/-1 25-28:99/-1 29-32:103/-1 33-36:107/-1 37-40:111/-1 41:91"
_RIGHT_133 = "0-3:116/-1 4-7:120/-1 8-11:124/-1 12-15:128/-1 16-19:132/-1 20:112"
#: and so does RHD
_RHD_HAND = "0:0 1-4:4/-1 5-8:8/-1 9-12:12/-1 13-16:16/-1 17-20:20/-1"


def body_members(
    target: str,
    names: tuple[str, ...],
    *,
    part: str = "train",
    mode: str = "topdown",
    changes: dict[str, Tree] | None = None,
) -> tuple[Tree, list[Tree]]:
    """Top-level names of a recipe, and the list of datasets.

    Args:
        target: schema of the model.
        names: members of the mixture.
        part: "train" or "val".
        mode: "topdown" or "bottomup".
        changes: other settings of members; `schema` is that of the annotations, and an empty
            `pipeline` leaves the numbers as they are.
    """
    tag = _TAGS.get(target, target)
    prefix = "dataset" if part == "train" else "val"
    variables: Tree = {}
    for name in names:
        other = dict((changes or {}).get(name, {}))
        source = other.pop("schema", schema_of(other.get("member", name)))
        pipeline = other.pop("pipeline", None)
        if pipeline is None:
            mapping = named_mapping(source, target)
            pipeline = [renumbered(mapping, count(target))]
            variables[f"{name}_{tag}"] = list(mapping)
        used = other.pop("member", name)
        variables[f"{prefix}_{name}"] = member(used, part, pipeline, mode, **other)
    return variables, [variables[f"{prefix}_{name}"] for name in names]


def body8(tree: Tree) -> Tree:
    """A recipe for COCO trained on seven datasets of bodies, tested on eight."""
    own: dict[str, Tree] = dict(coco=dict(pipeline=[]))
    train, sets = body_members("coco", BODY7, changes=own)
    val, test_sets = body_members("coco", BODY8, part="val", changes=own)
    tree = trained_on(tree | val | train, combined(sets, "coco", tree["train_pipeline"]))
    test = combined(test_sets, "coco", tree["val_pipeline"], test=True)
    tree = validated_on(tree, tree["val_dataloader"]["dataset"], test)
    return tree | dict(
        test_evaluator=[dict(type="PCKAccuracy", thr=0.1), dict(type="AUC"), dict(type="EPE")]
    )


def halpe26(tree: Tree) -> Tree:
    """A recipe for 26 keypoints, feet included, of the eight datasets."""
    whole: dict[str, Tree] = dict(coco=dict(member="coco_wholebody"))
    train, sets = body_members("halpe26", BODY7, changes=whole)
    val, val_sets = body_members("halpe26", BODY8, part="val", changes=whole)
    tree = trained_on(tree | val | train, combined(sets, "halpe26", tree["train_pipeline"]))
    return validated_on(tree, combined(val_sets, "halpe26", tree["val_pipeline"], test=True))


def face6(tree: Tree) -> Tree:
    """A recipe for LaPa's 106 points of a face, with five more datasets."""
    mappings = dict(
        kpt_68_to_106=numbered(_FACE_106),
        # Halpe's face follows its 26 points of the body
        mapping_halpe=numbered(_FACE_106, shift=26),
        mapping_wflw=numbered(_WFLW_106),
        mapping_cofw=numbered(_COFW_106),
    )
    used = {
        "lapa": None,
        "coco": "kpt_68_to_106",
        "wflw": "mapping_wflw",
        "300w": "kpt_68_to_106",
        "cofw": "mapping_cofw",
        "halpe": "mapping_halpe",
    }
    points = count("lapa")
    steps = {
        name: [] if key is None else [renumbered(mappings[key], points)]
        for name, key in used.items()
    }
    halpe = dict(
        ann_file="halpe/annotations/halpe_train_133kpt.json",
        images="pose/Halpe/hico_20160224_det/images/train2015/",
    )
    train = _plain(steps, "train", dict(coco="coco_wholebody_face"), dict(halpe=halpe))
    val = _plain(steps, "val", dict(coco="coco_wholebody_face"), {})
    tree = tree | mappings | train | val
    tree = trained_on(tree, combined(list(train.values()), "lapa", tree["train_pipeline"]))
    test = combined(list(val.values()), "lapa", tree["val_pipeline"], test=True)
    return validated_on(tree, tree["val_dataloader"]["dataset"], test)


def hand5(tree: Tree) -> Tree:
    """A recipe for 21 points of a hand, of five datasets."""
    steps: dict[str, list[Tree]] = {
        "coco": [],
        "onehand10k": [],
        "freihand": [],
        "rhd": [renumbered(numbered(_RHD_HAND), count("coco_wholebody_hand"))],
        "halpehand": [],
    }
    target = "coco_wholebody_hand"
    train, val = (_plain(steps, part, dict(coco=target), {}) for part in ("train", "val"))
    tree = trained_on(
        tree | train | val, combined(list(train.values()), target, tree["train_pipeline"])
    )
    return validated_on(tree, combined(list(val.values()), target, tree["val_pipeline"], test=True))


def _plain(
    steps: dict[str, list[Tree]],
    part: str,
    members: dict[str, str],
    changes: dict[str, Tree],
) -> Tree:
    """Named datasets with given transforms each."""
    prefix = "dataset" if part == "train" else "val"
    return {
        f"{prefix}_{name}": member(
            members.get(name, name), part, pipeline, "topdown", **changes.get(name, {})
        )
        for name, pipeline in steps.items()
    }


def _enlarged(load: Tree, **box: Any) -> list[Tree]:
    """Transforms that show a face or hand with much around it, as in a whole body."""
    return [
        dict(type="LoadImage") | load,
        dict(type="GetBBoxCenterScale") | box,
        dict(
            type="RandomBBoxTransform",
            shift_factor=0.0,
            scale_factor=[1.5, 2.0],
            rotate_factor=0,
        ),
    ]


def cocktail14(tree: Tree) -> Tree:
    """A recipe for whole bodies trained on fourteen datasets of bodies, faces and hands."""
    target = "coco_wholebody"
    points = count(target)
    load = dict(backend_args=tree["backend_args"])
    names = (*BODY7, "humanart")
    own: dict[str, Tree] = dict(
        coco=dict(member=target, pipeline=[]),
        humanart=dict(filter_cfg=dict(scenes=["real_human"])),
    )
    variables, _ = body_members(target, names, changes=own)
    scenes = ubody("Ubody/", "pose/UBody/images/")
    face_pipeline = _enlarged(load, padding=1.25)
    hand_pipeline = _enlarged(load)
    left, right = numbered(_LEFT_133), numbered(_RIGHT_133)
    variables |= dict(
        ubody_scenes=UBODY_SCENES,
        ubody_datasets=scenes,
        scene=UBODY_SCENES[-1],
        each=scenes[-1],
        dataset_ubody=combined(scenes, "ubody2d", [], test=False),
        face_pipeline=face_pipeline,
        hand_pipeline=hand_pipeline,
        interhand_left=left,
        interhand_right=right,
        interhand_coco133=right + left,
    )
    for name, text in _FACES_133.items():
        mapping = numbered(text)
        # a name cannot begin with a digit
        variables[f"{'mapping_' if name[0].isdigit() else ''}{name}_coco133"] = mapping
        pipeline = [renumbered(mapping, points), *face_pipeline]
        variables[f"dataset_{name}"] = member(name, "train", pipeline, "topdown")
    hands = [renumbered(right + left, points), *hand_pipeline]
    variables["dataset_interhand2d"] = _interhand(hands)
    groups = {
        "wb": "coco halpe ubody",
        "body": "aic crowdpose mpii jhmdb posetrack humanart",
        "face": " ".join(_FACES_133),
        "hand": "interhand2d",
    }
    for group, names_of_group in groups.items():
        members = [variables[f"dataset_{name}"] for name in names_of_group.split()]
        variables[f"dataset_{group}"] = combined(members, target, [])
    train = [variables[f"dataset_{group}"] for group in groups]
    variables |= dict(train_datasets=train, data_root="data/")
    tree = trained_on(tree | variables, combined(train, target, tree["train_pipeline"]))
    return validated_on(tree, whole_body_val(tree["val_pipeline"], "data/detection/coco/val2017/"))


def _interhand(pipeline: list[Tree]) -> Tree:
    """Pairs of hands of InterHand2.6M, a tenth of the frames."""
    files = "interhand26m/annotations/all/InterHand2.6M_train_{}.json"
    return dict(
        type="InterHand2DDoubleDataset",
        data_root="data/",
        data_mode="topdown",
        ann_file=files.format("data"),
        camera_param_file=files.format("camera"),
        joint_file=files.format("joint_3d"),
        data_prefix=dict(img="interhand2.6m/images/train/"),
        sample_interval=10,
        pipeline=pipeline,
    )
