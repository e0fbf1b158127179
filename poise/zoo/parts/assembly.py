"""Putting config trees together: the top level, what names imply, other values at dotted keys."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

__all__ = ["ABSENT", "Source", "Tree", "assembled", "matching", "replaced", "words"]

#: a config, or a part of one
Tree = dict[str, Any]

#: (dataset_type, data_mode, data_root)
Source = tuple[str, str, str]


#: Stands for a key that is taken out.
ABSENT = object()


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


def matching(table: dict[str, Tree], stem: str) -> Tree:
    """Settings of all patterns that a name matches; later ones win."""
    settings: Tree = {}
    for patterns, changes in table.items():
        if any(fnmatchcase(stem, pattern) for pattern in patterns.split()):
            settings |= changes
    return settings


def replaced(tree: Tree, changes: Tree) -> Tree:
    """The tree with other values at dotted keys; what the original shares stays as it is."""
    for key, value in changes.items():
        tree = _put(tree, key.split("."), value)
    return tree


def _put(tree: Tree, keys: list[str], value: Any) -> Tree:
    head, *rest = keys
    if rest:
        return tree | {head: _put(tree.get(head, {}), rest, value)}
    others = {key: kept for key, kept in tree.items() if key != head}
    return others if value is ABSENT else others | {head: value}
