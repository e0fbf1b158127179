"""DumpHook: predictions of a test into a file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import host_array, is_tensor
from poise._files import write_whole
from poise.errors import ConfigError
from poise.metrics.collecting import collect
from poise.metrics.prediction_file import SUFFIXES, PredictionWriter, is_prediction_file
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = ["DumpHook"]


@HOOKS.register_module(scope="poise")
class DumpHook(Hook):
    """Collects predictions and writes them once testing is over.

    Args:
        path: `.jsonl` or `.jsonl.gz` for a file that any metric can be computed from later,
            written batch by batch; `.pkl` or `.pickle` for what MMPose's `--dump` writes (a list
            of dicts with arrays), `.json` for plain lists without heatmaps.

    Raises:
        ConfigError: another ending.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.name.endswith((".pkl", ".pickle", ".json", *SUFFIXES)):
            raise ConfigError(
                f"--dump writes .jsonl, .jsonl.gz, .pkl or .json files, got {self.path.name}"
            )
        self.predictions: list[Any] = []
        self._writer: PredictionWriter | None = None

    def before_test(self, runner: Any) -> None:
        """Open the file, where it is written as predictions come."""
        if is_prediction_file(self.path) and runner.world_size == 1:
            writer = PredictionWriter(self.path, _header(runner))
            self._writer = runner.closing.enter_context(writer)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the predictions of a batch."""
        if self._writer is not None:
            self._writer.write(outputs or ())
            return
        for sample in outputs or ():
            tree = sample.to_dict() if hasattr(sample, "to_dict") else sample
            self.predictions.append(_arrays(tree))

    def after_test(self, runner: Any) -> None:
        """Write the file, with what all processes predicted."""
        if self._writer is not None:
            self._writer.close()
            return
        gathered = collect(self.predictions, len(runner.test_dataloader.dataset))
        if gathered is None:
            return
        self.predictions = gathered
        if is_prediction_file(self.path):
            with PredictionWriter(self.path, _header(runner)) as writer:
                writer.write(gathered)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix != ".json":
            write_whole(self.path, pickle.dumps(self.predictions))
            return
        fields = ("pred_fields", "gt_fields")
        rows = [
            {k: v for k, v in p.items() if k not in fields} if isinstance(p, dict) else p
            for p in self.predictions
        ]
        write_whole(self.path, json.dumps(rows, default=_listed).encode())


def _header(runner: Any) -> dict[str, Any]:
    """What metrics need beside the samples."""
    dataset = runner.test_dataloader.dataset
    ann_file = getattr(dataset, "ann_file", None)
    header = {
        "ann_file": str(Path(ann_file).resolve()) if ann_file else None,
        "metrics": _configs(runner.cfg.get("test_evaluator")),
        "meta": dataset.metainfo,
        # whose metrics the names are
        "scope": runner.cfg.get("default_scope"),
    }
    return {key: value for key, value in header.items() if value is not None}


def _configs(evaluator: Any) -> list[Any] | None:
    """The metrics of a config, where they are configs and stand alone."""
    plain = evaluator.to_dict() if hasattr(evaluator, "to_dict") else evaluator
    several = plain if isinstance(plain, list) else [plain]
    good = all(isinstance(m, dict) and "type" in m and "datasets" not in m for m in several)
    return several if good else None


def _arrays(tree: Any) -> Any:
    """Nested data samples and tensors as dicts and arrays."""
    if hasattr(tree, "to_dict"):
        tree = tree.to_dict()
    if isinstance(tree, Mapping):
        return {k: _arrays(v) for k, v in tree.items()}
    if is_tensor(tree):
        return host_array(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_arrays, tree))
    return tree


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)
