"""Every `type` of a config and its arguments, looked at without building anything.

Building stops at the first fault; this finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from poise.check.context import Context, bare_type, finding_of
from poise.check.report import Finding
from poise.config.tree import beside
from poise.datasets.loader import check_loader_names
from poise.errors import ConfigError, PoiseError
from poise.registry import ALL, Registry, use_scope
from poise.registry.core import argument_fault

__all__ = ["check_names"]

#: top-level keys that a run builds from -> registry of what stands right there
_ROOTS: dict[str, str | None] = {
    "model": "models",
    "train_dataloader": None,
    "val_dataloader": None,
    "test_dataloader": None,
    "val_evaluator": "metrics",
    "test_evaluator": "metrics",
    "default_hooks": "hooks",
    "custom_hooks": "hooks",
    "optim_wrapper": "optim_wrappers",
    "param_scheduler": "param_schedulers",
    "visualizer": "visualizers",
    "vis_backends": "vis_backends",
    "train_cfg": "loops",
    "val_cfg": "loops",
    "test_cfg": "loops",
    "log_processor": "log_processors",
}
#: key -> registry of the dicts below it; others are of the registry above them
_KEYS = {
    "dataset": "datasets",
    "datasets": "datasets",
    "new_train_dataset": "datasets",
    "pipeline": "transforms",
    "transforms": "transforms",
    "new_train_pipeline": "transforms",
    "switch_pipeline": "transforms",
    "sampler": "samplers",
    "batch_sampler": "samplers",
    "collate_fn": "functions",
    "worker_init_fn": "functions",
    "encoder": "codecs",
    "decoder": "codecs",
    "metrics": "metrics",
    "optimizer": "optimizers",
    "vis_backends": "vis_backends",
    "batch_augments": "models",
    "assigner": "task_utils",
    "oks_calculator": "task_utils",
}
#: below these no `type` is a name of a class
_DATA = {
    "metainfo",
    "dataset_info",
    "keypoint_info",
    "skeleton_info",
    "mapping",
    "init_cfg",
    "paramwise_cfg",
    "backend_args",
    "file_client_args",
    "camera_param",
    "clip_grad",
    "nms",
}
#: keys of a model's parts that are built of nothing but their config
_WHOLE_PARTS = {"model", "backbone", "neck", "head", "data_preprocessor", "loss", "decoder"}
#: registry -> arguments that the builder adds
_ADDED = {
    "samplers": ("dataset", "seed", "sampler", "batch_size"),
    "param_schedulers": ("optimizer",),
    "loops": ("dataloader", "evaluator", "runner"),
    "vis_backends": ("save_dir",),
    "optimizers": ("params",),
    "functions": ("batch", "data_batch", "worker_id", "num_workers", "rank", "seed"),
}
#: not arguments of a constructor
_OF_BUILDERS = {"type", "_scope_", "priority", "paramwise_cfg", "constructor"}
#: registries whose arguments are numbers
_NUMERIC = {"optimizers", "param_schedulers"}
#: transforms whose own transforms are of a library
_FOREIGN = {"Albumentation"}


class _Named(NamedTuple):
    """A dict with `type`."""

    cfg: Mapping[str, Any]
    path: tuple[Any, ...]
    kind: str
    scope: str | None


def check_names(context: Context) -> Iterator[Finding]:
    """Unknown types with the nearest name, and arguments that constructors do not take or lack."""
    with use_scope(context.scope):
        for root, kind in _ROOTS.items():
            if not _is_looked_at(context, root):
                continue
            if root.endswith("_dataloader"):
                yield from _settings_of_loader(context, root)
            for named in _walk(context.tree.get(root), (root,), kind, None):
                for fault in _faults(named):
                    context.broken.add(root)
                    yield finding_of(fault, "config", ".".join(map(str, named.path)))


def _settings_of_loader(context: Context, root: str) -> Iterator[Finding]:
    loader = context.tree.get(root)
    if not isinstance(loader, Mapping):
        return
    try:
        check_loader_names(loader)
    except ConfigError as error:
        context.broken.add(root)
        yield finding_of(error, "config", root)


def _is_looked_at(context: Context, root: str) -> bool:
    part = root.partition("_")[0]
    if context.repeats(root):
        return False
    return part not in ("train", "val", "test") or part in context.parts


def _walk(tree: Any, path: tuple[Any, ...], kind: str | None, scope: Any) -> Iterator[_Named]:
    if isinstance(tree, (list, tuple)):
        for i, item in enumerate(tree):
            yield from _walk(item, (*path, i), kind, scope)
        return
    if not isinstance(tree, Mapping):
        return
    scope = tree.get("_scope_", scope)
    if "type" in tree and kind is not None:
        yield _Named(tree, path, kind, scope)
    if bare_type(tree) in _FOREIGN:
        return
    for key, value in tree.items():
        if key not in _DATA:
            yield from _walk(value, (*path, key), _KEYS.get(key, kind), scope)


def _faults(named: _Named) -> Iterator[PoiseError]:
    kind, registry = named.cfg["type"], ALL[named.kind]
    if isinstance(kind, str):
        with use_scope(named.scope):
            factory = _found(registry, kind)
            known = any(_found(r, kind) is not None for r in (registry, *ALL.values()))
        if not known:
            yield _error_of(registry, kind, beside(named.cfg, "type"))
        if factory is None:
            return
    elif callable(kind):
        factory = kind
    else:
        yield ConfigError(f"'type' is a name or a class, got {kind!r}")
        return
    args = {k: v for k, v in named.cfg.items() if k not in _OF_BUILDERS}
    if named.kind in _NUMERIC:
        yield from _texts_for_numbers(args, named.cfg)
    args |= {k: None for k in _ADDED.get(named.kind, ()) if k in _parameters(factory)}
    alone = named.kind != "models" or named.path[-1] in _WHOLE_PARTS
    while alone and (text := argument_fault(factory, args, named.cfg)):
        yield ConfigError(text)
        # the first that is not taken is named: there may be others
        extra = next(
            (k for k in args if f"the argument '{k}'" in text.partition(" It takes")[0]), None
        )
        if extra is None:
            return
        del args[extra]


def _texts_for_numbers(args: Mapping[str, Any], cfg: Mapping[str, Any]) -> Iterator[PoiseError]:
    """Numbers in quotes, such as '5e-4'."""
    for key, value in args.items():
        if not isinstance(value, str):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        at = beside(cfg, key)
        yield ConfigError(f"{key}='{value}'{at} is a text: write {number:g} without quotes")


def _found(registry: Registry, name: str) -> Any:
    """Object of a name; None also for a path that may not be imported."""
    try:
        return registry.get(name)
    except PoiseError:
        return None


def _error_of(registry: Registry, name: str, place: str) -> PoiseError:
    """Why a registry does not give the object of a name."""
    try:
        registry.get(name)
    except PoiseError as error:
        return error
    return registry.unknown(name, place)


def _parameters(factory: Any) -> tuple[str, ...]:
    import inspect

    try:
        return tuple(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return ()
