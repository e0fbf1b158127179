"""Detectors of the zoo and of MMDetection: by name, by config file, or built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import ArgumentError, CheckpointError, ConfigError
from poise.inference.detectors.base import SelectingDetector
from poise.inference.networks.crops import picture_steps, pipeline_config
from poise.structures.config_metainfo import class_names
from poise.transforms import Compose

__all__ = ["NetworkDetector", "check_kind", "picture_pipeline", "tested"]

#: pixels of the pictures that pass together: 8 of RTMDet's, three of an R-CNN's
MOST_PIXELS = 8 * 640 * 640


class NetworkDetector(SelectingDetector):
    """A detector of the zoo or of MMDetection's config language, with its own test pipeline.

    Args:
        model: name ("rtmdet-person", "rtmdet-m", "yolox-face" ...), config file, `Config`, or a
            built detector with `cfg`.
        weights: checkpoint; None takes the released one of a name.
        device: torch device.
        score_threshold, iou_threshold, max_boxes: as `SelectingDetector`; the network's own
            suppression, within each class, and its own number of boxes come first.
        categories: classes to keep; None keeps all. Of COCO's 80, 0 is "person".

    Raises:
        ConfigError: a config that is not one of a detector that Poise has.
        ArgumentError: a config file without weights.
    """

    #: MMPose gives boxes to its pose models as the network found them
    cut_at_borders = False

    def __init__(
        self,
        model: Any,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: Any = "cpu",
        score_threshold: float = 0.3,
        iou_threshold: float | None = None,
        categories: int | Sequence[int] | None = (0,),
        max_boxes: int | None = None,
    ) -> None:
        from poise.zoo import load_config

        super().__init__(score_threshold, iou_threshold, categories, max_boxes)
        built = hasattr(model, "last_head")
        config = model.cfg if built else load_config(model)
        self.name = _name(model)
        check_kind(config, self.name)
        if built:
            self.model = model.to(device).eval()
        else:
            self.model = _loaded(model, config, weights, device)
        self._pipeline = picture_pipeline(config, self.name)
        # a threshold of its own would cut before ours
        self._own_threshold = self.model.last_head.test_cfg.get("score_thr", 0)
        self.num_classes: int = self.model.last_head.num_classes
        names = class_names(getattr(self.model, "dataset_meta", None)) or ()
        #: what its classes are called, where that is known
        self.classes = names if len(names) == self.num_classes else None

    @property
    def description(self) -> str:
        """How a log line calls it."""
        return self.described(self.name, self.classes)

    def tune(self, *, half: bool = False) -> None:
        """Rearrange the network for speed; its numbers change in the last digits.

        Args:
            half: without effect: its boxes are computed in pixels, finer than 16 bits can tell.
        """
        from poise.inference.networks.tuning import tuned

        side = self._pipeline({"img": np.zeros((64, 64, 3), np.uint8), "img_path": None})
        height, width = side["inputs"].shape[-2:]
        self.model = tuned(self.model, (width, height))

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of each picture, best first; they may reach beyond its borders."""
        import torch

        if not images:
            return []
        items = [self._pipeline({"img": image, "img_path": None}) for image in images]
        # worse boxes never suppress better ones: leaving them out early changes nothing
        self.model.last_head.test_cfg["score_thr"] = max(self._own_threshold, self.score_threshold)
        with torch.inference_mode():
            samples = tested(self.model, items)
        return [
            self.select(*_arrays(sample.pred_instances), image.shape)
            for sample, image in zip(samples, images, strict=True)
        ]


def tested(model: Any, items: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Samples with what a detector finds, in the order of the items.

    Those whose inputs have one shape pass together, as far as memory allows: beside a larger
    picture a smaller one would be padded, which changes what is found in it.

    Args:
        model: detector.
        items: what its pipeline gives, `inputs` and `data_samples`.
    """
    found: dict[int, Any] = {}
    for places in _of_one_shape(items):
        batch = {key: [items[i][key] for i in places] for key in ("inputs", "data_samples")}
        found |= dict(zip(places, model.test_step(batch), strict=True))
    return [found[i] for i in range(len(items))]


def _of_one_shape(items: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Places of items whose inputs have one shape, and are not too large together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(tuple(item["inputs"].shape), []).append(i)
    batches = []
    for shape, places in groups.items():
        most = max(1, MOST_PIXELS // (shape[-2] * shape[-1]))
        batches += [places[i : i + most] for i in range(0, len(places), most)]
    return batches


def _name(model: Any) -> str:
    from poise.zoo import find_model

    if isinstance(model, (str, os.PathLike)):
        known = find_model(os.fspath(model))
        return Path(model).stem if known is None else known.name
    return type(model).__name__


def check_kind(config: Any, name: str) -> None:
    """Refuse what is no detector of Poise's.

    Args:
        config: whole config.
        name: what an error calls it.

    Raises:
        ConfigError: not the config of a detector.
    """
    from poise.models.detectors import Detector
    from poise.registry import MODELS

    kind = (config.get("model") or {}).get("type")
    found = MODELS.get(kind, scope=config.get("default_scope")) if isinstance(kind, str) else kind
    if not (isinstance(found, type) and issubclass(found, Detector)):
        raise ConfigError(
            f"{name} is no detector that is known here: its config has model.type {kind!r}, "
            "expected RTMDet, YOLOX, FasterRCNN, CascadeRCNN, MaskRCNN, YOLOV3 or "
            "SingleStageDetector (SSDLite)"
        )


def _loaded(model: Any, config: Any, weights: Any, device: Any) -> Any:
    from poise.models.build import load_model
    from poise.zoo.whole import is_whole_model

    named = isinstance(model, str) and (is_whole_model(model) or not Path(model).is_file())
    if weights is None and not named:
        raise ArgumentError(
            f"the detector {_name(model)} needs weights: give detector=dict(name=..., "
            "weights='FILE.pth'), or on the command line --detector-weights FILE.pth"
        )
    try:
        # a name knows where its released weights are
        return load_model(model if weights is None else config, weights, device)
    except CheckpointError as error:
        if weights is None and not is_whole_model(model):
            error.add_note(
                "without a network: the detector 'auto' takes the best one that is on this "
                "machine, and nanodet, for people, comes inside the package"
            )
        raise


def picture_pipeline(config: Any, name: str) -> Compose:
    """The test pipeline of a config, which takes pictures instead of files.

    Args:
        config: whole config.
        name: what an error calls it.

    Raises:
        ConfigError: there is none.
    """
    from poise.registry import use_scope

    steps = pipeline_config(config, name=f"the config of the detector {name}")
    with use_scope(config.get("default_scope")):
        return Compose(picture_steps(steps))


def _arrays(instances: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), scores (N,), labels (N,) of tensors."""
    boxes, scores, labels = (
        instances[key].float().cpu().numpy() for key in ("bboxes", "scores", "labels")
    )
    return boxes, scores, labels
