"""What all checks of one config share: the tree, its places, and what an error becomes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from poise.check.report import Finding, Level
from poise.config import Config, where
from poise.registry import DATASETS, MODELS, use_scope

__all__ = [
    "PARTS",
    "Check",
    "Context",
    "bare_type",
    "datasets_of",
    "finding_of",
    "metrics_of",
    "own_format",
]

#: parts of a run that have data
PARTS = ("train", "val", "test")

#: settings of a part of a config, and their path in it
Found: TypeAlias = tuple[MutableMapping[str, Any], tuple[Any, ...]]


@dataclass
class Context:
    """One check: what is checked, and what was learned on the way.

    Attributes:
        cfg: whole config.
        scratch: folder for made-up data, removed after the check.
        weights: checkpoint that is to fit, or None.
        parts: those of `PARTS` that are checked and that the config has.
        is_file: whether the config is the user's own file, whose data should be there.
        broken: top-level keys in which an error was found: what is built of them is not tried.
            "course" among them says that the course of the training cannot be counted.
        checked: what was looked at, in words.
        metrics: names of figures that a validation gave, by part.
        steps: batches of an epoch, by the real data; None where they are unknown.
        repairs: part and setting of the model -> value with which the check went on.
        shapes: what came out of the backbone, by the shape of what went in.
    """

    cfg: Config
    scratch: Path
    weights: str | None = None
    parts: tuple[str, ...] = PARTS
    is_file: bool = True
    broken: set[str] = field(default_factory=set)
    checked: list[str] = field(default_factory=list)
    metrics: dict[str, list[str]] = field(default_factory=dict)
    steps: int | None = None
    shapes: dict[Any, Any] = field(default_factory=dict)
    repairs: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def tree(self) -> Any:
        """The config's dict, which knows its lines."""
        return self.cfg._cfg_dict

    @property
    def scope(self) -> str:
        """Library whose names bare types mean."""
        return self.tree.get("default_scope") or "mmpose"

    def at(self, *path: Any) -> str:
        """Setting with its file and line, such as "model.head (cfg.py, line 12)".

        Args:
            path: keys and indices from the top of the config.
        """
        name = ".".join(map(str, path))
        container: Any = self.tree
        for key in path[:-1]:
            try:
                container = container[key]
            except (KeyError, IndexError, TypeError):
                return name
        place = ""
        if isinstance(container, Mapping) and path:
            value = container.get(path[-1])
            place = where(container, path[-1]) or (where(value) if value else where(container))
        elif isinstance(container, (list, tuple)) and path:
            place = where(container[path[-1]])
        return f"{name} ({place})" if place else name

    @property
    def distinct(self) -> list[str]:
        """Parts, without a test that is the validation once more."""
        same = all(self.repeats(f"test_{what}") for what in ("dataloader", "evaluator"))
        return [part for part in self.parts if part != "test" or not same]

    def repeats(self, key: str) -> bool:
        """Whether a setting of the test is just that of the validation, which is checked."""
        name = key.removeprefix("test_")
        same = self.tree.get(key) == self.tree.get(f"val_{name}")
        return key.startswith("test_") and "val" in self.parts and same

    def dataset(self, part: str) -> Any:
        """Config of a part's data set, or None."""
        loader = self.tree.get(f"{part}_dataloader")
        return loader.get("dataset") if isinstance(loader, Mapping) else None

    @functools.cached_property
    def skeleton(self) -> Any:
        """The model without memory for its weights."""
        import torch

        with use_scope(self.scope), torch.device("meta"):
            return MODELS.build(self.tree["model"])

    @property
    def trains(self) -> bool:
        """Whether training is among the parts."""
        return "train" in self.parts


#: a check yields what it finds
Check: TypeAlias = Callable[[Context], Iterator[Finding]]


def finding_of(
    error: BaseException, part: str, where: str = "", *, level: Level = "error", fix: str = ""
) -> Finding:
    """An error as a finding, with its notes."""
    from poise.errors import PoiseError

    known = isinstance(error, PoiseError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    return Finding(level, part, text + notes, where, fix=fix)


def bare_type(cfg: Any) -> str:
    """Name of a config's `type` without its scope; "" where there is none."""
    kind = cfg.get("type", "") if isinstance(cfg, Mapping) else ""
    return str(getattr(kind, "__name__", kind)).replace("::", ".").rpartition(".")[2]


def own_format(cfg: Mapping[str, Any]) -> bool:
    """Whether a data set is a class of the user's own that reads its file by itself."""
    kind = cfg.get("type")
    reader: Any = DATASETS.get(kind) if isinstance(kind, str) else kind
    home = str(getattr(reader, "__module__", "")).partition(".")[0]
    steps = (getattr(reader, name, None) for name in ("_load_annotations", "load_data_list"))
    return home != "poise" and any(
        not str(getattr(step, "__module__", "poise")).startswith("poise.") for step in steps if step
    )


def datasets_of(tree: Any, path: tuple[Any, ...]) -> Iterator[Found]:
    """Data sets that read files, at any depth of mixtures, each with its path in the config."""
    if isinstance(tree, (list, tuple)):
        for i, part in enumerate(tree):
            yield from datasets_of(part, (*path, i))
    elif isinstance(tree, MutableMapping):
        inner = next((key for key in ("datasets", "dataset") if tree.get(key)), None)
        if "ann_file" in tree or inner is None:
            yield tree, path
        else:
            yield from datasets_of(tree[inner], (*path, inner))


def metrics_of(tree: Any, path: tuple[Any, ...]) -> Iterator[Found]:
    """Metrics of an evaluator, with those inside others, each with its path in the config."""
    if isinstance(tree, (list, tuple)):
        for i, part in enumerate(tree):
            yield from metrics_of(part, (*path, i))
    elif isinstance(tree, MutableMapping):
        yield tree, path
        yield from metrics_of(tree.get("metrics"), (*path, "metrics"))
