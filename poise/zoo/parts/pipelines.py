"""Data pipelines and loaders of top-down recipes."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree, words

__all__ = [
    "META_KEYS",
    "affine",
    "dropout",
    "load_image",
    "eval_loader",
    "topdown_test",
    "topdown_train",
    "train_loader",
    "validated",
]

Size = tuple[int, int]

#: what is kept about a picture in bottom-up evaluation
META_KEYS = tuple(
    words(
        "id img_id img_path crowd_index ori_shape img_shape input_size input_center input_scale "
        "flip flip_direction flip_indices raw_ann_info skeleton_links"
    )
)


def load_image(options: Tree | None) -> Tree:
    """Reading of a picture; `options` names where files lie."""
    return dict(type="LoadImage") | (options or {})


def affine(size: Size, *, udp: bool, cubic: bool = False) -> Tree:
    """Cutting a box out of a picture, to input space."""
    cut: Tree = dict(type="TopdownAffine", input_size=size)
    options = dict(use_udp=udp, cubic=cubic)
    return cut | {name: True for name, wanted in options.items() if wanted}


def _centre(padding: float | None) -> Tree:
    box: Tree = dict(type="GetBBoxCenterScale")
    return box if padding is None else box | dict(padding=padding)


def dropout(
    p: float | None, *, blur: float = 0.1, hsv: bool = True, photometric: bool = False
) -> list[Tree]:
    """Changes of colour, blur and a hole in the cut picture.

    Args:
        p: probability of the hole; None for no hole.
        blur: probability of each kind of blur.
        hsv: change hue, saturation and value.
        photometric: change brightness and contrast, too.
    """
    # the sides are shares of the picture's
    shares = {"max": 0.4, "min": 0.2}
    hole: Tree = dict(type="CoarseDropout", p=p)
    for limit, share in shares.items():
        hole |= {f"{limit}_holes": 1, f"{limit}_height": share, f"{limit}_width": share}
    blurs = [dict(type=kind, p=blur) for kind in ("Blur", "MedianBlur")]
    return [
        *([dict(type="mmdet.YOLOXHSVRandomAug")] if hsv else ()),
        *([dict(type="PhotometricDistortion")] if photometric else ()),
        dict(type="Albumentation", transforms=blurs if p is None else [*blurs, hole]),
    ]


def topdown_train(
    size: Size,
    encoder: Tree | list[Tree],
    *,
    half_body: bool = True,
    box: Tree | None = None,
    flip: str = "before",
    extra: list[Tree] | None = None,
    udp: bool = False,
    cubic: bool = False,
    padding: float | None = None,
    load: Tree | None = None,
    target: Tree | None = None,
) -> list[Tree]:
    """Pipeline from an annotated person to input and target.

    Args:
        size: input width and height in pixels.
        encoder: codec, or the codecs of several levels.
        half_body: now and then keep the upper or the lower half only.
        box: settings of the random move, scale and turn of the box.
        flip: "before" or "after" the random box, or "none".
        extra: transforms of the cut picture.
        udp: distances between pixel centres, as UDP has them.
        cubic: cubic interpolation where a box is enlarged.
        padding: room around the box.
        load: settings of the first transform.
        target: settings of the last but one, before the encoder.
    """
    mirror = [dict(type="RandomFlip", direction="horizontal")]
    return [
        load_image(load),
        _centre(padding),
        *(mirror if flip == "before" else ()),
        *([dict(type="RandomHalfBody")] if half_body else ()),
        dict(type="RandomBBoxTransform") | (box or {}),
        *(mirror if flip == "after" else ()),
        affine(size, udp=udp, cubic=cubic),
        *(extra or ()),
        dict(type="GenerateTarget") | (target or {}) | dict(encoder=encoder),
        dict(type="PackPoseInputs"),
    ]


def topdown_test(
    size: Size,
    *,
    udp: bool = False,
    cubic: bool = False,
    padding: float | None = None,
    load: Tree | None = None,
) -> list[Tree]:
    """Pipeline from a person's box to the input."""
    return [
        load_image(load),
        _centre(padding),
        affine(size, udp=udp, cubic=cubic),
        dict(type="PackPoseInputs"),
    ]


def validated(loader: Tree, evaluator: Tree | list[Tree]) -> Tree:
    """Top-level keys of validation and of a test that is the same."""
    return dict(
        val_dataloader=loader,
        test_dataloader=loader,
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )


def train_loader(dataset: Tree, batch: int, workers: int = 2, **more: Any) -> Tree:
    """Loader that shuffles."""
    return (
        dict(batch_size=batch, num_workers=workers, persistent_workers=True)
        | more
        | dict(sampler=dict(type="DefaultSampler", shuffle=True), dataset=dataset)
    )


def eval_loader(dataset: Tree, batch: int = 32, workers: int = 2, **more: Any) -> Tree:
    """Loader that goes through the data once, in order."""
    return (
        dict(batch_size=batch, num_workers=workers, persistent_workers=True, drop_last=False)
        | more
        | dict(sampler=dict(type="DefaultSampler", shuffle=False, round_up=False), dataset=dataset)
    )
