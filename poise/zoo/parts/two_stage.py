"""Training in two stages, as RTMPose and CSPNeXt do it: strong variation, then mild at the end."""

from __future__ import annotations

from typing import Any

from poise.zoo.name import Name
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import Binding
from poise.zoo.parts.pipelines import dropout, topdown_train
from poise.zoo.parts.runtime import HABITS, smoothing_hooks
from poise.zoo.parts.topdown import frame

__all__ = ["LOAD", "two_stage"]

#: pictures come from the backend that the config names
LOAD: Tree = dict(backend_args=HABITS["backend_args"])


def two_stage(
    name: Name,
    data: Binding,
    model: Tree,
    codec: Tree,
    *,
    final: int = 30,
    lr: float = 4e-3,
    decay: float = 0.05,
    clip: Tree | None = None,
    cosine: Tree | None = None,
    ema: bool = True,
    first: Tree | None = None,
    last: Tree | None = None,
    both: Tree | None = None,
    first_colors: Tree | None = None,
    last_colors: Tree | None = None,
    last_half_body: bool | None = None,
    load: Tree | None = LOAD,
    seed: int | None = 21,
    **settings: Any,
) -> Tree:
    """Config tree of a top-down model that is trained in two stages.

    Args:
        name: parts of the model's name.
        data: the dataset.
        model: config of the model.
        codec: config of the codec.
        final: number of epochs of the second stage.
        lr: learning rate of the flat half.
        decay: weight decay.
        clip: `clip_grad`.
        cosine: settings of the learning-rate curve.
        ema: average the weights.
        first: random box of the first stage.
        last: random box of the second stage.
        both: settings of both training pipelines.
        first_colors: settings of the colour changes of the first stage.
        last_colors: settings of the colour changes of the second stage.
        last_half_body: keep half bodies in the second stage, too, if not as in the first.
        load: settings of `LoadImage`.
        seed: of all random draws.
        settings: for `frame`.
    """
    wide = dict(scale_factor=[0.6, 1.4], rotate_factor=80) | (first or {})
    narrow = dict(shift_factor=0.0, scale_factor=[0.75, 1.25], rotate_factor=60) | (last or {})
    common: Tree = dict(half_body=True, load=load) | (both or {})
    colors: Tree = dict(p=1.0) | (first_colors or {})
    late_colors: Tree = dict(p=0.5) | (last_colors or {})
    seen: Tree = {key: common[key] for key in ("load", "udp") if key in common}
    tree = frame(
        name,
        data,
        model,
        codec,
        varied=common | dict(box=wide, extra=dropout(**colors)),
        seen=seen,
        optimizer=schedules.flat_cosine_adamw(lr, decay, clip),
        scheduler=schedules.cosine(name.epochs, lr, **(cosine or {})),
        **dict(scale=1024, workers=10, max_keep=1) | settings,
    )
    later: Tree = dict(box=narrow, extra=dropout(**late_colors))
    if last_half_body is not None:
        later["half_body"] = last_half_body
    second = topdown_train(name.size, codec, **data.varied | common | later)
    tree |= dict(
        max_epochs=name.epochs,
        stage2_num_epochs=final,
        base_lr=lr,
        train_pipeline_stage2=second,
        custom_hooks=smoothing_hooks(name.epochs - final, second, ema=ema),
    )
    return tree if seed is None else tree | dict(randomness=dict(seed=seed))
