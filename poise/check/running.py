"""`check`: everything at once, in seconds, without training and without a GPU."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from poise._files import is_file
from poise.check.context import PARTS, Check, Context, finding_of
from poise.check.report import UNDONE, Finding, Report
from poise.config import apply_custom_imports
from poise.errors import ConfigError, PoiseError, nearest
from poise.zoo import load_config

__all__ = ["check"]


def check(
    config: Any,
    *,
    weights: str | PathLike[str] | None = None,
    parts: Sequence[str] | None = None,
    trusted: bool = False,
    released: bool | None = None,
    quick: bool = False,
) -> Report:
    """Whether a config, its data and a checkpoint fit together; all faults, not the first.

    Args:
        config: config file, name of a released model, `Config` or dict.
        weights: checkpoint that the run starts from or that is tested.
        parts: which of "train", "val" and "test" are looked at; None: those that the config has.
        trusted: execute the config file where it holds code.
        released: whether it is a released model's config, whose data and files need not be
            here; None: a name is, a file or a tree is not.
        quick: look only at what is written, and build and read nothing; for the moment before a
            training starts.

    Returns:
        Report; `report.fits` tells whether there is no error, `print(report)` all of it.

    Raises:
        PoiseError: the config itself cannot be read.

    Example:
        >>> report = check("rtmpose-t_8xb256-420e_coco-256x192", parts=("val",))
        >>> report.fits
        True
    """
    start = time.monotonic()
    for part in parts or ():
        if part not in PARTS:
            raise ConfigError(
                f"a config has the parts {', '.join(PARTS)}, got '{part}'{nearest(part, PARTS)}"
            )
    if released is None:
        released = isinstance(config, (str, PathLike)) and not is_file(Path(config))
    cfg = load_config(config, trusted=trusted)
    scratch = Path(tempfile.mkdtemp(prefix="poise-check-"))
    try:
        context = Context(
            cfg,
            scratch,
            weights=None if weights is None else fspath(weights),
            parts=tuple(p for p in parts or PARTS if cfg.get(f"{p}_dataloader")),
            is_file=not released,
            checked=["config"],
        )
        findings = [*_absent(context, parts or ()), *_findings(context, quick=quick)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Report(findings, context.checked, time.monotonic() - start)


def _absent(context: Context, parts: Sequence[str]) -> Iterator[Finding]:
    """Parts that are asked for and that the config does not have; whether it has anything."""
    if "model" not in context.cfg and not context.parts:
        text = "the config has neither a model nor a data set, so there is nothing to look at"
        yield Finding("error", "config", text)
    for part in parts:
        if part not in context.parts:
            yield Finding("error", "config", f"the config has no {part}_dataloader")


def _written() -> dict[str, Check]:
    """Checks of what is written in a config; nothing is built for them."""
    from poise.check import agreement, keys, names, references

    return {
        "the keys": keys.check_keys,
        "names and arguments": names.check_names,
        "codecs and crops": agreement.check_codecs,
        "keypoints": agreement.check_schemas,
        "files of weights": references.check_files,
    }


def _tried() -> dict[str, Check]:
    """Checks that build and read, in this order; they pass over what is broken."""
    from poise.check import checkpoint, course, data, references, trial

    return {
        "samples through pipeline and network": trial.check_trial,
        "annotations and pictures": data.check_files_of_data,
        "files of metrics": data.check_files_of_metrics,
        "real samples": trial.check_real_samples,
        "the optimizer": course.check_optimizer,
        # it counts in steps of the real data, where there are any
        "the course of the training": course.check_course,
        "the figures that decide": references.check_watched,
        "the checkpoint": checkpoint.check_checkpoint,
    }


def _findings(context: Context, *, quick: bool) -> Iterator[Finding]:
    try:
        apply_custom_imports(context.cfg)
    except PoiseError as error:
        yield finding_of(error, "config", context.at("custom_imports"))
    from poise.check.course import check_course

    more = {"the course of the training": check_course} if quick else _tried()
    for title, one in {**_written(), **more}.items():
        try:
            yield from one(context)
        except Exception as error:
            # the others are not to be lost for it
            yield finding_of(error, UNDONE, f"the check of {title} could not be made", level="note")
