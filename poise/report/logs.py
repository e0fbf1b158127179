"""Scalars of a run read back from its folder, of Poise or of MMPose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise.errors import DataError, FileMissingError

__all__ = ["RunLog", "read_run"]

Row = dict[str, float]

#: Name of the file of scalars, in `TIMESTAMP/vis_data`.
SCALARS = "scalars.json"
#: Keys of a training line that are not curves.
_COUNTERS = ("epoch", "iter", "step")
#: Means of these are taken over the whole run, as they do not go anywhere.
_SPEEDS = ("time", "data_time", "memory")


@dataclass(frozen=True)
class RunLog:
    """What a run wrote while it trained.

    Attributes:
        name: of the run: its folder, or the file.
        train: a row per line of the log, in the order of iterations.
        val: a row per validation; `epoch` or `iter` is that of the training before it.
        path: what was read.
    """

    name: str
    train: list[Row] = field(default_factory=list)
    val: list[Row] = field(default_factory=list)
    path: Path | None = None

    def keys(self, part: str) -> list[str]:
        """Names of the curves of a part ("train" or "val"), in the order of the file."""
        rows = getattr(self, part)
        found = dict.fromkeys(k for row in rows for k in row)
        return [k for k in found if k not in _COUNTERS]

    def curve(self, key: str, part: str | None = None) -> tuple[list[float], list[float]]:
        """Iterations and values of a scalar; of a part, or of the first part that has it."""
        parts = [part] if part else ["train", "val"]
        for name in parts:
            rows = [r for r in getattr(self, name) if key in r]
            if rows:
                return [r["iter"] for r in rows], [r[key] for r in rows]
        return [], []

    def summary(self) -> dict[str, float]:
        """Last losses, mean times and best metrics, by the names that a table shows."""
        out: dict[str, float] = {}
        if self.train:
            last = self.train[-1]
            out |= {"epochs": last.get("epoch", math.nan), "iterations": last["iter"]}
            out |= {k: v for k, v in last.items() if k not in (*_COUNTERS, *_SPEEDS)}
            for key in _SPEEDS:
                values = self.curve(key, "train")[1]
                # the first line holds the start of workers and caches
                values = values[1:] or values
                if values:
                    out[key] = sum(values) / len(values)
        for key in self.keys("val"):
            if key in _SPEEDS:
                continue
            values = [v for v in self.curve(key, "val")[1] if math.isfinite(v)]
            if values:
                out[f"{key} (last)"] = values[-1]
                out[f"{key} (highest)"] = max(values)
                out[f"{key} (lowest)"] = min(values)
        return out


def read_run(path: str | Path) -> RunLog:
    """Log of a run.

    Args:
        path: folder of the run (all of its starts are joined; a resumed part replaces what
            was trained twice), folder of one start, or a file of JSON lines.

    Raises:
        FileMissingError: there is no such path, or no file of scalars in it.
        DataError: a line that is not JSON, other than a last one that was cut off.
    """
    path = Path(path)
    if not path.exists():
        raise FileMissingError(f"{path} does not exist; give the folder of a run")
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise FileMissingError(
            f"no {SCALARS} in {path} or below it (runs write it to "
            f"TIMESTAMP/vis_data/{SCALARS}); give the folder of a run, or a file of JSON lines"
        )
    train: dict[float, Row] = {}
    val: dict[float, Row] = {}
    for file in files:
        rows = list(_rows(file))
        started = next((r["iter"] for r in rows if "iter" in r), None)
        if started is not None:
            # what a killed run had trained beyond its last checkpoint was trained again
            train = {i: r for i, r in train.items() if i < started}
            val = {i: r for i, r in val.items() if i < started}
        _sort_in(rows, train, val)
    if not train and not val:
        raise DataError(f"{files[-1]} holds no scalars of a training yet")
    name = path.stem if path.is_file() else path.resolve().name
    return RunLog(name, list(train.values()), list(val.values()), path)


def _files(folder: Path) -> list[Path]:
    """Files of scalars in a folder, oldest start first; of MMPose 0.x the `.log.json`."""
    found = sorted(folder.glob(f"**/{SCALARS}"), key=lambda p: str(p.relative_to(folder)))
    return found or sorted(folder.glob("*.log.json"))


def _rows(file: Path) -> Iterable[Row]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return  # a kill in the middle of a write
            raise DataError(f"{file}, line {number} is not JSON: {error.msg}") from error
        if isinstance(row, Mapping):
            yield {k: v for k, v in row.items() if _is_number(v) or k == "mode"}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sort_in(rows: list[Row], train: dict[float, Row], val: dict[float, Row]) -> None:
    """Put lines into `train` and `val` by iteration.

    A validation's line has no iteration: its `step` is the epoch, or the iteration where
    metrics are logged by iteration; it belongs to the training line before it, as what a hook of
    the user's logs does.
    """
    last = train[max(train)] if train else {"iter": 0, "epoch": 0}
    for row in rows:
        mode = row.pop("mode", None)
        if mode == "train" or (mode is None and ("loss" in row or "lr" in row)):
            row.setdefault("iter", row.get("step", last["iter"] + 1))
            last = row
            train[row["iter"]] = row
        else:
            at = row["iter"] if "iter" in row else max(last["iter"], row.get("step", 0))
            epoch = row.get("epoch", last.get("epoch", 0))
            val[at] = {**val.get(at, {}), **row, "iter": at, "epoch": epoch}
