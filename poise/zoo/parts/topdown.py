"""The frame that all top-down recipes share: data, loaders, evaluators, schedule around a model."""

from __future__ import annotations

from typing import Any

from poise.zoo.name import Name
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree, assembled, replaced
from poise.zoo.parts.datasets import Binding
from poise.zoo.parts.pipelines import eval_loader, topdown_test, topdown_train, train_loader
from poise.zoo.parts.runtime import best_key, runtime

__all__ = ["PREPROCESSOR", "estimator", "flip_test", "frame"]

#: ImageNet's mean and standard deviation, in the order of RGB
PREPROCESSOR: Tree = dict(
    type="PoseDataPreprocessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)


def estimator(backbone: Tree, head: Tree, test_cfg: Tree, **more: Any) -> Tree:
    """Top-down model."""
    return dict(
        type="TopdownPoseEstimator",
        data_preprocessor=PREPROCESSOR,
        backbone=backbone,
        head=head,
        test_cfg=test_cfg,
        **more,
    )


def flip_test(*, shift: bool) -> Tree:
    """Mean of the maps of picture and mirrored picture; rounded codecs need a shift by a pixel."""
    return dict(flip_test=True, flip_mode="heatmap", shift_heatmap=shift)


def frame(
    name: Name,
    data: Binding,
    model: Tree,
    codec: Tree | list[Tree],
    *,
    varied: Tree | None = None,
    seen: Tree | None = None,
    test_name: str = "val_pipeline",
    optimizer: Tree | None = None,
    scheduler: list[Tree] | None = None,
    interval: int | None = None,
    scale: int | None = None,
    workers: int = 2,
    val_workers: int | None = None,
    val_batch: int = 32,
    metric: Tree | None = None,
    best: tuple[str, str] | None = None,
    log_interval: int = 50,
    max_keep: int | None = None,
    changes: Tree | None = None,
    **more: Any,
) -> Tree:
    """Config tree of a top-down model on one dataset.

    Args:
        name: parts of the model's name: batch, epochs and size come from it.
        data: the dataset.
        model: config of the model.
        codec: the codec, or codecs.
        varied: settings of the training pipeline on top of the dataset's.
        seen: settings of the test pipeline.
        test_name: key that holds the test pipeline; two names hold it twice.
        optimizer: `optim_wrapper`, if not Adam.
        scheduler: `param_scheduler`, if not the steps that go with the length.
        interval: epochs between validations.
        scale: batch over all devices that the learning rate is meant for.
        workers: of each loader.
        val_workers: of the loaders of validation and test, if not as many.
        val_batch: samples in a batch of validation.
        metric: further settings of the metric.
        best: figure and rule that decide which checkpoint is kept, if not the usual ones.
        log_interval: iterations between log lines.
        max_keep: number of checkpoints that are kept.
        changes: dotted keys and other values for them.
        more: further top-level keys.
    """
    seen = seen or {}
    train = topdown_train(name.size, codec, **data.varied | (varied or {}))
    test = topdown_test(
        name.size, **{key: data.varied[key] for key in ("padding",) if key in data.varied} | seen
    )
    evaluators = [data.evaluator(part, **(metric or {})) for part in ("val", "test")]
    every = interval or (10 if name.epochs >= 140 else 1)
    tree = runtime(
        best=best or best_key(evaluators[0]),
        interval=every,
        log_interval=log_interval,
        max_keep=max_keep,
    )
    calm = (val_batch, val_workers or workers)
    tree = assembled(
        tree,
        (data.type, "topdown", data.root),
        epochs=name.epochs,
        every=every,
        scale=scale or name.gpus * name.batch,
        optimizer=optimizer or schedules.adam(),
        curve=scheduler or schedules.steps(name.epochs),
        codec=codec,
        model=model,
        pipelines=dict(train_pipeline=train) | dict.fromkeys(test_name.split(), test),
        loaders=(
            train_loader(data.dataset("train", train), name.batch, workers),
            eval_loader(data.dataset("val", test), *calm),
            eval_loader(data.dataset("test", test), *calm),
        ),
        evaluators=(evaluators[0], evaluators[1]),
    )
    return replaced(tree | more, changes or {})
