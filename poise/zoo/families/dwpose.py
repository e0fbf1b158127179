"""DWPose (Yang 2023): whole-body RTMPose models that learn from larger ones and themselves."""

from __future__ import annotations

from typing import Any

from poise.zoo.families import rtmpose
from poise.zoo.index import WEIGHTS_BASE, find_model
from poise.zoo.name import matched
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import cspnext
from poise.zoo.parts.topdown import PREPROCESSOR

__all__ = ["recipe"]

_PROJECTS = f"{WEIGHTS_BASE}v1/projects/"
#: teachers of the first stage: (size, data, height) -> weights
_TEACHERS = {
    ("l", "coco", "256"): (
        "rtmpose/rtmpose-l_simcc-coco-wholebody_pt-aic-coco_270e-256x192-6f206314_20230124.pth"
    ),
    ("x", "coco", "384"): (
        "rtmposev1/rtmpose-x_simcc-coco-wholebody_pt-body7_270e-384x288-401dfc90_20230629.pth"
    ),
    ("l", "coco-ubody", "256"): "rtmposev1/rtmpose-l_ucoco_256x192-95bb32f5_20230822.pth",
    ("x", "coco-ubody", "256"): "rtmposev1/rtmpose-x_ucoco_256x192-05f5bcb7_20230822.pth",
    ("x", "coco-ubody", "384"): "rtmposev1/rtmpose-x_ucoco_384x288-f5b50679_20230822.pth",
}
#: the teacher of a model that teaches itself
_LARGER = {"t": "l", "s": "l", "m": "l", "l": "x"}
_SECOND_EPOCHS = 60


def recipe(stem: str) -> Tree:
    """Config tree of a DWPose training, such as "dwpose_l_dis_m_..." or "dwpose_m-mm_..."."""
    pattern = r"(?:dwpose|rtmpose)_(\w)(?:_dis_(\w)|-(\w)\3)_(coco(?:-ubody)?)-(\d+)x\d+"
    teacher, student, _, data, height = matched(pattern, stem).groups()
    if student is None:
        return _second(teacher, data, height)
    return _first(teacher, student, data, height)


def _model_name(size: str, data: str, height: str) -> str:
    batch, width = ("32", "288") if height == "384" else ("64", "192")
    return f"rtmpose-{size}_8xb{batch}-270e_{data}-wholebody-{height}x{width}"


def _path(name: str) -> str:
    model = find_model(name)
    return name if model is None or model.config is None else model.config


def _distiller(student: str, teacher: str, weights: str, **more: Any) -> Tree:
    return dict(
        type="DWPoseDistiller",
        teacher_pretrained=weights,
        teacher_cfg=_path(teacher),
        student_cfg=_path(student),
        data_preprocessor=PREPROCESSOR,
        **more,
    )


def _logits(weight: float) -> Tree:
    return dict(methods=[dict(type="KDLoss", name="loss_logit", use_this=True, weight=weight)])


def _tree(student: str, model: Tree, **more: Any) -> Tree:
    tree = rtmpose.recipe(student)
    clip = dict(clip_grad=dict(max_norm=1.0, norm_type=2))
    return tree | dict(model=model, optim_wrapper=tree["optim_wrapper"] | clip, logit=True) | more


def _first(teacher: str, student: str, data: str, height: str) -> Tree:
    """The student learns features and answers of a larger teacher."""
    features = dict(
        type="FeaLoss",
        name="loss_fea",
        use_this=True,
        student_channels=cspnext(student).channels,
        teacher_channels=cspnext(teacher).channels,
        alpha_fea=7e-05,
    )
    name = _model_name(student, data, height)
    model = _distiller(
        name,
        _model_name(teacher, data, height),
        _PROJECTS + _TEACHERS[teacher, data, height],
        distill_cfg=[dict(methods=[features]), _logits(0.1)],
    )
    return _tree(name, model, fea=True, find_unused_parameters=False)


def _second(size: str, data: str, height: str) -> Tree:
    """The student learns its own answers once more, with the head alone."""
    name = _model_name(size, data, height)
    larger = _LARGER[size]
    width = "288" if height == "384" else "192"
    short = data.replace("coco-ubody", "ucoco")
    run = f"dwpose_{larger}_dis_{size}_{data}-{height}x{width}"
    training = dict(max_epochs=_SECOND_EPOCHS, val_interval=10)
    model = _distiller(
        name,
        name,
        f"work_dirs/{run}/dw-{larger}-{size}_{short}_{height}.pth",
        two_dis=True,
        distill_cfg=[_logits(1)],
        train_cfg=training,
    )
    loop = dict(by_epoch=True) | training
    return _tree(name, model, second_dis=True, find_unused_parameters=True, train_cfg=loop)
