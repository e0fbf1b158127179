"""A network without its backbone's weights: what comes out of it, and why nothing does.

A backbone only says which shapes come out of it. Faults whose remedy is known are mended on a
copy, so that the next ones are found, too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poise.check.context import Context, bare_type, finding_of
from poise.check.keys import note_keypoints
from poise.check.report import Finding
from poise.errors import KeypointCountError, PoiseError
from poise.registry import MODELS

__all__ = ["ShapesOnly", "TriedNetwork", "without_pretrained"]

#: faults of the network that are mended to find the next one
MOST_REPAIRS = 4
#: models whose parts are models of configs of their own
_INNER_CONFIGS = {"student_cfg": "student", "teacher_cfg": "teacher"}
#: parts whose first values the losses of real samples depend on
_STARTED = ("neck", "head", "bbox_head")
#: arguments of models that name a file of weights
_FILES = ("pretrained", "teacher_pretrained")


class ShapesOnly(nn.Module):
    """Stands for a backbone: random features of the right shapes, without its weights.

    Made by `in_place_of`, it has the backbone's name, which errors name.

    Args:
        network: the backbone on the device "meta".
        known: shape of pictures -> features on that device; what was found out before.
    """

    def __init__(self, network: nn.Module, known: dict[Any, Any]) -> None:
        super().__init__()
        # a list hides it from `modules()` and from the device of the parameters
        self._network = [network]
        self._known = known

    @classmethod
    def in_place_of(cls, network: nn.Module, known: dict[Any, Any]) -> ShapesOnly:
        """One for this backbone."""
        return type(type(network).__name__, (cls,), {})(network, known)

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


class TriedNetwork:
    """The model of a config, on features of the right shapes.

    Args:
        context: the check.
        cfg: whole config.
        loader: key of the data that go through.
    """

    def __init__(self, context: Context, cfg: Any, loader: str) -> None:
        self.context = context
        self.model_cfg: Any = copy.deepcopy(cfg["model"])
        self.loader = loader
        for path, value in context.repairs.items():
            self._mend(path, value)

    def run(self, batch: Any, *, train: bool) -> Iterator[Any]:
        """Findings, and at the end what the model gave where it came through."""
        for _ in range(MOST_REPAIRS):
            try:
                yield self._forward(batch, train=train)
                return
            except Exception as error:
                repairs = self._repairs(error)
                yield self._finding(error, repairs)
                if not repairs:
                    return
                for path, value in repairs.items():
                    # validation and test are not to tell the same again
                    self.context.repairs[path] = value
                    self._mend(path, value)

    def _mend(self, path: tuple[str, str], value: Any) -> None:
        part, name = path
        self.model_cfg[part][name] = value

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

    def _repairs(self, error: Exception) -> dict[tuple[str, str], Any]:
        """Part and setting -> the value with which this error would not come."""
        known = getattr(error, "repair", {})
        if known or isinstance(error, PoiseError):
            return {("head", name): value for name, value in known.items()}
        neck = self.model_cfg.get("neck")
        given = neck.get("in_channels") if isinstance(neck, Mapping) else None
        have = self._channels()
        listed = list(given) if isinstance(given, (list, tuple)) else given
        wanted = have if isinstance(listed, list) else have[-1] if have else None
        if given is None or wanted is None or listed == wanted:
            return {}
        same = not isinstance(listed, list) or len(listed) == len(have)
        return {("neck", "in_channels"): wanted} if same else {}

    def _channels(self) -> list[int]:
        """Channels of the feature maps that came out of the backbone last."""
        feats = next(reversed(self.context.shapes.values()), ())
        maps = feats if isinstance(feats, (list, tuple)) else [feats]
        return [f.shape[1] for f in maps if isinstance(f, Tensor) and f.ndim > 1]

    def _finding(self, error: Exception, repairs: Mapping[tuple[str, str], Any]) -> Finding:
        context = self.context
        if isinstance(error, KeypointCountError):
            note_keypoints(error, context.cfg, self.loader)
        elif not isinstance(error, PoiseError):
            error.add_note(_culprit(error))
            channels = ", ".join(map(str, self._channels()))
            backbone = bare_type(self.model_cfg.get("backbone")) or "the backbone"
            error.add_note(f"{backbone} gives maps of {channels} channels")
        path = next(iter(repairs), None)
        place = context.at("model", *path) if path else context.at("model")
        fix = ", ".join(f"model.{part}: {name}={value}" for (part, name), value in repairs.items())
        return finding_of(error, "network", place, fix=fix)


def _culprit(error: BaseException) -> str:
    """In which of our modules an error of torch came up, from the outside in."""
    names: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        name = type(owner).__name__
        if isinstance(owner, nn.Module) and name not in names:
            names.append(name)
        trace = trace.tb_next
    return f"in {' > '.join(names)}" if names else "outside of the network"


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
        changed["backbone"] = ShapesOnly.in_place_of(skeleton.backbone, known)
    return changed


def without_pretrained(tree: Any) -> Any:
    """A model's config without weights to download: random ones tell the same here."""
    if isinstance(tree, Mapping):
        return {
            k: None
            if k in _FILES or (k == "init_cfg" and bare_type(v).startswith("Pretrained"))
            else without_pretrained(v)
            for k, v in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(without_pretrained, tree))
    return tree
