"""RTMW3D (Jiang 2024): RTMW with a third SimCC axis, the depth of 133 keypoints of a whole body."""

from __future__ import annotations

from poise.zoo.families.rtmpose import UBODY_X, wide_neck
from poise.zoo.name import Name
from poise.zoo.parts import blends, codecs
from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.backbones import cspnext
from poise.zoo.parts.datasets import Binding, count
from poise.zoo.parts.heads import attention_unit, loss
from poise.zoo.parts.mixtures import (
    UBODY_SCENES,
    combined,
    trained_on,
    validated_on,
)
from poise.zoo.parts.runtime import scoped
from poise.zoo.parts.topdown import estimator
from poise.zoo.parts.two_stage import two_stage
from poise.zoo.weights import weights_url

__all__ = ["recipe"]

_SIZE = (288, 384)
_EPOCHS = 270
_BODY = "coco_wholebody"
#: name -> (training batch, weights of the backbone, dropout)
_ROWS = {
    "rtmw3d-l_8xb64_cocktail14-384x288": (
        64,
        weights_url("rtmpose-l_8xb64-270e_coco-ubody-wholebody-256x192"),
        0.1,
    ),
    "rtmw3d-x_8xb32_cocktail14-384x288": (32, UBODY_X["384x288"], 0.0),
}
#: parent of each keypoint, by runs: body, feet, face, hands
_BODY_PARENTS = "0 1 2 3 4 5 6 5 6 7 8 11 12 13 14 15 16"
_FACE_PARENTS = "2 2 2 2 2 3 3 3 3 3 50 50 51 52 0 0 0 0 0 2 2 2 2 2 2 3 3 3 3 3 3"
_FINGER = 4


def _parents() -> list[int]:
    """Parent of each of the 133 keypoints."""
    body = [int(number) for number in words(_BODY_PARENTS)]
    # feet and the outline of the face are chains
    outline = [*range(17, 24), *range(23, 39)]
    face = [int(number) for number in words(_FACE_PARENTS)]
    mouth = [0] * 20
    # in the released recipe two fingers of the right hand turn back at their last joint
    return [*body, *outline, *face, *mouth, *_hand(7, 91, bent=0), *_hand(8, 112, bent=2)]


def _hand(wrist: int, root: int, *, bent: int) -> list[int]:
    """Parents of a hand: the root hangs on the wrist, each finger is a chain from the root."""
    parents = [wrist]
    for number, joint in enumerate(range(root + 1, root + 1 + 5 * _FINGER, _FINGER)):
        parents += [root, joint, joint + 1, joint if number < bent else joint + 2]
    return parents


def recipe(stem: str) -> Tree:
    """Config tree of a released RTMW3D model."""
    batch, weights, drop = _ROWS[stem]
    name = Name(stem, stem[:8], "", "", 8, batch, _EPOCHS, "cocktail14", _SIZE, "")
    codec = codecs.simcc(_SIZE, (6.0, 6.93), normalize=False, use_dark=False) | dict(
        type="SimCC3DLabel",
        input_size=(*_SIZE, _SIZE[0]),
        sigma=(6.0, 6.93, 6.0),
        root_index=(11, 12),
    )
    model = _model(stem[7], weights, drop, codec)
    tree = two_stage(
        name,
        _H3WB,
        model,
        codec,
        lr=5e-4,
        final=10,
        seed=2024,
        scale=4096,
        val_batch=64,
        best=("MPJPE", "less"),
        last=dict(scale_factor=[0.5, 1.5], rotate_factor=90),
        last_colors=dict(p=None, hsv=False),
    )
    tree = _fitted(scoped(tree), codec) | dict(
        num_keypoints=count(_BODY), backbone_path=weights, vis_backends=[_LOCAL]
    )
    if stem.startswith("rtmw3d-x"):
        del tree["dataset_type"]
    return _mixed(tree)


def _fitted(tree: Tree, codec: Tree) -> Tree:
    """The tree with what 3D needs: targets in validation, too, and a drawing of depth."""
    train = [
        step | dict(type=step["type"].removeprefix("mmdet.")) for step in tree["train_pipeline"]
    ]
    *steps, pack = tree["val_pipeline"]
    visualizer = dict(type="Pose3dLocalVisualizer", vis_backends=[_LOCAL], _scope_="mmpose")
    return tree | dict(
        custom_imports=dict(imports=["rtmpose3d"], allow_failed_imports=False),
        visualizer=tree["visualizer"] | visualizer,
        train_pipeline=train,
        val_pipeline=[*steps, dict(type="GenerateTarget", encoder=codec), pack],
    )


_LOCAL = dict(type="LocalVisBackend")
_H3WB = Binding(
    "H36MWholeBodyDataset",
    "data/h36m/",
    "annotation_body3d/h3wb_train_bbox.npz",
    "annotation_body3d/h3wb_train_bbox.npz",
    "images/",
    "h3wb",
    [dict(type="SimpleMPJPE", mode="mpjpe"), dict(type="SimpleMPJPE", mode="p-mpjpe")],
    options=dict(seq_len=1, causal=True),
)


def _model(size: str, weights: str | None, drop: float, codec: Tree) -> Tree:
    base = cspnext(size)
    backbone, neck = wide_neck(base.cfg, weights)
    depth = codec["input_size"]
    head = dict(
        type="RTMW3DHead",
        in_channels=base.channels,
        out_channels=count(_BODY),
        input_size=depth,
        in_featuremap_size=tuple(side // 32 for side in depth),
        simcc_split_ratio=codec["simcc_split_ratio"],
        final_layer_kernel_size=7,
        gau_cfg=attention_unit(drop),
        loss=[
            loss("KLDiscretLossWithWeight", beta=10.0, label_softmax=True),
            loss("BoneLoss", joint_parents=_parents(), loss_weight=2.0),
        ],
        decoder=codec,
    )
    model = estimator(backbone, head, dict(flip_test=False), neck=neck)
    return model | dict(type="TopdownPoseEstimator3D")


def _combined(datasets: list[Tree], schema: str, pipeline: list[Tree]) -> Tree:
    """One dataset of several, whose schema is named as from outside MMPose's folder."""
    meta = dict(from_file=f"mmpose::_base_/datasets/{schema}.py")
    return combined(datasets, schema, pipeline) | dict(metainfo=meta)


def _mixed(tree: Tree) -> Tree:
    """The recipe trained on bodies, faces, scenes with fitted bodies, and Human3.6M."""
    names = ("coco", *blends.BODY7[1:], "humanart")
    own: dict[str, Tree] = dict(
        coco=dict(
            member=_BODY,
            pipeline=[],
            data_root="data/coco/",
            ann_file="annotations/coco_wholebody_train_v1.0.json",
            data_prefix=dict(img="train2017/"),
        ),
        humanart=dict(filter_cfg=dict(scenes=["real_human"])),
    )
    variables, _ = blends.body_members(_BODY, names, changes=own)
    place = dict(root="data/interhand2.6m/", folder="", images="images/train/")
    variables |= blends.parts_alone(_BODY, tree["backend_args"], **place)
    depth = dict(use_gt_root_depth=True, rootnet_result_file=None, type="InterHand3DDataset")
    variables["dataset_interhand3d"] = variables["dataset_interhand2d"] | depth
    groups = {
        "wb": "coco halpe",
        "body": "aic crowdpose mpii jhmdb posetrack",
        "face": " ".join(blends.FACES),
        "hand": "interhand3d",
    }
    for group, members in groups.items():
        sets = [variables[f"dataset_{name}"] for name in members.split()]
        variables[f"dataset_{group}"] = _combined(sets, _BODY, [])
    scenes = [_scene(name) for name in UBODY_SCENES]
    used = [variables[f"dataset_{group}"] for group in ("wb", "body", "face")]
    own_set = _h3wb([], test=False)
    train = [*used, *scenes, own_set]
    variables |= dict(
        scenes=UBODY_SCENES,
        scene=UBODY_SCENES[-1],
        train_ann=scenes[-1]["ann_file"],
        ubody=scenes[-1],
        ubody_datasets=scenes,
        h3wb_dataset=own_set,
        train_datasets=train,
    )
    tree = trained_on(tree | variables, _combined(train, "h3wb", tree["train_pipeline"]))
    tree = validated_on(tree, _h3wb(tree["val_pipeline"], test=True))
    return tree | dict(data_root="data/")


def _h3wb(pipeline: list[Tree], *, test: bool) -> Tree:
    tree = _H3WB.dataset("train", pipeline) | dict(test_mode=test)
    del tree["data_mode"]
    return tree


def _scene(name: str) -> Tree:
    """A scene of UBody with its fitted bodies, a tenth of the frames."""
    return dict(
        type="UBody3dDataset",
        data_root="data/UBody/",
        ann_file=f"annotations/{name}/train_3dkeypoint_annotation.json",
        data_mode="topdown",
        causal=True,
        seq_len=1,
        data_prefix=dict(img="images/"),
        subset_frac=0.1,
        pipeline=[],
    )
