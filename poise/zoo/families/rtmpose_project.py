"""RTMPose as MMPose's `projects/rtmpose` has it: the same models, other settings of training.

Most of these files have the name of one in `configs/`; such a one is found by its path.
"""

from __future__ import annotations

from poise.zoo.families import rtmpose, topdown_heatmap
from poise.zoo.name import parse
from poise.zoo.parts.assembly import Tree, matching, replaced
from poise.zoo.parts.datasets import binding
from poise.zoo.parts.runtime import scoped

__all__ = ["recipe"]

_DIFFERENT: dict[str, Tree] = {
    "*": dict(named=True, **rtmpose.CLIP),
    "rtmw-*-384*": dict(visible=False),
    "*_lapa-*": dict(
        imagenet=True,
        batch=None,
        val_workers=4,
        max_keep=3,
        cosine=dict(half=30, floor=0.005),
        first_colors=dict(blur=0.2),
        last_half_body=None,
    ),
    "rtmpose-m_*_lapa-*": dict(last=dict(scale_factor=[0.5, 1.5], rotate_factor=80)),
}


def recipe(stem: str) -> Tree:
    """Config tree of a file of the project."""
    if stem.startswith("cspnext-"):
        tree = topdown_heatmap.recipe(stem)
        return scoped(replaced(tree, {"model.test_cfg.flip_test": False}))
    settings = matching(_DIFFERENT, stem)
    if parse(stem).data == "lapa":
        faces = binding("lapa")
        faces = faces.changed(train="annotations/lapa_trainval.json", val=faces.test)
        settings["data"] = faces.changed(root="data/", images="LaPa/", varied={})
    return scoped(rtmpose.recipe(stem, **settings))
