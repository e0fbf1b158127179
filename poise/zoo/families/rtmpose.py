"""RTMPose (Jiang 2023) and RTMW (Jiang 2024): CSPNeXt, gated attention, SimCC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from poise.zoo.index import WEIGHTS_BASE
from poise.zoo.name import Name, parse
from poise.zoo.parts import blends, codecs, mixtures
from poise.zoo.parts.assembly import Tree, matching
from poise.zoo.parts.backbones import cspnext, pretrained
from poise.zoo.parts.datasets import Binding, binding, count
from poise.zoo.parts.heads import attention_unit, loss
from poise.zoo.parts.runtime import scoped
from poise.zoo.parts.topdown import estimator
from poise.zoo.parts.two_stage import two_stage
from poise.zoo.weights import weights_url

__all__ = ["CLIP", "UBODY_X", "recipe", "wide_neck"]

_PROJECT = f"{WEIGHTS_BASE}v1/projects/rtmposev1/"

_CSPNEXT_X = f"{_PROJECT}cspnext-x_udp-body7_210e-384x288-d28b58e6_20230529.pth"
#: CSPNeXt of the seven datasets of bodies, which is no model of its own: size and input -> file
_BODY7 = {
    "t 256x192": "cspnext-tiny_udp-body7_210e-256x192-a3775292_20230504.pth",
    "s 256x192": "cspnext-s_udp-body7_210e-256x192-8c9ccbdb_20230504.pth",
    "m 256x192": "cspnext-m_udp-body7_210e-256x192-e0c9327b_20230504.pth",
    "l 256x192": "cspnext-l_udp-body7_210e-256x192-5e9558ef_20230504.pth",
    "m 384x288": "cspnext-m_udp-body7_210e-384x288-b9bc2b57_20230504.pth",
    "l 384x288": "cspnext-l_udp-body7_210e-384x288-b15bc30d_20230504.pth",
}
_UBODY_X = (
    f"{WEIGHTS_BASE}v1/wholebody_2d_keypoint/rtmpose/ubody/rtmpose-x_simcc-ucoco_pt-aic-coco_270e-"
)
#: RTMPose-x of UBody, as the recipes of RTMW name it: input -> file
UBODY_X = {
    "256x192": f"{_UBODY_X}256x192-05f5bcb7_20230822.pth",
    "384x288": f"{_UBODY_X}384x288-f5b50679_20230822.pth",
}

#: spread of the SimCC distributions in pixels, by side of the input
_SIGMA = {192: 4.9, 256: 5.66, 288: 6.0, 384: 6.93}

_WIDE = dict(scale_factor=[0.5, 1.5], rotate_factor=90)
#: gradients that are clipped
CLIP = dict(clip=dict(max_norm=35, norm_type=2))
_WEIGHTED = dict(target=dict(use_dataset_keypoint_weights=True))
_HANDS = dict(half_body=False, flip="after")
_HIDDEN = dict(half_body=False)

_PCK_AUC = [dict(type="PCKAccuracy", thr=0.1), dict(type="AUC")]
_COCO_IMAGES = ("detection/coco/train2017/", "detection/coco/val2017/")
#: recipes whose files lie below the folder `data/` -> the pictures
_BELOW_DATA: dict[str, str | tuple[str, str]] = {
    "crowdpose": "pose/CrowdPose/images/",
    "aic-coco": _COCO_IMAGES,
    "body8": _COCO_IMAGES,
    "body8-halpe26": _COCO_IMAGES,
    "face6": "pose/LaPa/",
    "hand5": _COCO_IMAGES,
    "cocktail14": _COCO_IMAGES,
}

_PINNED = {"train_dataloader.pin_memory": True}
#: the storage of those who trained the model
_PETREL = dict(backend="petrel", path_mapping={"data/": "s3://openmmlab/datasets/"})

_DIFFERENT: dict[str, Tree] = {
    "*": dict(scale=512),
    "*_8xb256-420e_* *-halpe26-* *_mpii-*": dict(scale=1024),
    "*_hand5-* *-wholebody-hand-*": dict(scale=256),
    "*_8xb256-420e_* *-halpe26-*": dict(val_batch=64),
    "rtmpose-[st]_*": dict(decay=0.0),
    "rtmpose-t_*": dict(ema=False),
    "rtmpose-t_*-wholebody-*": dict(ema=True),
    # one dataset
    "*_crowdpose-*": dict(lr=5e-4),
    "*-60e_* *_lapa-*": dict(final=10),
    "rtmpose-[st]_*-wholebody-*": dict(decay=0.05),
    "*-60e_*": dict(both=_HIDDEN),
    "*_mpii-*": dict(seed=None),
    "*_lapa-*": dict(
        batch=32,
        last_half_body=False,
        both=dict(half_body=True),
        first=_WIDE | dict(rotate_factor=80),
        first_colors=dict(blur=0.2, photometric=True),
    ),
    "*-hand-* *_hand5-*": dict(
        both=_HANDS, first=_WIDE | dict(rotate_factor=180), last=dict(rotate_factor=180)
    ),
    # mixtures
    "*_hand5-*": dict(final=10, last_colors=dict(blur=0.2)),
    "*_body8-[23]*": dict(final=20, first_colors=dict(photometric=True)),
    "rtmpose-[ml]_*_body8-[23]*": dict(first=_WIDE, last=_WIDE),
    "*_face6-*": dict(
        final=10,
        cosine=dict(half=30, floor=0.005),
        both=_WEIGHTED,
        first=_WIDE | dict(rotate_factor=80),
        first_colors=dict(blur=0.2),
        **CLIP,
    ),
    "*-m_*_face6-*": dict(last=_WIDE | dict(rotate_factor=80)),
    "*-halpe26-*": dict(
        both=_WEIGHTED,
        first=_WIDE,
        last=_WIDE,
        first_colors=dict(hsv=False, photometric=True),
        last_colors=dict(hsv=False),
        named=True,
        best=("AUC", "greater"),
        changes=_PINNED,
        **CLIP,
    ),
    "rtmpose-l_*-halpe26-256*": dict(workers=5),
    "rtmpose-m_*-halpe26-384*": dict(load=dict(backend_args=_PETREL), backend_args=_PETREL),
    "rtmpose-t_*-halpe26-*": dict(
        changes=_PINNED | {f"{part}_dataloader.pin_memory": True for part in ("val", "test")}
    ),
    "*-s_*_face6-*": dict(changes=_PINNED | {"val_dataloader.pin_memory": True}),
    "rtmpose-[st]_*-halpe26-*": dict(
        first={}, last=dict(scale_factor=[0.6, 1.4], rotate_factor=80)
    ),
    "rtmpose-m_*-halpe26-256*": dict(both={}),
    "rtmpose-x_*-halpe26-*": dict(final=20),
    "*-ubody-* rtmpose-x_*-wholebody-*": dict(first=_WIDE, last=_WIDE),
    "rtmpose-x_*-wholebody-*": dict(named=True, **CLIP),
    "rtmpose-x_*_coco-384*": dict(
        final=20,
        scale=1024,
        val_batch=64,
        first=_WIDE,
        last=_WIDE,
        first_colors=dict(hsv=False, photometric=True),
        named=True,
        **CLIP,
    ),
    "rtmw-*": dict(
        lr=5e-4,
        decay=0.1,
        final=10,
        scale=None,
        both=_WEIGHTED,
        first=_WIDE,
        last=_WIDE,
        first_colors=dict(p=0.5, hsv=False, photometric=True),
        last_colors=dict(p=None, hsv=False),
        workers=4,
        named=True,
        changes={"train_dataloader.pin_memory": False},
        **CLIP,
    ),
    "rtmw-m_*": dict(decay=0.05),
}


def recipe(stem: str, *, data: Binding | None = None, **changes: Any) -> Tree:
    """Config tree of a released RTMPose or RTMW model.

    Args:
        stem: name of the model.
        data: another dataset than the name says.
        changes: settings over those that the name implies.
    """
    name = parse(stem)
    settings = matching(_DIFFERENT, stem) | changes
    mixture = _MIXTURES.get(name.data)
    data = data or _validated(name.data)
    if name.method == "rtmpose-x" and name.data == "coco":
        # of MMPose's projects: with the boxes of the detector
        data = binding("coco")
    tree = _tree(name, data, **settings)
    return tree if mixture is None else mixture(tree)


#: data of the name -> the dataset that the model is measured with
_EVALUATED = {
    "aic-coco": "coco",
    "body8": "coco",
    "body8-halpe26": "coco-wholebody",
    "face6": "lapa",
    "hand5": "coco-wholebody-hand",
    "mpii": "mpii//",
    "coco-ubody-wholebody": "coco-wholebody",
    "cocktail14": "coco-wholebody",
}


def _validated(name: str) -> Binding:
    data = binding(_EVALUATED.get(name, name))
    if name in ("coco", "humanart", "aic-coco"):
        data = data.changed(boxes={})
    if name in _BELOW_DATA:
        data = data.below_data(_BELOW_DATA[name])
    if name == "face6":
        data = data.changed(val=data.test)
    elif name == "body8-halpe26":
        data = data.changed(schema="halpe26", metric=_PCK_AUC)
    return data.changed(varied={})


def _tree(
    name: Name,
    data: Binding,
    *,
    named: bool = False,
    batch: int | None = None,
    visible: bool | None = None,
    imagenet: bool = False,
    **settings: Any,
) -> Tree:
    scale = settings.pop("scale", None) or name.gpus * name.batch
    name = replace(name, batch=batch or name.batch)
    if visible is None:
        visible = name.method.startswith("rtmw") and name.size[1] == 384
    codec = codecs.simcc(
        name.size,
        tuple(_SIGMA[side] for side in name.size),
        normalize=False,
        use_dark=False,
        **(dict(decode_visibility=True) if visible else {}),
    )
    size = name.method.rpartition("-")[2]
    base = cspnext(size, weights=None if imagenet else _start(name, size))
    points = count(data.schema)
    parts: Tree = dict(backbone=base.cfg, head=_head(name, base.channels, points, codec))
    if name.method.startswith("rtmw"):
        parts["backbone"], parts["neck"] = wide_neck(base.cfg, _start(name, size))
    model = estimator(test_cfg=dict(flip_test=True), **parts)
    tree = two_stage(name, data, model, codec, scale=scale, **settings)
    if name.method == "rtmpose-x" and name.data in ("coco", "coco-wholebody"):
        tree = scoped(tree)
    if named:
        tree |= dict(
            num_keypoints=count(data.schema),
            input_size=name.size,
            train_batch_size=name.batch,
            val_batch_size=tree["val_dataloader"]["batch_size"],
        )
    return tree


def _start(name: Name, size: str) -> str | None:
    """Address of the weights that the backbone starts from; None for those of ImageNet."""
    shape = f"{name.size[1]}x{name.size[0]}"
    if name.method.startswith("rtmw"):
        if size == "x":
            return UBODY_X[shape]
        return weights_url(f"rtmpose-{size}_8xb64-270e_coco-ubody-wholebody-256x192")
    if name.data == "face6":
        return None
    if size == "x":
        return _CSPNEXT_X
    if name.data == "body8" or (name.data == "body8-halpe26" and size == "t"):
        return _PROJECT + _BODY7[f"{size} {shape}"]
    if name.data == "body8-halpe26":
        return weights_url(f"rtmpose-{size}_8xb256-420e_body8-{shape}")
    tag = {"t": "tiny"}.get(size, size)
    address = weights_url(f"cspnext-{tag}_udp_8xb256-210e_aic-coco-256x192") or ""
    # an older folder with the same files
    old = name.data in ("humanart", "hand5", "coco-ubody-wholebody")
    return address.replace("rtmposev1", "rtmpose") if old else address


def _head(name: Name, channels: int, points: int, codec: Tree) -> Tree:
    whole = name.method.startswith("rtmw")
    # faces count half in RTMW, where many of their points are not annotated by hand
    faces = dict(label_beta=10.0, mask=list(range(23, 91)), mask_weight=0.5) if whole else {}
    return dict(
        type="RTMWHead" if whole else "RTMCCHead",
        in_channels=channels,
        out_channels=points,
        input_size=name.size,
        in_featuremap_size=codecs.feature_size(name.size, 32),
        simcc_split_ratio=codec["simcc_split_ratio"],
        final_layer_kernel_size=7,
        gau_cfg=attention_unit(),
        loss=loss("KLDiscretLoss", beta=1.0 if whole else 10.0, label_softmax=True, **faces),
        decoder=codec,
    )


def wide_neck(base: Tree, weights: str | None) -> tuple[Tree, Tree]:
    """RTMW's backbone and neck: the last three stages, joined by a feature pyramid."""
    cut = ("_scope_", "out_indices", "init_cfg", "norm_cfg")
    backbone = {key: value for key, value in base.items() if key not in cut}
    backbone |= dict(norm_cfg=dict(type="BN"), init_cfg=pretrained(weights, "backbone."))
    last = int(1024 * base["widen_factor"])
    neck = dict(
        type="CSPNeXtPAFPN",
        in_channels=[last // 4, last // 2, last],
        out_channels=None,
        out_indices=(1, 2),
        num_csp_blocks=2,
        expand_ratio=0.5,
        norm_cfg=dict(type="SyncBN"),
        act_cfg=dict(type="SiLU", inplace=True),
    )
    return backbone, neck


def _with_ubody(tree: Tree) -> Tree:
    root = dict(data_root="data/UBody/", data_mode="topdown")
    val = mixtures.whole_body_val(tree["val_pipeline"], "coco/val2017/", **root)
    sizes = dict(
        train_batch_size=tree["train_dataloader"]["batch_size"],
        val_batch_size=tree["val_dataloader"]["batch_size"],
    )
    return mixtures.validated_on(mixtures.with_ubody(tree), val) | sizes


_MIXTURES: dict[str, Callable[[Tree], Tree]] = {
    "aic-coco": lambda tree: mixtures.coco_with_aic(tree, target="coco", repeat=True),
    "body8": blends.body8,
    "body8-halpe26": blends.halpe26,
    "face6": blends.face6,
    "hand5": blends.hand5,
    "coco-ubody-wholebody": _with_ubody,
    "cocktail14": blends.cocktail14,
}
