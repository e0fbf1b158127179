"""CSPNeXt heatmap models with UDP codecs: RTMDet's backbone, which RTMPose starts from."""

from __future__ import annotations

from typing import Any

from poise.zoo.name import Name, parse
from poise.zoo.parts import codecs
from poise.zoo.parts.assembly import Tree, matching
from poise.zoo.parts.backbones import backbone
from poise.zoo.parts.datasets import binding, count
from poise.zoo.parts.heads import heatmap_head
from poise.zoo.parts.mixtures import coco_with_aic
from poise.zoo.parts.topdown import estimator, flip_test
from poise.zoo.parts.two_stage import two_stage

__all__ = ["recipe"]

#: what is spelt otherwise in the names of models
_DATA = {"aic-coco": "coco", "crowpose": "crowdpose", "mpii": "mpii//"}

_DIFFERENT: dict[str, Tree] = {
    "cspnext-*_8xb256-*": dict(val_batch=64),
    "cspnext-*_aic-coco-* cspnext-*_coco-256* *_ap10k-*": dict(both=dict(udp=True)),
    "cspnext-[st]*_aic-coco-*": dict(decay=0.0),
    "cspnext-tiny*": dict(ema=False),
    "*_mpii-*": dict(seed=None),
    "*_ap10k-*": dict(load=None),
    "*-wholebody-* *_crowpose-*": dict(scale=512, both={}),
    "*_crowpose-*": dict(val_workers=2),
    "*-wholebody-* *_mpii-*": dict(flip=False),
}


def recipe(stem: str) -> Tree:
    """Config tree of a released CSPNeXt model."""
    name = parse(stem)
    return _tree(name, **matching(_DIFFERENT, stem))


def _tree(name: Name, *, flip: bool = True, **settings: Any) -> Tree:
    mixed = name.data == "aic-coco"
    data = binding(_DATA.get(name.data, name.data))
    if name.data == "crowpose":
        data = data.below_data("pose/CrowdPose/images/")
    elif data.schema.startswith("coco"):
        data = data.changed(boxes={})
    if mixed:
        data = data.below_data(("detection/coco/train2017/", "detection/coco/val2017/"))
    base = backbone(name.method)
    codec = codecs.udp(name.size)
    points = count("coco_aic" if mixed else data.schema)
    test = dict(flip_test(shift=False), flip_test=flip)
    if mixed:
        test = dict(flip_test=False, output_keypoint_indices=list(range(count("coco"))))
    model = estimator(base.cfg, heatmap_head(base, points, codec), test)
    tree = two_stage(name, data.changed(varied={}), model, codec, **settings)
    return coco_with_aic(tree, repeat=True) if mixed else tree
