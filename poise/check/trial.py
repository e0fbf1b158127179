"""A few samples all the way: reader, pipeline, codec, network, loss, decoding, metrics.

What fails after an hour of a real run fails here in a second. The data are made up (or the first
of the real ones), and the backbone only says which shapes come out of it: no weights are made
for it. Faults whose remedy is known are mended on a copy, so that the next ones are found too.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from poise.check.context import Context, bare_type, finding_of
from poise.check.keys import note_keypoints
from poise.check.report import Finding
from poise.check.synthetic import use_synthetic_data
from poise.datasets.draws import SeededItems
from poise.datasets.loader import build_dataloader
from poise.errors import ConfigError, KeypointCountError
from poise.metrics.evaluator import build_evaluator, meta_for_metrics
from poise.registry import MODELS, use_scope

__all__ = ["ShapesOnly", "check_real_samples", "check_trial", "without_pretrained"]

#: samples that go through
SAMPLES = 2
#: faults of the network that are mended to find the next one
MOST_REPAIRS = 4
#: models whose parts are models of configs of their own
_INNER_CONFIGS = {"student_cfg": "student", "teacher_cfg": "teacher"}
#: parts whose first values the losses of real samples depend on
_STARTED = ("neck", "head", "bbox_head")
#: arguments of models that name a file of weights
_FILES = ("pretrained", "teacher_pretrained")
#: heads that can only predict
_UNTRAINED_HEADS = ("EDPoseHead",)


class ShapesOnly(nn.Module):
    """Stands for a backbone: random features of the right shapes, without its weights.

    Args:
        network: the backbone on the device "meta".
        known: shape of pictures -> features on that device; what was found out before.
    """

    def __init__(self, network: nn.Module, known: dict[Any, Any]) -> None:
        super().__init__()
        # a list hides it from `modules()` and from the device of the parameters
        self._network = [network]
        self._known = known

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # what an estimator asks of its backbone, such as whether it is causal
            return getattr(self.__dict__["_network"][0], name)

    def forward(self, x: Any) -> Any:
        """Features as of pictures (B, C, H, W)."""
        key = (id(self._network[0]), tuple(x.shape))
        if key not in self._known:
            network = self._network[0].train(self.training)
            with torch.no_grad():
                self._known[key] = network(x.to("meta"))
        return _real(self._known[key])


def _real(feats: Any) -> Any:
    if isinstance(feats, Tensor):
        return torch.rand(feats.shape)
    if isinstance(feats, Mapping):
        return {key: _real(value) for key, value in feats.items()}
    if isinstance(feats, (list, tuple)):
        return type(feats)(map(_real, feats))
    return feats


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and log lines of what is only tried."""
    import logging

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
        try:
            cfg = use_synthetic_data(context.cfg, context.scratch / "data")
        except ConfigError as error:
            yield finding_of(error, "data", level="note")
            return
        for part in context.parts:
            if {"model", f"{part}_dataloader"} & context.broken:
                continue
            if part == "test" and _same_as_validation(context):
                continue
            yield from _try_part(context, cfg, part)


def check_real_samples(context: Context) -> Iterator[Finding]:
    """Try a few samples of the real data, where there are any."""
    if "data" not in context.checked:
        return
    with use_scope(context.scope), quiet():
        torch.manual_seed(0)
        for part in context.parts:
            broken = {"model", f"{part}_dataloader", f"{part}_data"} & context.broken
            if not broken and not (part == "test" and _same_as_validation(context)):
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


def _same_as_validation(context: Context) -> bool:
    tree, parts = context.tree, ("dataloader", "evaluator")
    return "val" in context.parts and all(
        tree.get(f"test_{part}") == tree.get(f"val_{part}") for part in parts
    )


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
    network = _Network(context, cfg, key)
    result = None
    for outcome in network.run(batch, train=train):
        if isinstance(outcome, Finding):
            yield outcome
        else:
            result = outcome
    if result is None:
        context.broken.add("model")
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
    dataset = loader.dataset
    count = min(SAMPLES, len(dataset))
    chosen = [i * len(dataset) // count for i in range(count)]
    return loader.collate_fn(SeededItems(dataset, 0).__getitems__(chosen)), dataset


class _Network:
    """The model of a config, on features of the right shapes."""

    def __init__(self, context: Context, cfg: Any, loader: str) -> None:
        self.context = context
        self.model_cfg: Any = copy.deepcopy(cfg["model"])
        self.cfg, self.loader = cfg, loader

    def run(self, batch: Any, *, train: bool) -> Iterator[Any]:
        """Findings, and at the end what the model gave where it came through."""
        for _ in range(MOST_REPAIRS):
            try:
                yield self._forward(batch, train=train)
                return
            except Exception as error:
                yield self._finding(error)
                repair = getattr(error, "repair", {})
                if not repair:
                    return
                self.model_cfg["head"].update(repair)

    def _forward(self, batch: Any, *, train: bool) -> Any:
        context = self.context
        model: Any = MODELS.build(_on_shapes(self.model_cfg, context.skeleton, context.shapes))
        model.train(train)
        for name, part in model.named_children():
            if name in _STARTED and hasattr(part, "init_weights"):
                part.init_weights()
        with torch.no_grad():
            data = model.data_preprocessor(copy.deepcopy(batch), train)
            if train and hasattr(model, "set_progress"):
                model.set_progress(0, 10, 0, 100)
            return model(**data, mode="loss" if train else "predict")

    def _finding(self, error: Exception) -> Finding:
        repair = getattr(error, "repair", {})
        fix = ", ".join(f"{name}={value}" for name, value in repair.items())
        if isinstance(error, KeypointCountError):
            note_keypoints(error, self.context.cfg, self.loader)
        key = next(iter(repair), None)
        path = ("model", "head") if key is None else ("model", "head", key)
        place = self.context.at(*path) if repair else self.context.at("model")
        return finding_of(error, "network", place, fix=f"model.head: {fix}" if fix else "")


def _on_shapes(model_cfg: Any, skeleton: Any, known: dict[Any, Any]) -> dict[str, Any]:
    """Model config whose backbones are only shapes, and that reads no weights.

    Args:
        model_cfg: config.
        skeleton: the model of it on the device "meta".
        known: for `ShapesOnly`.
    """
    changed = without_pretrained(model_cfg)
    for name, attribute in _INNER_CONFIGS.items():
        if isinstance(changed.get(name), (str, Mapping)):
            from poise.zoo import load_config

            inner = load_config(changed[name]).to_dict()
            own = getattr(skeleton, attribute)
            changed[name] = {**inner, "model": _on_shapes(inner["model"], own, known)}
    if isinstance(changed.get("backbone"), Mapping):
        changed["backbone"] = ShapesOnly(skeleton.backbone, known)
    return changed


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
    return isinstance(value, (int, float)) or math.isfinite(float(value))


def without_pretrained(tree: Any) -> Any:
    """A model's config without weights to download: random ones tell the same here."""
    if isinstance(tree, Mapping):
        return {
            k: None if k in _FILES or _is_pretrained(k, v) else without_pretrained(v)
            for k, v in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(without_pretrained, tree))
    return tree


def _is_pretrained(key: str, value: Any) -> bool:
    kind = value.get("type", "") if key == "init_cfg" and isinstance(value, Mapping) else ""
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2].startswith("Pretrained")
