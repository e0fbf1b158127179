"""Models that give coordinates: regression, RLE, integral regression, SimCC."""

from __future__ import annotations

from typing import Any

from poise.zoo.index import WEIGHTS_BASE
from poise.zoo.name import Name, parse
from poise.zoo.parts import codecs, schedules
from poise.zoo.parts.assembly import Tree, matching
from poise.zoo.parts.backbones import POSE_WEIGHTS, Backbone, backbone, pretrained
from poise.zoo.parts.datasets import Binding, binding, count
from poise.zoo.parts.heads import loss
from poise.zoo.parts.topdown import estimator, frame

__all__ = ["recipe"]

#: heatmap models whose backbones or whole weights are taken over
_COCO_RES50 = f"{POSE_WEIGHTS}td-hm_res50_8xb64-210e_coco-256x192.pth"
_COCO_MOBILE = f"{WEIGHTS_BASE}top_down/mobilenetv2/mobilenetv2_coco_256x192-d1e58e7b_20200727.pth"
#: how the released file reads pictures; the setting has no effect any more
_DISK = dict(file_client_args=dict(backend="disk"))


def _open_ended(curve: list[Tree]) -> list[Tree]:
    """The curve without the epochs between which its steps count."""
    warmup, fall = curve
    return [warmup, {key: value for key, value in fall.items() if key not in ("begin", "end")}]


_DIFFERENT: dict[str, Tree] = {
    "td-reg_*_rle*_coco-*": dict(metric=dict(score_mode="bbox_rle")),
    "td-reg_res50_rle*_coco-* td-reg_mobilenetv2_*": dict(optimizer=schedules.adam(1e-3)),
    "td-reg_mobilenetv2_*": dict(start=_COCO_MOBILE),
    "td-reg_res50_rle-pretrained-*": dict(start=_COCO_RES50, test_name="test_pipeline"),
    "td-reg_*_wflw-*": dict(box=dict(scale_factor=(0.75, 1.25), rotate_factor=60), interval=10),
    "td-reg_res152_8xb64-*_mpii-*": dict(load=_DISK, **_DISK),
    "ipr_*": dict(test_name="test_pipeline"),
    "simcc_res50_8xb*": dict(optimizer=schedules.adam(1e-3), test_name="test_pipeline"),
    "simcc_res50_8xb64-*": dict(scheduler=_open_ended(schedules.steps(210))),
    "simcc_res50_8xb32-*": dict(scale=512),
}


def recipe(stem: str) -> Tree:
    """Config tree of a released model that gives coordinates."""
    name = parse(stem)
    data = binding({"mpii": "mpii//"}.get(name.data, name.data))
    return _tree(name, data, **matching(_DIFFERENT, stem))


def _tree(
    name: Name,
    data: Binding,
    *,
    start: str | None = None,
    box: Tree | None = None,
    load: Tree | None = None,
    **settings: Any,
) -> Tree:
    base = backbone(name.network)
    if start is not None:
        base = base.started_from(start, prefix="backbone.")
    codec, model = _MODELS[name.method](name, base, data)
    varied: Tree = {} if box is None else dict(box=box)
    seen: Tree = {}
    if load is not None:
        varied["load"] = seen["load"] = load
    return frame(name, data, model, codec, varied=varied, seen=seen, **settings)


def _regression(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """One vector of coordinates from the mean of the map (Toshev 2014; RLE: Li 2021)."""
    codec = codecs.regression(name.size)
    rle = name.variant.startswith("rle")
    kinds = {"wingloss": "WingLoss", "softwingloss": "SoftWingLoss"}
    head = dict(
        type="RLEHead" if rle else "RegressionHead",
        in_channels=base.channels,
        num_joints=count(data.schema),
        loss=loss("RLELoss" if rle else kinds.get(name.variant, "SmoothL1Loss")),
        decoder=codec,
    )
    test: Tree = dict(flip_test=True, shift_coords=True)
    more: Tree = dict(neck=dict(type="GlobalAveragePooling"))
    if data.schema == "wflw":
        more["train_cfg"] = {}
    elif data.schema in ("onehand10k", "rhd2d"):
        test = dict(flip_test=True, flip_mode="heatmap", shift_heatmap=True)
    return codec, estimator(base.cfg, head, test, **more)


def _integral(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """Coordinates as the mean of a heatmap (Sun 2018; DSNT: Nibali 2018; debiased: Gu 2021)."""
    codec = codecs.integral(name.size)
    second = "JSDiscretLoss" if name.variant else "KeypointMSELoss"
    head: Tree = dict(
        type="DSNTHead",
        in_channels=base.channels,
        in_featuremap_size=codecs.feature_size(name.size, base.stride),
        num_joints=count(data.schema),
    )
    if name.variant == "debias":
        head |= dict(debias=True, beta=10.0)
    head |= dict(
        loss=dict(type="MultipleLossWrapper", losses=[loss("SmoothL1Loss"), loss(second)]),
        decoder=codec,
    )
    test = dict(flip_test=True, shift_coords=True, shift_heatmap=True)
    start = pretrained(_COCO_RES50)
    return codec, estimator(base.started_from(None).cfg, head, test, init_cfg=start)


def _simcc(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """Coordinates as classes: a distribution over x and one over y (Li 2022)."""
    codec = codecs.simcc(name.size)
    head: Tree = dict(
        type="SimCCHead",
        in_channels=base.channels,
        out_channels=count(data.schema),
        input_size=name.size,
        in_featuremap_size=codecs.feature_size(name.size, base.stride),
        simcc_split_ratio=codec["simcc_split_ratio"],
    )
    if name.variant == "wo-deconv":
        head["deconv_out_channels"] = None
    elif name.network == "vipnas-mbv3":
        widths = (base.channels,) * 3
        head |= dict(deconv_type="vipnas", deconv_out_channels=widths, deconv_num_groups=widths)
    head |= dict(loss=loss("KLDiscretLoss"), decoder=codec)
    shift = dict(shift_coords=True) if data.schema == "mpii" else {}
    return codec, estimator(base.cfg, head, dict(flip_test=True) | shift)


_MODELS = {"td-reg": _regression, "ipr": _integral, "simcc": _simcc}
