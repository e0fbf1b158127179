"""A few samples all the way: reader, pipeline, codec, network, loss, decoding, metrics.

What fails after an hour of a real run fails here in a second. The data are made up, or a few of
the real ones.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from poise.check.context import Context, bare_type, datasets_of, finding_of, own_format
from poise.check.network import TriedNetwork
from poise.check.report import Finding
from poise.check.synthetic import use_synthetic_data
from poise.datasets.loader import build_dataloader, spread_batch
from poise.errors import ConfigError, PoiseError
from poise.metrics.evaluator import build_evaluator, meta_for_metrics
from poise.registry import MODELS, use_scope

__all__ = ["check_real_samples", "check_trial"]

#: samples that go through
SAMPLES = 2
#: heads that can only predict
_UNTRAINED_HEADS = ("EDPoseHead", "RFDETRHead")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and log lines of what is only tried."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def check_trial(context: Context) -> Iterator[Finding]:
    """Try made-up samples of every part that is checked."""
    with use_scope(context.scope), quiet():
        torch.manual_seed(0)
        yield from _build(context)
        parts = [p for p in context.distinct if not {"model", f"{p}_dataloader"} & context.broken]
        for part in list(parts):
            key = f"{part}_dataloader"
            foreign = [c for c, _ in datasets_of(context.dataset(part), (key,)) if own_format(c)]
            if foreign:
                parts.remove(part)
                text = f"{bare_type(foreign[0])} reads a format of its own, so no data are made up"
                yield Finding("note", "data", text, context.at(key, "dataset"))
        if not parts:
            return
        try:
            cfg = use_synthetic_data(context.cfg, context.scratch / "data")
        except ConfigError as error:
            # a format of the user's own
            yield finding_of(error, "data", level="note")
            return
        except PoiseError as error:
            # a schema that cannot be read
            context.broken.update(f"{part}_dataloader" for part in parts)
            yield finding_of(error, "data")
            return
        for part in parts:
            yield from _try_part(context, cfg, part)


def check_real_samples(context: Context) -> Iterator[Finding]:
    """Try a few samples of the real data, where there are any."""
    if "data" not in context.checked:
        return
    with use_scope(context.scope), quiet():
        torch.manual_seed(0)
        for part in context.distinct:
            names = (f"{part}_{what}" for what in ("dataloader", "data", "network"))
            broken = {"model", *names} & context.broken
            if not broken:
                yield from _try_part(context, context.cfg, part, real=True)


def _build(context: Context) -> Iterator[Finding]:
    """Build the network without weights; where it fails, each part of it alone."""
    if "model" in context.broken or not isinstance(context.tree.get("model"), Mapping):
        return
    try:
        _ = context.skeleton
        return
    except Exception as error:
        whole = error
    context.broken.add("model")
    found = False
    with torch.device("meta"):
        for name, part in context.tree["model"].items():
            if not isinstance(part, Mapping) or "type" not in part:
                continue
            try:
                MODELS.build(part)
            except Exception as error:
                found = True
                yield finding_of(error, "network", context.at("model", name))
    if not found:
        yield finding_of(whole, "network", context.at("model"))


def _try_part(context: Context, cfg: Any, part: str, *, real: bool = False) -> Iterator[Finding]:
    key = f"{part}_dataloader"
    if not _has_pipeline(context.dataset(part)):
        yield Finding(
            "error",
            "config",
            "the data set has an empty pipeline, so no sample reaches the network",
            context.at(key, "dataset", "pipeline"),
            fix="write its transforms, the last of them PackPoseInputs"
            + (", or check what the config is for: --part val" if part == "train" else ""),
        )
        return
    try:
        batch, dataset = _batch(cfg[key])
    except Exception as error:
        context.broken.add(key)
        yield finding_of(error, "data", context.at(key, "dataset"))
        return
    train = part == "train"
    if train and bare_type(cfg["model"].get("head")) in _UNTRAINED_HEADS:
        return
    network = TriedNetwork(context, cfg, key)
    result = None
    for outcome in network.run(batch, train=train):
        if isinstance(outcome, Finding):
            yield outcome
        else:
            result = outcome
    if result is None:
        context.broken.add(f"{part}_network")
    elif train:
        yield from _judge_losses(context, result, real=real)
    elif cfg.get(f"{part}_evaluator") and f"{part}_evaluator" not in context.broken:
        yield from _evaluate(context, cfg, part, result, batch, dataset, real=real)


def _has_pipeline(dataset: Any) -> bool:
    """Whether a data set, or a mixture or one of its members, has transforms."""
    if isinstance(dataset, (list, tuple)):
        return all(map(_has_pipeline, dataset))
    if not isinstance(dataset, Mapping) or dataset.get("pipeline"):
        return True
    inner = dataset.get("datasets") or dataset.get("dataset")
    return "pipeline" not in dataset if inner is None else _has_pipeline(inner)


def _batch(loader_cfg: Mapping[str, Any]) -> tuple[Any, Any]:
    """A collated batch, and the data set that it is of."""
    alone = {"batch_size": SAMPLES, "num_workers": 0, "drop_last": False}
    loader: Any = build_dataloader({**loader_cfg, **alone}, seed=0)
    return spread_batch(loader, SAMPLES), loader.dataset


def _judge_losses(context: Context, losses: Mapping[str, Any], *, real: bool) -> Iterator[Finding]:
    named = [name for name in losses if "loss" in name]
    odd = [name for name in named if real and not _is_finite(losses[name])]
    if odd:
        yield Finding(
            "warning",
            "data",
            f"with the first samples {', '.join(odd)} is not a finite number, already before the "
            "first step: look at their annotations",
            context.at("train_dataloader", "dataset"),
            fix="poise data check and poise data draw show them",
        )
    if not named:
        yield Finding(
            "error",
            "network",
            f"the model gives {sorted(losses)}, and nothing with 'loss' in its name: there is "
            "nothing to learn from",
            context.at("model"),
        )


def _evaluate(
    context: Context,
    cfg: Any,
    part: str,
    samples: Any,
    batch: Any,
    dataset: Any,
    *,
    real: bool,
) -> Iterator[Finding]:
    """Hand samples to the metrics; of real data a few are not enough for figures."""
    key = f"{part}_evaluator"
    try:
        evaluator = build_evaluator(cfg[key])
        evaluator.dataset_meta = meta_for_metrics(dataset)
        evaluator.process(samples, batch)
        figures = {} if real else evaluator.evaluate(len(samples))
    except Exception as error:
        context.broken.add(key)
        yield finding_of(error, "metrics", context.at(key))
        return
    if real:
        return
    context.metrics[part] = [name for name, value in figures.items() if _is_number(value)]


def _is_finite(loss: Any) -> bool:
    parts = loss if isinstance(loss, (list, tuple)) else [loss]
    return all(bool(torch.isfinite(torch.as_tensor(part)).all()) for part in parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or (
        hasattr(value, "__float__") and math.isfinite(float(value))
    )
