"""NanoDet-g (RangiLyu, 2021), the detector inside the package: fitted to one's own things.

It starts from the weights inside the package and sees whole pictures: some dozens of them and
minutes on a CPU are enough.
"""

from __future__ import annotations

from poise.zoo.parts import detection
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import averaging
from poise.zoo.parts.schedules import cosine, flat_cosine_adamw

__all__ = ["recipe"]

_SIDE, _BATCH, _EPOCHS, _RATE = 416, 32, 40, 0.0005
#: the level of what lies beside the picture, which the embedded weights are used to
_PAD: Tree = dict(type="Pad", size=(_SIDE, _SIDE), pad_val=dict(img=(0, 0, 0)))


def recipe(stem: str) -> Tree:
    """Config tree of the detector inside the package; `stem` is its name."""
    square = (_SIDE, _SIDE)
    train = [
        *detection.load({}),
        dict(type="RandomResize", scale=square, ratio_range=(0.6, 1.6), keep_ratio=True),
        dict(type="RandomCrop", crop_size=square),
        *detection.finish(_PAD),
        dict(type="PackDetInputs"),
    ]
    val = detection.loader("val", detection.coco("val", detection.fitted(_SIDE, _PAD, {})), 8, 2)
    metric = detection.evaluator()
    curve = cosine(_EPOCHS, _RATE)
    curve[0] |= dict(start_factor=0.01, end=100)
    tree = detection.runtime(_BATCH)
    return tree | dict(
        model=dict(type="poise.NanoDet", num_classes=80),
        train_dataloader=detection.loader("train", detection.coco("train", train), _BATCH, 2),
        **validated(val, metric),
        max_epochs=_EPOCHS,
        train_cfg=tree["train_cfg"] | dict(max_epochs=_EPOCHS),
        optim_wrapper=flat_cosine_adamw(_RATE),
        param_scheduler=curve,
        custom_hooks=[averaging()],
    )
