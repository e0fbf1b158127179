"""Where scalars and pictures of a run go: files, TensorBoard, other loggers."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from poise.errors import ConfigError, MissingDependencyError
from poise.registry import VISBACKENDS

__all__ = ["ClearMLVisBackend", "LightningBackend", "LocalVisBackend", "ScalarWriter"]


@dataclass(frozen=True)
class _Service:
    """How one of MMEngine's `vis_backends` becomes a logger of Lightning.

    Attributes:
        logger: class of Lightning. package: what it needs.
        folder: argument that says where files go, if it has one.
        renamed: MMEngine's argument -> Lightning's.
        defaults: of the run's folder and the arguments given, further arguments.
        picture: hands (logger, name, picture (H, W, 3) uint8 RGB, step) to the service.
    """

    logger: str
    package: str
    picture: Callable[[Any, str, Any, int], Any]
    folder: str | None = "save_dir"
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Callable[[Path, Mapping[str, Any]], Mapping[str, str]] = lambda folder, given: {}


def _to_tensorboard(logger: Any, name: str, picture: Any, step: int) -> None:
    logger.experiment.add_image(name, picture, step, dataformats="HWC")


def _to_wandb(logger: Any, name: str, picture: Any, step: int) -> None:
    logger.log_image(name, [picture], step=step)


def _to_mlflow(logger: Any, name: str, picture: Any, step: int) -> None:
    # a file of its own: all versions of MLflow take one
    logger.experiment.log_image(logger.run_id, picture, f"{name}_{step}.png")


def _to_comet(logger: Any, name: str, picture: Any, step: int) -> None:
    logger.experiment.log_image(picture, name=name, step=step)


def _mlflow_in(folder: Path, given: Mapping[str, Any]) -> Mapping[str, str]:
    """A data base in the run's folder, where no server is named: MLflow 3 refuses plain files."""
    if given.get("tracking_uri") or "MLFLOW_TRACKING_URI" in os.environ:
        return {}
    here = folder.resolve()
    here.mkdir(parents=True, exist_ok=True)
    return {"tracking_uri": f"sqlite:///{here}/mlflow.db", "artifact_location": f"{here}/mlflow"}


_SERVICES = {
    "TensorboardVisBackend": _Service("TensorBoardLogger", "tensorboard", _to_tensorboard),
    "WandbVisBackend": _Service("WandbLogger", "wandb", _to_wandb),
    "MLflowVisBackend": _Service(
        "MLFlowLogger",
        "mlflow",
        _to_mlflow,
        renamed={"exp_name": "experiment_name"},
        defaults=_mlflow_in,
    ),
    "CometVisBackend": _Service(
        "CometLogger", "comet_ml", _to_comet, None, {"project_name": "project"}
    ),
}
#: Arguments of MMEngine without a counterpart; they change nothing about scalars and pictures.
_UNUSED = (
    "artifact_suffix",
    "commit",
    "define_metric_cfg",
    "log_code_name",
    "params",
    "tracked_config_keys",
    "watch_kwargs",
)
#: Backends of MMEngine without a logger in Lightning.
_WITHOUT = ("AimVisBackend", "DVCLiveVisBackend", "NeptuneVisBackend")


@VISBACKENDS.register_module(scope="mmengine")
class LocalVisBackend:
    """Appends scalars to `vis_data/scalars.json`, one JSON object a line; pictures beside it.

    Args:
        save_dir: folder of the run.
        img_save_dir: folder of pictures in `vis_data`.
        scalar_save_file: name of the file of scalars.
        config_save_file: of MMEngine; not used.
    """

    def __init__(
        self,
        save_dir: str | Path,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        self.path = Path(save_dir) / "vis_data" / scalar_save_file
        self.pictures = self.path.parent / img_save_dir

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Write one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**scalar_dict, "step": scalar_dict.get("step", step)}) + "\n")

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Write a picture (H, W, 3) uint8 RGB to `vis_image/NAME_STEP.png`."""
        from poise.visualization.files import write_picture

        write_picture(image, self.pictures / f"{name}_{step}.png")

    def close(self) -> None:
        """Nothing is buffered."""


class LightningBackend:
    """Hands scalars and pictures to one of Lightning's loggers.

    Args:
        logger: a Lightning logger.
        picture: how a picture is handed to its service, as in the table of services.
    """

    def __init__(self, logger: Any, picture: Callable[[Any, str, Any, int], Any]) -> None:
        self.logger = logger
        self._picture = picture

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: Any = None,
        *,
        group: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log the numbers among the values, as "train/loss" where `group` is given."""
        numbers = {
            f"{group}/{k}" if group else k: v
            for k, v in scalar_dict.items()
            if isinstance(v, (int, float))
        }
        self.logger.log_metrics(numbers, step=step)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Log a picture (H, W, 3) uint8 RGB."""
        self._picture(self.logger, name, image, step)

    def close(self, status: str = "success") -> None:
        """Flush what is buffered; `status` of the run, "success" or "failed"."""
        self.logger.finalize(status)


@VISBACKENDS.register_module(scope="mmengine")
class ClearMLVisBackend:
    """Hands scalars and pictures to ClearML, for which Lightning has no logger.

    Args:
        save_dir: of MMEngine; not used.
        init_kwargs: arguments of `clearml.Task.init`, such as `project_name`.
        artifact_suffix: of MMEngine; not used.
    """

    def __init__(
        self,
        save_dir: str | Path | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        artifact_suffix: Any = (".py", ".pth"),
    ) -> None:
        _require("ClearMLVisBackend", "clearml")
        clearml = importlib.import_module("clearml")
        self.task = clearml.Task.init(**(init_kwargs or {}))
        self.logger = self.task.get_logger()

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: Any = None, **kwargs: Any
    ) -> None:
        """Report the numbers among the values, "coco/AP" as the series AP of the title coco."""
        for key, value in scalar_dict.items():
            if isinstance(value, (int, float)):
                title, _, series = key.partition("/")
                self.logger.report_scalar(title, series or title, value, iteration=step)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Report a picture (H, W, 3) uint8 RGB."""
        self.logger.report_image("pictures", name, iteration=step, image=image)

    def close(self) -> None:
        """End the task."""
        self.task.close()


def _require(name: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"vis_backends names {name}, which needs the package {package}: "
            f"pip install 'poise[{package.removesuffix('_ml')}]'"
        )


def _factory(name: str, service: _Service) -> Callable[..., LightningBackend]:
    """What builds the backend `name` from its config."""

    def build(
        save_dir: str | Path, init_kwargs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> LightningBackend:
        _require(name, service.package)
        loggers = importlib.import_module("lightning.pytorch.loggers")
        given = {**(init_kwargs or {}), **kwargs}
        args = {service.renamed.get(k, k): v for k, v in given.items() if k not in _UNUSED}
        if service.folder:
            args.setdefault(service.folder, str(save_dir))
        args = {**service.defaults(Path(save_dir), args), **args}
        return LightningBackend(getattr(loggers, service.logger)(**args), service.picture)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Scalars and pictures through Lightning's {service.logger}."
    return build


def _absent(name: str) -> Callable[..., Any]:
    """What tells that a backend does not exist here."""

    def build(save_dir: Any = None, init_kwargs: Any = None, **kwargs: Any) -> Any:
        raise ConfigError(
            f"{name} does not exist here: Lightning has no logger for it. There are "
            f"{', '.join([*_SERVICES, 'ClearMLVisBackend', 'LocalVisBackend'])}; any object "
            "with add_scalars(scalar_dict, step) may stand in vis_backends, too"
        )

    build.__name__ = build.__qualname__ = name
    build.__doc__ = "Says that Lightning has no logger for it."
    return build


for _name, _service in _SERVICES.items():
    globals()[_name] = VISBACKENDS.register_module(
        module=_factory(_name, _service), scope="mmengine"
    )
for _name in _WITHOUT:
    globals()[_name] = VISBACKENDS.register_module(module=_absent(_name), scope="mmengine")


class ScalarWriter:
    """Writes named numbers and pictures with a step to every place that a config lists.

    Args:
        folder: where files go; `vis_data/scalars.json` is written below it in any case.
        backends: `vis_backends` of a config: dicts, or objects with
            `add_scalars(scalar_dict, step)` and, where they take pictures,
            `add_image(name, image, step)`.
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

    def send_picture(self, name: str, picture: Any, *, step: int) -> None:
        """Hand a picture (H, W, 3) uint8 RGB, which is a file already, to all but the files."""
        for backend in self.backends:
            if hasattr(backend, "add_image") and not isinstance(backend, LocalVisBackend):
                backend.add_image(name, picture, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Flush what is buffered, and let services know whether the run failed."""
        for backend in self.backends:
            if isinstance(backend, LightningBackend):
                backend.close("success" if kind is None else "failed")
            elif hasattr(backend, "close"):
                backend.close()
