"""Where scalars of a run are written: a JSON-lines file, TensorBoard, other loggers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, MissingDependencyError, nearest

__all__ = ["ScalarWriter"]

#: `vis_backends` of MMEngine -> Lightning's logger, the package it needs, how the folder of
#: the run is passed to it.
_LOGGERS = {
    "TensorboardVisBackend": ("TensorBoardLogger", "tensorboard", "save_dir"),
    "WandbVisBackend": ("WandbLogger", "wandb", "save_dir"),
    "MLflowVisBackend": ("MLFlowLogger", "mlflow", "save_dir"),
    "CometVisBackend": ("CometLogger", "comet_ml", None),
    "NeptuneVisBackend": ("NeptuneLogger", "neptune", None),
}


class ScalarWriter:
    """Writes named numbers with a step to every place that a config lists.

    Args:
        folder: where files go; `vis_data/scalars.json` is written below it.
        backends: `vis_backends` of a config. `LocalVisBackend` (the JSON lines) is always on.
        enabled: False on all processes but the first.

    Raises:
        ConfigError: an unknown backend. MissingDependencyError: its package is missing.
    """

    def __init__(self, folder: Path, backends: Any = (), *, enabled: bool = True) -> None:
        self.path = folder / "vis_data" / "scalars.json"
        self.enabled = enabled
        self._loggers = [_logger(dict(b), folder) for b in backends or ()] if enabled else []

    def write(self, values: Mapping[str, Any], *, step: int, group: str) -> None:
        """Write one line; `group` ("train", "val") is put before the names in other loggers."""
        if not self.enabled:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(dict(values)) + "\n")
        numbers = {f"{group}/{k}": v for k, v in values.items() if isinstance(v, (int, float))}
        for logger in filter(None, self._loggers):
            logger.log_metrics(numbers, step=step)

    def close(self) -> None:
        """Flush what is buffered."""
        for logger in filter(None, self._loggers):
            logger.finalize("success")


def _logger(cfg: dict[str, Any], folder: Path) -> Any:
    """Lightning's logger of one `vis_backends` entry; None for the local one."""
    name = str(cfg.pop("type")).rpartition(".")[2]
    if name == "LocalVisBackend":
        return None
    if name not in _LOGGERS:
        raise ConfigError(
            f"vis_backends names '{name}', which is not known{nearest(name, _LOGGERS)} Known: "
            f"LocalVisBackend, {', '.join(_LOGGERS)}"
        )
    kind, package, folder_key = _LOGGERS[name]
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"vis_backends names {name}, which needs the package {package}: pip install {package}"
        )
    loggers = importlib.import_module("lightning.pytorch.loggers")
    cfg.pop("save_dir", None)
    args = {
        **(cfg.pop("init_kwargs", None) or {}),
        **({folder_key: str(folder)} if folder_key else {}),
    }
    return getattr(loggers, kind)(**args)
