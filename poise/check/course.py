"""The course of a training: its length, optimizer, schedules, intervals and learning rate."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poise.check.context import Context, bare_type, finding_of
from poise.check.report import Finding
from poise.registry import (
    LOOPS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    PARAM_SCHEDULERS,
    use_scope,
)
from poise.registry.core import argument_fault

__all__ = ["check_course", "check_optimizer", "schedules_of"]

#: settings of an `optim_wrapper` that are of its constructor
_OF_CONSTRUCTORS = ("constructor", "paramwise_cfg")
#: settings of hooks that are epochs
_HOOK_EPOCHS = ("switch_epoch", "num_last_epochs")
#: so many epochs of a schedule are more likely iterations
MANY_EPOCHS = 1000


#: a finding about what is hardly meant
_odd = functools.partial(Finding, "warning", "course")


@dataclass(frozen=True)
class _Length:
    """How long a training is: `number` epochs or iterations."""

    number: int
    by_epoch: bool

    @property
    def unit(self) -> str:
        return "epochs" if self.by_epoch else "iterations"

    @property
    def key(self) -> str:
        return "max_epochs" if self.by_epoch else "max_iters"


def check_course(context: Context) -> Iterator[Finding]:
    """Length, schedules, intervals and learning rate of a training."""
    cfg = context.tree.get("train_cfg")
    if not context.trains or "course" in context.broken or not isinstance(cfg, Mapping):
        return
    length, faults = _length(cfg)
    for fault in faults:
        yield Finding("error", "course", fault, context.at("train_cfg"))
    yield from _validation(context)
    if length is None:
        return
    for path, schedule in schedules_of(context):
        yield from _schedule(context, path, schedule, length)
    yield from _intervals(context, cfg, length)
    yield from _hooks(context, length)
    yield from _rate(context)


def _length(cfg: Mapping[str, Any]) -> tuple[_Length | None, list[str]]:
    """Length of the run, and what is wrong with the settings of the loop."""
    kind = bare_type(cfg)
    by_epoch = cfg.get("by_epoch", "max_iters" not in cfg) if not kind else kind[0] == "E"
    loop: Any = LOOPS.get("EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop")
    args = {k: v for k, v in cfg.items() if k not in ("type", "by_epoch")}
    fault = argument_fault(loop, {**args, "runner": None, "dataloader": None}, cfg)
    if kind not in ("", "EpochBasedTrainLoop", "IterBasedTrainLoop"):
        # a loop of the user's own
        fault = None
    number = cfg.get("max_epochs" if by_epoch else "max_iters")
    length = _Length(number, by_epoch) if isinstance(number, int) else None
    return length, [fault] if fault else []


def check_optimizer(context: Context) -> Iterator[Finding]:
    """Build optimizer and schedules on a network without weights."""
    if not context.trains or {"model", "optim_wrapper"} & context.broken:
        return
    with use_scope(context.scope):
        yield from _optimizer(context)


def _optimizer(context: Context) -> Iterator[Finding]:
    cfg = context.tree.get("optim_wrapper")
    if not isinstance(cfg, Mapping):
        return
    place = context.at("optim_wrapper")
    try:
        inner = {k: v for k, v in cfg.items() if k not in _OF_CONSTRUCTORS}
        OPTIM_WRAPPERS.build({"type": "OptimWrapper"} | inner)
        built = OPTIM_WRAPPER_CONSTRUCTORS.build(
            {
                "type": cfg.get("constructor", "DefaultOptimWrapperConstructor"),
                "optim_wrapper_cfg": inner,
                "paramwise_cfg": cfg.get("paramwise_cfg"),
            }
        )(context.skeleton)
    except Exception as error:
        context.broken.add("optim_wrapper")
        yield finding_of(error, "course", place)
        return
    optimizer = getattr(built, "optimizer", built)
    for path, schedule in schedules_of(context):
        if "param_scheduler" in context.broken:
            return
        # an epoch is some iterations long: what it is does not matter here
        defaults = {"optimizer": optimizer, "epoch_length": 100}
        try:
            PARAM_SCHEDULERS.build(schedule, defaults)
        except Exception as error:
            yield finding_of(error, "course", context.at(*path))


def schedules_of(context: Context) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Schedules of a config, each with its path."""
    cfg = context.tree.get("param_scheduler")
    several = isinstance(cfg, (list, tuple))
    for i, schedule in enumerate(cfg if several else [cfg]):
        if isinstance(schedule, Mapping):
            yield ("param_scheduler", i) if several else ("param_scheduler",), schedule


def _schedule(
    context: Context, path: tuple[Any, ...], cfg: Mapping[str, Any], length: _Length
) -> Iterator[Finding]:
    by_epoch = cfg.get("by_epoch", True)
    kind = bare_type(cfg)
    limit = _limit(context, by_epoch, length)
    unit = "epochs" if by_epoch else "iterations"
    if by_epoch and not length.by_epoch:
        yield _odd(
            f"{kind} counts epochs, but the training is {length.number} iterations long, which "
            "is one epoch",
            context.at(*path),
            fix="by_epoch=False, and its numbers in iterations",
        )
        return
    late = [m for m in cfg.get("milestones", ()) if limit is not None and m >= limit]
    begins = cfg.get("begin", 0)
    if limit is not None and begins >= limit:
        yield _odd(
            f"{kind} begins at {begins}, and the training ends after {limit} {unit}: it never acts",
            context.at(*path, "begin"),
            fix=f"a begin below {limit}, or a longer training ({length.key})",
        )
    elif late:
        yield _odd(
            f"milestones {late} of {kind} lie beyond the end after {limit} {unit}: the rate does "
            "not fall there",
            context.at(*path, "milestones"),
            fix="by_epoch=False"
            if by_epoch and max(late) > MANY_EPOCHS
            else f"milestones below {limit}, or a longer training ({length.key})",
        )
    yield from _mistaken_unit(context, path, cfg, length)


def _limit(context: Context, by_epoch: bool, length: _Length) -> int | None:
    """End of the training in epochs or iterations; None where that is not known."""
    if by_epoch == length.by_epoch:
        return length.number
    if by_epoch or context.steps is None:
        return None
    return length.number * context.steps


def _mistaken_unit(
    context: Context, path: tuple[Any, ...], cfg: Mapping[str, Any], length: _Length
) -> Iterator[Finding]:
    """Epochs where iterations are counted, and a warm-up that is longer than the training."""
    if cfg.get("by_epoch", True) or not length.by_epoch:
        return
    milestones = cfg.get("milestones") or ()
    if milestones and max(milestones) <= length.number:
        yield _odd(
            f"milestones {list(milestones)} are counted in iterations (by_epoch=False), and the "
            f"training is {length.number} epochs long: they are reached at once",
            context.at(*path, "milestones"),
            fix="by_epoch=True",
        )
    total = None if context.steps is None else length.number * context.steps
    if total is not None and (cfg.get("end") or 0) >= total:
        yield _odd(
            f"{bare_type(cfg)} runs to iteration {cfg['end']}, and the whole training has {total} "
            f"({length.number} epochs of {context.steps}): it does not come to its end",
            context.at(*path, "end"),
            fix=f"end={max(1, total // 10)}",
        )


def _validation(context: Context) -> Iterator[Finding]:
    """Data and metrics of a validation go together."""
    for part in ("val", "test"):
        if part not in context.parts and not context.trains:
            continue
        data, metrics = (context.tree.get(f"{part}_{k}") for k in ("dataloader", "evaluator"))
        if bool(data) != bool(metrics):
            present, absent = ("dataloader", "evaluator") if data else ("evaluator", "dataloader")
            yield Finding(
                "error",
                "course",
                f"there is {part}_{present} but no {part}_{absent}",
                context.at(f"{part}_{present}"),
                fix=f"give {part}_{absent}, or {part}_{present}=None",
            )


def _intervals(context: Context, cfg: Mapping[str, Any], length: _Length) -> Iterator[Finding]:
    interval = cfg.get("val_interval", 1)
    if context.tree.get("val_dataloader") and interval > length.number:
        yield _odd(
            f"val_interval={interval}, and the training ends after {length.number} "
            f"{length.unit}: it is validated once, at its end",
            context.at("train_cfg", "val_interval"),
            fix=f"val_interval below {length.number}, to keep the best of several",
        )
    begin = cfg.get("val_begin", 1)
    if context.tree.get("val_dataloader") and begin > length.number:
        yield _odd(
            f"val_begin={begin}, and the training ends after {length.number} {length.unit}: "
            "there is no validation",
            context.at("train_cfg", "val_begin"),
            fix=f"val_begin of {length.number} or less",
        )
    hook = (context.tree.get("default_hooks") or {}).get("checkpoint")
    if not isinstance(hook, Mapping):
        return
    by_epoch = hook.get("by_epoch", True)
    if by_epoch != length.by_epoch:
        yield _odd(
            f"checkpoints are counted in {'epochs' if by_epoch else 'iterations'}, the training "
            f"in {length.unit}",
            context.at("default_hooks", "checkpoint"),
            fix=f"by_epoch={length.by_epoch}",
        )
    elif hook.get("interval", 1) > length.number:
        yield Finding(
            "note",
            "course",
            f"a checkpoint every {hook['interval']} {length.unit}, and the training ends after "
            f"{length.number}: only the last one is written",
            context.at("default_hooks", "checkpoint", "interval"),
        )


def _hooks(context: Context, length: _Length) -> Iterator[Finding]:
    """Switches that never come."""
    if not length.by_epoch:
        return
    for i, hook in enumerate(context.tree.get("custom_hooks") or ()):
        epochs = (
            {k: hook[k] for k in _HOOK_EPOCHS if k in hook} if isinstance(hook, Mapping) else {}
        )
        for key, epoch in epochs.items():
            if isinstance(epoch, int) and epoch >= length.number:
                when = "before the end" if key.startswith("num") else "at epoch"
                yield _odd(
                    f"{bare_type(hook)} switches {when} {epoch}, and the training has "
                    f"{length.number} epochs",
                    context.at("custom_hooks", i, key),
                    fix=f"{key} below {length.number}",
                )


def _rate(context: Context) -> Iterator[Finding]:
    """The learning rate of a recipe is meant for its batch size."""
    scale = context.tree.get("auto_scale_lr") or {}
    base, batch = (
        scale.get("base_batch_size"),
        context.tree["train_dataloader"].get("batch_size", 1),
    )
    if not base or not batch or scale.get("enable") or batch == base:
        return
    whole = base % batch == 0
    devices = f"{base // batch} devices with {batch} each" if whole else f"these have {batch}"
    rate = ((context.tree.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    yield Finding(
        "note",
        "course",
        f"the learning rate {rate} is meant for batches of {base} ({devices})",
        context.at("auto_scale_lr"),
        fix="with fewer devices: --set auto_scale_lr.enable=True",
    )
