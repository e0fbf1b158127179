"""The mixtures that RTMPose, RTMW and RTMO are trained on: bodies, faces, hands, whole bodies."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import count, interhand_files
from poise.zoo.parts.mixtures import (
    UBODY_SCENES,
    combined,
    converter,
    member,
    named_mapping,
    renumbered,
    schema_of,
    trained_on,
    ubody,
    validated_on,
    whole_body_val,
)

__all__ = [
    "BODY7",
    "FACES",
    "body8",
    "body_members",
    "cocktail14",
    "face6",
    "halpe26",
    "hand5",
    "parts_alone",
]

#: the seven datasets of bodies, in the order of training
BODY7 = ("coco", "aic", "crowdpose", "mpii", "jhmdb", "halpe", "posetrack")
#: OCHuman is for testing only
BODY8 = (*BODY7[:-1], "ochuman", BODY7[-1])

#: what names of mappings call a target
_TAGS = {"coco_wholebody": "coco133"}

#: Sources of COFW at the eyes -> the place that the released recipe gives them in LaPa's points,
#: which is WFLW's number; `schemas.conversions` has the right ones.
_COFW_EYES: dict[Any, int] = {8: 60, 9: 72, 10: 64, 11: 68, 12: 62, 13: 66, 14: 70, 15: 74}
#: faces of COCO-WholeBody's mixture
FACES = ("wflw", "300w", "cofw", "lapa")


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
    of_68 = named_mapping("coco_wholebody_face", "lapa", derived=True)
    cofw = [(s, _COFW_EYES.get(s, t)) for s, t in named_mapping("cofw", "lapa")]
    mappings = dict(
        kpt_68_to_106=of_68,
        mapping_halpe=named_mapping("halpe", "lapa", derived=True),
        mapping_wflw=named_mapping("wflw", "lapa"),
        mapping_cofw=cofw,
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
        "rhd": [converter("rhd", "coco_wholebody_hand")],
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


def cocktail14(tree: Tree) -> Tree:
    """A recipe for whole bodies trained on fourteen datasets of bodies, faces and hands."""
    target = "coco_wholebody"
    names = (*BODY7, "humanart")
    own: dict[str, Tree] = dict(
        coco=dict(member=target, pipeline=[]),
        humanart=dict(filter_cfg=dict(scenes=["real_human"])),
    )
    variables, _ = body_members(target, names, changes=own)
    scenes = ubody("Ubody/", "pose/UBody/images/")
    variables |= dict(
        ubody_scenes=UBODY_SCENES,
        ubody_datasets=scenes,
        scene=UBODY_SCENES[-1],
        each=scenes[-1],
        dataset_ubody=combined(scenes, "ubody2d", [], test=False),
    )
    variables |= parts_alone(target, tree["backend_args"])
    groups = {
        "wb": "coco halpe ubody",
        "body": "aic crowdpose mpii jhmdb posetrack humanart",
        "face": " ".join(FACES),
        "hand": "interhand2d",
    }
    for group, names_of_group in groups.items():
        members = [variables[f"dataset_{name}"] for name in names_of_group.split()]
        variables[f"dataset_{group}"] = combined(members, target, [])
    train = [variables[f"dataset_{group}"] for group in groups]
    variables |= dict(train_datasets=train, data_root="data/")
    tree = trained_on(tree | variables, combined(train, target, tree["train_pipeline"]))
    return validated_on(tree, whole_body_val(tree["val_pipeline"], "data/detection/coco/val2017/"))


def parts_alone(
    target: str,
    storage: Tree,
    *,
    root: str = "data/",
    folder: str = "interhand26m/",
    images: str = "interhand2.6m/images/train/",
) -> Tree:
    """Datasets of faces or hands alone and their mappings, by their names in a recipe.

    Args:
        target: schema of the model, a whole body.
        storage: `backend_args` of the pictures.
        root: `data_root` of InterHand2.6M, of which a tenth of the frames is taken.
        folder: of its annotations, under the root.
        images: folder of its pictures.
    """
    face_pipeline, hand_pipeline = _enlarged(storage, padding=1.25), _enlarged(storage)
    points, hands = count(target), named_mapping("interhand3d", target)
    # the annotations have the right hand first
    half = len(hands) // 2
    variables: Tree = dict(
        face_pipeline=face_pipeline,
        hand_pipeline=hand_pipeline,
        interhand_left=hands[half:],
        interhand_right=hands[:half],
        interhand_coco133=hands,
    )
    for name in FACES:
        mapping = named_mapping(name, target)
        # a name cannot begin with a digit
        variables[f"{'mapping_' if name[0].isdigit() else ''}{name}_coco133"] = mapping
        steps = [renumbered(mapping, points), *face_pipeline]
        variables[f"dataset_{name}"] = member(name, "train", steps, "topdown")
    variables["dataset_interhand2d"] = dict(
        type="InterHand2DDoubleDataset",
        data_root=root,
        data_mode="topdown",
        **interhand_files("train", f"{folder}annotations/all"),
        data_prefix=dict(img=images),
        sample_interval=10,
        pipeline=[renumbered(hands, points), *hand_pipeline],
    )
    return variables


def _enlarged(storage: Tree, **box: Any) -> list[Tree]:
    """Transforms that show a face or hand with much around it, as in a whole body."""
    return [
        dict(type="LoadImage", backend_args=storage),
        dict(type="GetBBoxCenterScale") | box,
        dict(
            type="RandomBBoxTransform",
            shift_factor=0.0,
            scale_factor=[1.5, 2.0],
            rotate_factor=0,
        ),
    ]
