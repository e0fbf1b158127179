"""Where scalars of a run are written: a JSON-lines file, TensorBoard, other loggers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from poise.errors import MissingDependencyError
from poise.registry import VISBACKENDS

__all__ = ["LightningBackend", "LocalVisBackend", "ScalarWriter"]

#: `vis_backends` of MMEngine -> Lightning's logger, the package it needs, the argument that
#: says where files go.
_LOGGERS = {
    "TensorboardVisBackend": ("TensorBoardLogger", "tensorboard", "save_dir"),
    "WandbVisBackend": ("WandbLogger", "wandb", "save_dir"),
    "MLflowVisBackend": ("MLFlowLogger", "mlflow", "save_dir"),
    "CometVisBackend": ("CometLogger", "comet_ml", None),
    "NeptuneVisBackend": ("NeptuneLogger", "neptune", None),
}


@VISBACKENDS.register_module(scope="mmengine")
class LocalVisBackend:
    """Appends scalars to `vis_data/scalars.json`, one JSON object a line.

    Args:
        save_dir: folder of the run.
        scalar_save_file: name of the file.
        img_save_dir, config_save_file: of MMEngine; not used.
    """

    def __init__(
        self,
        save_dir: str | Path,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        self.path = Path(save_dir) / "vis_data" / scalar_save_file

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Write one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({**scalar_dict, "step": scalar_dict.get("step", step)}) + "\n")

    def close(self) -> None:
        """Nothing is buffered."""


class LightningBackend:
    """Hands scalars to one of Lightning's loggers.

    Args:
        logger: a Lightning logger.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Log the numbers among the values, as "train/loss" where `group` is given."""
        group = kwargs.get("group")
        numbers = {
            f"{group}/{k}" if group else k: v
            for k, v in scalar_dict.items()
            if isinstance(v, (int, float))
        }
        self.logger.log_metrics(numbers, step=step)

    def close(self) -> None:
        """Flush what is buffered."""
        self.logger.finalize("success")


def _factory(name: str) -> Callable[..., LightningBackend]:
    """What builds the backend `name` from its config."""
    kind, package, folder = _LOGGERS[name]

    def build(
        save_dir: str | Path, init_kwargs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> LightningBackend:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"vis_backends names {name}, which needs a package: pip install {package}"
            )
        loggers = importlib.import_module("lightning.pytorch.loggers")
        args = {**(init_kwargs or {}), **({folder: str(save_dir)} if folder else {})}
        return LightningBackend(getattr(loggers, kind)(**args))

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Scalars through Lightning's {kind}."
    return build


for _name in _LOGGERS:
    globals()[_name] = VISBACKENDS.register_module(module=_factory(_name), scope="mmengine")


class ScalarWriter:
    """Writes named numbers with a step to every place that a config lists.

    Args:
        folder: where files go; `vis_data/scalars.json` is written below it in any case.
        backends: `vis_backends` of a config: dicts, or objects with
            `add_scalars(scalar_dict, step)`.
        enabled: False on all processes but the first.

    Raises:
        UnknownNameError: an unknown backend. MissingDependencyError: its package is missing.
    """

    def __init__(self, folder: Path, backends: Any = (), *, enabled: bool = True) -> None:
        local = LocalVisBackend(folder)
        self.path = local.path
        self.backends: list[Any] = []
        if not enabled:
            return
        built = [VISBACKENDS.build(b, save_dir=str(folder)) for b in backends or ()]
        others = [b for b in built if not isinstance(b, LocalVisBackend)]
        self.backends = [local, *others]

    def write(self, values: Mapping[str, Any], *, step: int, group: str) -> None:
        """Write values at an iteration; `group` is "train" or "val"."""
        for backend in self.backends:
            if isinstance(backend, LightningBackend):
                backend.add_scalars(values, step, group=group)
            else:
                backend.add_scalars(dict(values), step)

    def close(self) -> None:
        """Flush what is buffered."""
        for backend in self.backends:
            if hasattr(backend, "close"):
                backend.close()
