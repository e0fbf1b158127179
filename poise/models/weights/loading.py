"""Weights into models, with a readable account of what did not fit."""

from __future__ import annotations

import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from torch import Tensor, nn

from poise._words import counted
from poise.errors import CheckpointError
from poise.models.weights.distilled import student_of
from poise.models.weights.first_values import take_values
from poise.models.weights.keys import strip_prefix, unwrap, with_versions
from poise.models.weights.reading import read_checkpoint, state_dict_of
from poise.models.weights.rf_detr import with_rf_detr_names
from poise.models.weights.vision_names import with_our_names

__all__ = ["LoadReport", "load_checkpoint", "load_state_dict", "named_for", "not_finite"]

_LOG = logging.getLogger(__name__)

#: entries that MMPose's files may hold and its models have no more
_DROPPED = re.compile(r"data_preprocessor\.(mean|std)$")

_MISMATCH = re.compile(
    r"size mismatch for (?P<key>\S+): .*?shape torch\.Size\((?P<file>.*?)\) from checkpoint.*"
    r"torch\.Size\((?P<model>.*?)\)",
    re.DOTALL,
)

#: rows of each kind that an error shows
MAX_ROWS = 12
#: tensors with NaN that an error names
MAX_SPOILT = 3


@dataclass
class LoadReport:
    """What did not fit when weights were loaded.

    Attributes:
        missing: key of the model that the file lacks -> its shape.
        unexpected: key of the file that the model lacks -> its shape.
        mismatched: key -> shape in the file, shape in the model.
        other: further complaints of modules.
    """

    missing: dict[str, str] = field(default_factory=dict)
    unexpected: dict[str, str] = field(default_factory=dict)
    mismatched: dict[str, tuple[str, str]] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.missing or self.unexpected or self.mismatched or self.other)

    def __str__(self) -> str:
        """A table, one line a key."""
        rows = {
            "missing": [f"{k}  {s}" for k, s in self.missing.items()],
            "unexpected": [f"{k}  {s}" for k, s in self.unexpected.items()],
            "other shape": [
                f"{k}  {a} in the file, {b} in the model" for k, (a, b) in self.mismatched.items()
            ],
            "other": self.other,
        }
        lines = []
        for kind, entries in rows.items():
            lines += [f"  {kind:<11}  {entry}" for entry in entries[:MAX_ROWS]]
            if len(entries) > MAX_ROWS:
                lines.append(f"  {kind:<11}  ... and {len(entries) - MAX_ROWS} more")
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """Counts in a sentence."""
        counts = {
            "missing": len(self.missing),
            "unexpected": len(self.unexpected),
            "of another shape": len(self.mismatched),
        }
        return ", ".join(f"{n} keys {kind}" for kind, n in counts.items() if n) or "complaints"


def load_state_dict(
    module: nn.Module, state_dict: Mapping[str, Tensor], *, strict: bool = False
) -> LoadReport:
    """Copy weights into a module as far as they fit.

    Renames for old versions, which modules declare as load hooks, take place here. Unlike
    `nn.Module.load_state_dict` a wrong shape does not stop the rest, a missing batch counter
    is no fault, and mean and std of the preprocessor may be there.

    Args:
        module: what receives the weights.
        state_dict: keys -> tensors; module versions in `_metadata`.
        strict: raise where anything is left over on either side.

    Returns:
        What did not fit.

    Raises:
        CheckpointError: with `strict`, anything did not fit.
    """
    versions = getattr(state_dict, "_metadata", None) or {}
    state: OrderedDict[str, Tensor] = OrderedDict(
        (k, v) for k, v in state_dict.items() if not _DROPPED.match(k)
    )
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []

    def copy(part: nn.Module, prefix: str, entries: OrderedDict[str, Tensor]) -> None:
        local = versions.get(prefix[:-1], {})
        part._load_from_state_dict(entries, prefix, local, True, missing, unexpected, errors)
        for name, child in part._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                copy(
                    child,
                    below,
                    OrderedDict((k, v) for k, v in entries.items() if k.startswith(below)),
                )

    target: Any = module.module if _is_wrapper(module) else module
    copy(target, "", state)
    shapes = {k: _shape(v) for k, v in state.items()}
    own = {k: _shape(v) for k, v in target.state_dict().items()}
    report = LoadReport(
        {k: own.get(k, "") for k in missing if not k.endswith("num_batches_tracked")},
        {k: shapes.get(k, "") for k in unexpected},
    )
    for text in errors:
        found = _MISMATCH.search(text)
        if found:
            report.mismatched[found["key"]] = (_numbers(found["file"]), _numbers(found["model"]))
        else:
            report.other.append(text)
    if strict and report:
        raise CheckpointError(_describe(module, "the state dict", report))
    return report


def _is_wrapper(module: nn.Module) -> bool:
    return isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _numbers(text: str) -> str:
    numbers = text.strip("[]")
    return f"({numbers})" if "," in numbers or not numbers else f"({numbers},)"


def _describe(module: nn.Module, where: str, report: LoadReport) -> str:
    return (
        f"{where} does not fit {type(module).__name__}: {report.summary}\n{report}\n"
        f"Check that the config is the one the weights were trained with"
    )


def _describe_taken(module: nn.Module, where: str, report: LoadReport) -> str:
    """What was not taken; layers of another shape alone are what training on own keypoints has."""
    if report.missing or report.unexpected or report.other:
        return _describe(module, where, report)
    return f"{where} fits {type(module).__name__} but for {report.summary}\n{report}"


def _table(keys: Iterable[str], report: LoadReport) -> str:
    """How many tensors of each part of the model were taken, re-initialised, ignored."""
    fresh = {*report.missing, *report.mismatched}
    kinds = {"taken": [k for k in keys if k not in fresh], "re-initialised": list(fresh)}
    counts = {
        kind: Counter(key.partition(".")[0] for key in of_kind)
        for kind, of_kind in {**kinds, "ignored": list(report.unexpected)}.items()
    }
    parts = sorted({part for count in counts.values() for part in count})
    width = max(len(part) for part in ("part", *parts))
    lines = [f"  {'part':<{width}}" + "".join(f"  {kind:>14}" for kind in counts)]
    for part in parts:
        numbers = "".join(f"  {count[part]:>14}" for count in counts.values())
        lines.append(f"  {part:<{width}}{numbers}")
    return "\n".join(lines)


def load_checkpoint(
    model: nn.Module,
    filename: str | PathLike[str] | Mapping[str, Any],
    map_location: Any = "cpu",
    strict: bool = False,
    logger: Any = None,
    revise_keys: Iterable[tuple[str, str]] = ((r"^module\.", ""),),
    *,
    prefix: str | None = None,
    same_shapes: bool = False,
    name: str | None = None,
    first_values: Callable[[], nn.Module] | None = None,
) -> dict[str, Any]:
    r"""Load a weights file into a model; of a DWPose training the student's.

    Args:
        model: what receives the weights.
        filename: path, URL, name such as "torchvision://resnet50", or a checkpoint or state
            dict that is loaded already.
        map_location: device on which the file's tensors are read.
        strict: raise where anything does not fit; else it is logged.
        logger: a `logging.Logger`; None takes this module's.
        revise_keys: pairs of a pattern and a replacement for `re.sub` on every key.
        prefix: part of the file's network to load, such as "backbone".
        same_shapes: raise where a tensor has another shape: such a model can be trained on, but
            predicts nothing of sense.
        name: what error texts call a checkpoint that is loaded already.
        first_values: builds the model once more; for one that was built under
            `NoFirstValues`, whose other parameters are then taken from there.

    Returns:
        Everything in the file; `meta` often has `dataset_meta`.

    Raises:
        FileMissingError: no such file.
        CheckpointError: a file that cannot be read safely, holds no weights or some that are NaN
            or infinite, does not fit with `strict`, has other shapes with `same_shapes`, or has
            not one key of the model.
    """
    if isinstance(filename, Mapping):
        where = name or "the checkpoint"
        checkpoint = dict(filename)
        state: Mapping[str, Tensor] = state_dict_of(filename, where)
    else:
        where = str(filename)
        checkpoint = read_checkpoint(filename, map_location)
        state = state_dict_of(checkpoint, where)
    keys = model.state_dict()
    if prefix is not None:
        state = strip_prefix(state, prefix)
    else:
        state = student_of(state, checkpoint, keys)
    weights = named_for(keys, state, revise_keys)
    if spoilt := not_finite(weights):
        raise CheckpointError(_describe_spoilt(where, spoilt))
    report = load_state_dict(model, weights)
    # batch counters are never reported, so they are no sign of a fit either
    wanted = [k for k in keys if not k.endswith("num_batches_tracked")]
    nothing = wanted and all(k in report.missing or k in report.mismatched for k in wanted)
    if report and (strict or nothing or (same_shapes and report.mismatched)):
        raise CheckpointError(_describe(model, where, report))
    if first_values is not None and (fresh := {*report.missing, *report.mismatched}):
        take_values(model, fresh, first_values())
    if report:
        (logger if isinstance(logger, logging.Logger) else _LOG).warning(
            "%s\n%s%s",
            _describe_taken(model, where, report),
            _table(wanted, report),
            "\nWhat is re-initialised has its first, untrained values"
            if report.missing or report.mismatched
            else "",
        )
    return checkpoint


def named_for(
    expected: Iterable[str],
    state: Mapping[str, Tensor],
    revise_keys: Iterable[tuple[str, str]] = ((r"^module\.", ""),),
) -> OrderedDict[str, Tensor]:
    """State dict under the names of a model: without what wrappers and `revise_keys` take off.

    Args:
        expected: keys of the model.
        state: weights of a file.
        revise_keys: as of `load_checkpoint`.
    """
    expected = list(expected)
    bare = with_rf_detr_names(unwrap(state, expected), expected)
    bare = with_our_names(bare, expected)
    weights = OrderedDict(bare)
    for pattern, replacement in revise_keys:
        weights = OrderedDict((re.sub(pattern, replacement, k), v) for k, v in weights.items())
    return with_versions(weights, getattr(bare, "_metadata", None))


def not_finite(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that hold NaN or infinity: what is computed with them is NaN, too.

    Example:
        >>> import torch
        >>> not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})
        ['b']
    """
    # a sum is quicker than a test of each value, and not finite wherever one of them is not
    return [
        name
        for name, value in weights.items()
        if value.is_floating_point()
        and not bool(value.sum().isfinite())
        and not bool(value.isfinite().all())
    ]


def _describe_spoilt(where: str, names: list[str]) -> str:
    """Error text of weights that are not numbers."""
    more = f" ... and {len(names) - MAX_SPOILT} more" if len(names) > MAX_SPOILT else ""
    return (
        f"{where}: NaN or infinity in {counted(len(names), 'tensor')} "
        f"({', '.join(names[:MAX_SPOILT])}{more}): every prediction would be NaN. The training had "
        "diverged when this was written: take an earlier checkpoint"
    )
