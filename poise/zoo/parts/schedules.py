"""Learning-rate curves and optimizers."""

from __future__ import annotations

from poise.zoo.parts.assembly import Tree

__all__ = [
    "LAYER_DECAY_IMPORTS",
    "adam",
    "adamw",
    "cosine",
    "flat_cosine_adamw",
    "layer_decay_adamw",
    "steps",
]

#: epochs -> where the rate falls to a tenth
_MILESTONES = {
    20: [10, 15],
    40: [20, 30],
    50: [40, 55],
    60: [40, 55],
    100: [50, 70],
    120: [80, 100],
    140: [90, 120],
    210: [170, 200],
    300: [170, 200],
}


#: `custom_imports` that goes with `layer_decay_adamw`
LAYER_DECAY_IMPORTS: Tree = dict(
    imports=["mmpose.engine.optim_wrappers.layer_decay_optim_wrapper"], allow_failed_imports=False
)


def steps(epochs: int, milestones: list[int] | None = None, end: int | None = None) -> list[Tree]:
    """500 iterations of warm-up, then a tenth at each milestone.

    Args:
        epochs: length of training, which decides the milestones.
        milestones: epochs where the rate falls, instead of the usual ones.
        end: last epoch of the curve, where a file gives another than the length.
    """
    return [
        dict(type="LinearLR", begin=0, end=500, start_factor=0.001, by_epoch=False),
        dict(
            type="MultiStepLR",
            begin=0,
            end=end or epochs,
            milestones=milestones or _MILESTONES[epochs],
            gamma=0.1,
            by_epoch=True,
        ),
    ]


def cosine(epochs: int, lr: float, *, half: int | None = None, floor: float = 0.05) -> list[Tree]:
    """1000 iterations of warm-up, a flat half, then a cosine to `floor` times the rate.

    Args:
        epochs: length of training.
        lr: the rate of the flat half.
        half: epoch where the cosine begins; None for the middle.
        floor: share of the rate that is left at the end.
    """
    begin = epochs // 2 if half is None else half
    return [
        dict(type="LinearLR", start_factor=1e-05, by_epoch=False, begin=0, end=1000),
        dict(
            type="CosineAnnealingLR",
            eta_min=lr * floor,
            begin=begin,
            end=epochs,
            T_max=epochs - begin,
            by_epoch=True,
            convert_to_iter_based=True,
        ),
    ]


def adam(lr: float = 5e-4) -> Tree:
    """Adam without weight decay."""
    return dict(optimizer=dict(type="Adam", lr=lr))


def adamw(*, decay: float = 0.01, custom_keys: str) -> Tree:
    """AdamW of transformers, without decay for the parameters named in `custom_keys`."""
    keys = {key: dict(decay_mult=0.0) for key in custom_keys.split()}
    return dict(
        optimizer=dict(type="AdamW", lr=5e-4, betas=(0.9, 0.999), weight_decay=decay),
        paramwise_cfg=dict(custom_keys=keys),
    )


def flat_cosine_adamw(lr: float, decay: float = 0.05, clip: Tree | None = None) -> Tree:
    """AdamW without decay of biases and normalisations, which goes with `cosine`."""
    wrapper: Tree = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=lr))
    wrapper["optimizer"]["weight_decay"] = decay
    if clip is not None:
        wrapper["clip_grad"] = clip
    wrapper["paramwise_cfg"] = dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True)
    return wrapper


def layer_decay_adamw(layers: int, rate: float) -> Tree:
    """AdamW of ViTPose: each layer learns `rate` times as fast as the one after it."""
    free = adamw(custom_keys="pos_embed relative_position_bias_table norm", decay=0.1)
    # the key is spelled so in the released recipes, and has no effect
    keys = dict(bias=dict(decay_multi=0.0)) | free["paramwise_cfg"]["custom_keys"]
    return dict(
        optimizer=free["optimizer"],
        paramwise_cfg=dict(num_layers=layers, layer_decay_rate=rate, custom_keys=keys),
        constructor="LayerDecayOptimWrapperConstructor",
        clip_grad=dict(max_norm=1.0, norm_type=2),
    )
