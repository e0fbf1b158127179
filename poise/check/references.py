"""Names that a config gives and that must lead somewhere: figures of metrics, files of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poise.check.context import Context, bare_type, finding_of
from poise.check.course import schedules_of
from poise.check.report import Finding, Level
from poise.errors import PoiseError, nearest
from poise.registry import HOOKS

__all__ = ["check_files", "check_watched"]

#: arguments that name files of weights
_FILE_KEYS = ("load_from", "checkpoint", "pretrained", "teacher_pretrained")


def check_watched(context: Context) -> Iterator[Finding]:
    """Figures that decide about the best checkpoint or the learning rate are ones that come."""
    if not context.trains or "val" not in context.metrics:
        return
    given = context.metrics["val"]
    hook = (context.tree.get("default_hooks") or {}).get("checkpoint")
    if isinstance(hook, Mapping):
        best = hook.get("save_best") or ()
        for name in [best] if isinstance(best, str) else best:
            if name != "auto" and name not in given:
                place = context.at("default_hooks", "checkpoint", "save_best")
                yield _unknown_figure(f"save_best names '{name}'", name, given, place)
        args = {k: v for k, v in hook.items() if k != "priority"}
        try:
            HOOKS.build({"type": "CheckpointHook", **args})
        except PoiseError as error:
            yield finding_of(error, "course", context.at("default_hooks", "checkpoint"))
    for path, schedule in schedules_of(context):
        name = schedule.get("monitor")
        if name is not None and name not in given:
            place = context.at(*path, "monitor")
            yield _unknown_figure(f"{bare_type(schedule)} watches '{name}'", name, given, place)


def _unknown_figure(text: str, name: str, given: list[str], place: str) -> Finding:
    return Finding(
        "error",
        "metrics",
        f"{text}, which the validation does not give{nearest(name, given)}",
        place,
        expected=f"one of {', '.join(given)}",
        found=name,
    )


def check_files(context: Context) -> Iterator[Finding]:
    """Files of weights that a config names are there; addresses are not asked."""
    if "train" not in context.parts and not context.tree.get("load_from"):
        return
    for path, name in _named_files(context.tree):
        if "://" in name or Path(name).expanduser().is_file():
            continue
        from poise.models.weights import locate

        try:
            locate(name)
        except PoiseError as error:
            # a released model's training may start from what another of its trainings gives
            level: Level = "error" if context.is_file else "warning"
            yield finding_of(error, "weights", context.at(*path), level=level)


def _named_files(tree: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(path, file) of everything that is called like weights in the model and at the top."""
    if isinstance(tree.get("load_from"), str):
        yield ("load_from",), tree["load_from"]
    todo: list[tuple[tuple[Any, ...], Any]] = [(("model",), tree.get("model"))]
    while todo:
        path, value = todo.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key in _FILE_KEYS and isinstance(inner, str):
                    yield (*path, key), inner
                todo.append(((*path, key), inner))
        elif isinstance(value, (list, tuple)):
            todo += [((*path, i), inner) for i, inner in enumerate(value)]
