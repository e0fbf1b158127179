"""A recipe's course of training, stretched to another number of epochs and another batch size."""

from __future__ import annotations

import math
from typing import Any

from poise._words import counted
from poise.zoo.parts.assembly import Tree

__all__ = ["fit_course", "scale_rate", "stretch"]

#: a recipe's batch is for many devices and pictures; an epoch of own data has so many steps
MIN_STEPS = 8

#: a warm-up takes at most this share of all iterations
WARMUP_SHARE = 0.1
#: so many validations and checkpoints in a run, at most as often as in the recipe
VALIDATIONS = 10


def fit_course(
    tree: Tree,
    samples: int,
    items: str,
    *,
    epochs: int | None,
    batch_size: int | None,
    devices: int,
    base: int | None = None,
) -> list[str]:
    """Fit batch, learning rate and epochs to a data set; says what was decided.

    Args:
        tree: whole config; changed.
        samples: that are trained on in an epoch.
        items: what an error or a sentence calls them.
        epochs: length of the run; None takes the recipe's.
        batch_size: samples on a device; None takes the recipe's, or fewer for few samples.
        devices: over which a batch is spread.
        base: samples of a step that the recipe's rate is meant for; None: what `auto_scale_lr`
            says.
    """
    loader = tree["train_dataloader"]
    few = max(1, samples // (MIN_STEPS * devices))
    batch = loader["batch_size"] = batch_size or min(loader.get("batch_size", 1), few)
    steps = max(1, math.ceil(samples / (batch * devices)))
    base = base or (tree.get("auto_scale_lr") or {}).get("base_batch_size") or batch * devices
    epochs = epochs or tree["train_cfg"]["max_epochs"]
    stretch(tree, epochs, steps)
    return [
        scale_rate(tree, batch * devices, base),
        f"course: {counted(epochs, 'epoch')} of {counted(steps, 'step')}, {samples:,} {items}",
    ]


def stretch(tree: Tree, epochs: int, iterations: int) -> None:
    """Let everything that happens at an epoch happen at the same share of a shorter or longer run.

    Args:
        tree: whole config; changed.
        epochs: of the run.
        iterations: in an epoch.
    """
    old = tree["train_cfg"].get("max_epochs") or epochs
    factor = epochs / old

    def moved(epoch: int) -> int:
        return epoch if factor == 1 else max(1, round(epoch * factor)) if epoch else 0

    for part in tree.get("param_scheduler") or ():
        if part.get("by_epoch", True):
            _move_part(part, moved, factor)
        elif part.get("end"):
            limit = max(1, round(epochs * iterations * WARMUP_SHARE))
            part["end"] = min(part["end"], limit)
    if tree.get("param_scheduler"):
        # a short run has no room for the shortest parts
        tree["param_scheduler"] = [
            part
            for part in tree["param_scheduler"]
            if part.get("end") is None or part["end"] > part.get("begin", 0)
        ]
    for hook in tree.get("custom_hooks") or ():
        if "switch_epoch" in hook:
            # a short run, too, ends with what the recipe ends with
            hook["switch_epoch"] = min(moved(hook["switch_epoch"]), epochs - 1)
        if "num_last_epochs" in hook:
            hook["num_last_epochs"] = moved(hook["num_last_epochs"])
        if "epoch_attributes" in hook:
            hook["epoch_attributes"] = {
                moved(int(epoch)): change for epoch, change in hook["epoch_attributes"].items()
            }
    _set_intervals(tree, epochs, iterations, moved)


def _move_part(part: Tree, moved: Any, factor: float) -> None:
    for key in ("begin", "end", "T_max", "step_size"):
        if part.get(key):
            part[key] = moved(part[key])
    if "milestones" in part:
        part["milestones"] = sorted({moved(epoch) for epoch in part["milestones"]})
    if part["type"].endswith("ExponentialLR"):
        part["gamma"] = part["gamma"] ** (1 / factor)


def _set_intervals(tree: Tree, epochs: int, iterations: int, moved: Any) -> None:
    course = tree["train_cfg"]
    course["max_epochs"] = epochs
    often = max(1, epochs // VALIDATIONS)
    course["val_interval"] = min(course.get("val_interval", 1), often)
    if "dynamic_intervals" in course:
        course["dynamic_intervals"] = [(moved(e), n) for e, n in course["dynamic_intervals"]]
    hooks = tree.setdefault("default_hooks", {})
    keep = hooks.setdefault("checkpoint", dict(type="CheckpointHook"))
    keep["interval"] = min(keep.get("interval", 1), often)
    keep.setdefault("max_keep_ckpts", 1)
    log = hooks.setdefault("logger", dict(type="LoggerHook"))
    log["interval"] = min(log.get("interval", 50), max(1, iterations))


def scale_rate(tree: Tree, batch: int, base: int) -> str:
    """Fit the learning rate to the real batch size; says what was done.

    SGD's rate goes with the batch size (Goyal 2017), Adam's with its root (Malladi 2022,
    "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms").

    Args:
        tree: whole config; changed.
        batch: samples of a step over all devices.
        base: samples of a step that the recipe's rate is meant for.
    """
    optimizer = tree["optim_wrapper"]["optimizer"]
    adaptive = "Adam" in str(optimizer["type"])
    ratio = math.sqrt(batch / base) if adaptive else batch / base
    old = optimizer["lr"]
    optimizer["lr"] = _rounded(old * ratio)
    for part in tree.get("param_scheduler") or ():
        if part.get("eta_min"):
            part["eta_min"] = _rounded(part["eta_min"] * ratio)
    tree["auto_scale_lr"] = dict(base_batch_size=batch, enable=False)
    rule = "root of the ratio" if adaptive else "ratio"
    return (
        f"learning rate: {optimizer['lr']:g} for batches of {batch} ({old:g} for {base} in the "
        f"recipe; {rule} of the batch sizes)"
    )


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
