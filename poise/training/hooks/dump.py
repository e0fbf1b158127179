"""DumpHook: predictions of a test into a file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import ConfigError
from poise.metrics.collecting import collect
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = ["DumpHook"]


@HOOKS.register_module(scope="poise")
class DumpHook(Hook):
    """Collects predictions and writes them once testing is over.

    Args:
        path: `.pkl` or `.pickle` for what MMPose's `--dump` writes (a list of dicts with
            arrays), `.json` for plain lists without heatmaps.

    Raises:
        ConfigError: another ending.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".pkl", ".pickle", ".json"):
            raise ConfigError(f"--dump writes .pkl or .json files, got {self.path.name}")
        self.predictions: list[Any] = []

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep the predictions of a batch."""
        for sample in outputs or ():
            tree = sample.to_dict() if hasattr(sample, "to_dict") else sample
            self.predictions.append(_arrays(tree))

    def after_test(self, runner: Any) -> None:
        """Write the file, with what all processes predicted."""
        gathered = collect(self.predictions, len(runner.test_dataloader.dataset))
        if gathered is None:
            return
        self.predictions = gathered
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix != ".json":
            self.path.write_bytes(pickle.dumps(self.predictions))
            return
        fields = ("pred_fields", "gt_fields")
        rows = [
            {k: _lists(v) for k, v in p.items() if k not in fields} if isinstance(p, dict) else p
            for p in self.predictions
        ]
        self.path.write_text(json.dumps(rows, default=str))


def _arrays(tree: Any) -> Any:
    """Nested data samples and tensors as dicts and arrays."""
    if hasattr(tree, "to_dict"):
        tree = tree.to_dict()
    if isinstance(tree, Mapping):
        return {k: _arrays(v) for k, v in tree.items()}
    if hasattr(tree, "detach"):
        return tree.detach().cpu().numpy()
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_arrays, tree))
    return tree


def _lists(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {k: _lists(v) for k, v in tree.items()}
    if isinstance(tree, (np.ndarray, np.generic)):
        return tree.tolist()
    if isinstance(tree, (list, tuple)):
        return list(map(_lists, tree))
    return tree
