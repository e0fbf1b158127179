"""Putting the top level of a config together, in the order in which people read it."""

from __future__ import annotations

from typing import Any

__all__ = ["Source", "Tree", "assembled", "words"]

#: a config, or a part of one
Tree = dict[str, Any]

#: (dataset_type, data_mode, data_root)
Source = tuple[str, str, str]


def words(text: str) -> list[str]:
    """The words of a text, for lists of names."""
    return text.split()


def assembled(
    base: Tree,
    source: Source,
    *,
    epochs: int,
    every: int,
    scale: int,
    optimizer: Tree,
    curve: list[Tree],
    codec: Tree | list[Tree],
    model: Tree,
    pipelines: Tree,
    loaders: tuple[Tree, Tree, Tree],
    evaluators: tuple[Any, Any],
) -> Tree:
    """Config tree.

    Args:
        base: the runtime.
        source: type, mode and root of the datasets.
        epochs: length of training.
        every: epochs between validations.
        scale: batch over all devices that the learning rate is meant for.
        optimizer: `optim_wrapper`.
        curve: `param_scheduler`.
        codec: the codec, or codecs.
        model: config of the model.
        pipelines: top-level names of pipelines.
        loaders: of training, validation and test.
        evaluators: of validation and test.
    """
    kind, mode, root = source
    names = ("train_dataloader", "val_dataloader", "test_dataloader")
    return base | dict(
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=every),
        optim_wrapper=optimizer,
        param_scheduler=curve,
        auto_scale_lr=dict(base_batch_size=scale),
        codec=codec,
        model=model,
        dataset_type=kind,
        data_mode=mode,
        data_root=root,
        **pipelines,
        **dict(zip(names, loaders, strict=True)),
        val_evaluator=evaluators[0],
        test_evaluator=evaluators[1],
    )
