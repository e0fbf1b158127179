"""Hooks that change augmentation or the head's mode at an epoch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from poise.errors import ConfigError, nearest
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = [
    "DetectionModeSwitchHook",
    "PipelineSwitchHook",
    "RTMOModeSwitchHook",
    "YOLOXModeSwitchHook",
    "YOLOXPoseModeSwitchHook",
]


@HOOKS.register_module(scope="mmdet")
class PipelineSwitchHook(Hook):
    """Trains with another pipeline from an epoch on: weaker augmentation near the end.

    Args:
        switch_epoch: epochs after which the new pipeline is used.
        switch_pipeline: its transforms.
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[dict[str, Any]]) -> None:
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._has_switched = False

    def before_train_epoch(self, runner: Any) -> None:
        """Switch once, also when a run is resumed behind the switch."""
        if runner.epoch >= self.switch_epoch and not self._has_switched:
            runner.logger.info(f"Training goes on with the pipeline of epoch {self.switch_epoch}")
            runner.set_train_pipeline(self.switch_pipeline)
            self._has_switched = True


@HOOKS.register_module()
class YOLOXPoseModeSwitchHook(Hook):
    """Ends mosaic and mixup near the end, and adds the head's auxiliary L1 loss.

    Args:
        num_last_epochs: epochs at the end that are trained so.
        new_train_dataset: dataset config for them; None keeps the dataset.
        new_train_pipeline: pipeline for them; None keeps the pipeline.
    """

    def __init__(
        self,
        num_last_epochs: int = 20,
        new_train_dataset: dict[str, Any] | None = None,
        new_train_pipeline: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.num_last_epochs = num_last_epochs
        self.new_train_dataset = new_train_dataset
        self.new_train_pipeline = new_train_pipeline
        self._has_switched = False

    def before_train_epoch(self, runner: Any) -> None:
        """Switch at the epoch, or behind it where a run is resumed."""
        if self._has_switched or runner.epoch + 1 < runner.max_epochs - self.num_last_epochs:
            return
        cfg = copy.deepcopy(runner.cfg["train_dataloader"])
        if self.new_train_dataset:
            cfg["dataset"] = self.new_train_dataset
        if self.new_train_pipeline:
            cfg["dataset"]["pipeline"] = self.new_train_pipeline
        runner.set_train_dataloader(cfg)
        self.switch_head(runner.model)
        runner.logger.info("The last epochs begin: another pipeline, auxiliary loss")
        self._has_switched = True

    def switch_head(self, model: Any) -> None:
        """Let the auxiliary loss count."""
        model.head.use_aux_loss = True


@HOOKS.register_module(scope="mmyolo")
class YOLOXModeSwitchHook(YOLOXPoseModeSwitchHook):
    """The same for `YOLODetector`, whose head says otherwise what to add.

    Args:
        num_last_epochs: epochs at the end that are trained so.
        new_train_pipeline: pipeline for them; None keeps the pipeline.
    """

    def __init__(
        self,
        num_last_epochs: int = 15,
        new_train_pipeline: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(num_last_epochs, new_train_pipeline=new_train_pipeline)

    def switch_head(self, model: Any) -> None:
        """Let the auxiliary loss count."""
        model.bbox_head.use_bbox_aux = True


@HOOKS.register_module(name="YOLOXModeSwitchHook", scope="mmdet")
class DetectionModeSwitchHook(Hook):
    """Ends mosaic and mixup of the detector YOLOX near the end, and adds its loss of raw boxes.

    Args:
        num_last_epochs: epochs at the end that are trained so.
        skip_type_keys: types of the transforms that are left out then.
    """

    def __init__(
        self,
        num_last_epochs: int = 15,
        skip_type_keys: Sequence[str] = ("Mosaic", "RandomAffine", "MixUp"),
    ) -> None:
        self.num_last_epochs = num_last_epochs
        self.skip_type_keys = skip_type_keys
        self._has_switched = False

    def before_train_epoch(self, runner: Any) -> None:
        """Switch at the epoch, or behind it where a run is resumed."""
        if self._has_switched or runner.epoch + 1 < runner.max_epochs - self.num_last_epochs:
            return
        runner.train_dataloader.dataset.update_skip_type_keys(self.skip_type_keys)
        runner.restart_workers()
        runner.model.bbox_head.use_l1 = True
        runner.logger.info("The last epochs begin: whole pictures, the loss of raw boxes")
        self._has_switched = True


@HOOKS.register_module()
class RTMOModeSwitchHook(Hook):
    """Changes attributes of the head at epochs: proxy targets, loss weights, overlaps.

    Args:
        epoch_attributes: epoch -> {dotted attribute of the head: new value}.
    """

    def __init__(self, epoch_attributes: Mapping[int, Mapping[str, Any]]) -> None:
        self.epoch_attributes = {int(e): dict(a) for e, a in epoch_attributes.items()}
        self._done: set[int] = set()

    def before_train_epoch(self, runner: Any) -> None:
        """Apply what is due; after a resume also what was due before."""
        for epoch in sorted(self.epoch_attributes):
            if epoch > runner.epoch or epoch in self._done:
                continue
            for path, value in self.epoch_attributes[epoch].items():
                _set_attribute(runner.model.head, path, value)
                runner.logger.info(f"head.{path} = {value}")
            self._done.add(epoch)


def _set_attribute(owner: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        _check_attribute(owner, name, path)
        owner = getattr(owner, name)
    _check_attribute(owner, last, path)
    setattr(owner, last, value)


def _check_attribute(owner: Any, name: str, path: str) -> None:
    if not hasattr(owner, name):
        raise ConfigError(
            f"epoch_attributes names '{path}', but {type(owner).__name__} has no "
            f"'{name}'{nearest(name, vars(owner))}"
        )
