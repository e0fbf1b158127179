"""From what a caller says about the detector to the detector."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import ArgumentError, ConfigError, UnknownNameError, nearest
from poise.inference.detectors.base import BatchDetector
from poise.inference.detectors.simple import CallableDetector, FixedBoxes, WholeImage
from poise.inference.detectors.targets import Wanted, target_of, wanted_classes
from poise.inference.detectors.tiled import TiledDetector
from poise.runtimes import is_exported_name, read_metadata

__all__ = ["TARGETS", "best_detectors", "build_detector"]

#: what a pose model looks at -> detectors by quality, for "rtmdet" and for "auto"
_BEST = {
    "person": ("rtmdet-person", "rtmdet-nano-person", "rtmdet-m"),
    "hand": ("rtmdet-hand",),
    "face": ("yolox-face",),
    "animal": ("rtmdet-m", "rtmdet-l", "rtmdet-s"),
}
#: what pose models look at that there are detectors for
TARGETS = tuple(_BEST)
_TORCHVISION = "torchvision:"
#: first arguments of detectors, which are no options
_POSITIONAL = ("model", "path", "function", "boxes", "better", "device")
_CONFIG_FILES = (".py", ".json", ".yaml", ".yml")


def build_detector(
    detector: Any,
    metainfo: Mapping[str, Any] | None = None,
    *,
    device: Any = "cpu",
    weights: str | os.PathLike[str] | None = None,
    tiles: Any = None,
    **options: Any,
) -> BatchDetector:
    """Detector of a name, a file, a model, a callable or an object.

    Args:
        detector: one of

            - "auto": for the target of the pose model the best detector whose weights are on this
              machine; else the embedded one for people, and the whole picture for other things;
            - "nanodet": the embedded person detector;
            - "rtmdet": RTMDet for the target; "rtmdet-person", "rtmdet-nano-person",
              "rtmdet-hand", "rtmdet-tiny", -s, -m, -l, -x, "yolox-face", "yolox-tiny" ... and
              every other name or path of a detector that `load_config` knows. Released weights
              are downloaded where they are not here;
            - a config file, with `weights`, or a whole model (`.safetensors`);
            - "torchvision:fasterrcnn_resnet50_fpn_v2" or another of torchvision's, or such a model;
            - a file ".onnx", see `OnnxDetector`;
            - "whole-image" or None: the whole picture is one box;
            - an array (N, 4 or 5): the same boxes in every picture;
            - a callable that takes a picture (H, W, 3) uint8 BGR and returns boxes (N, 4 or 5);
            - a `BatchDetector`, which is taken as it is;
            - a dict of all this: dict(name="rtmdet-m", weights="m.pth", score_threshold=0.5).
        metainfo: parsed schema of the pose model, which says what to look for; None: people.
            Of a detector whose classes have names, those of the pose model's categories count,
            and boxes tell which they are; where none is called so, all do.
        device: where a network runs.
        weights: checkpoint of the detector.
        tiles: look at large pictures in tiles, too: "3x2", 640, "auto", as
            `poise.inference.boxes.Tiling`; None: at the whole alone.
        **options: `score_threshold`, `iou_threshold`, `categories`, `max_boxes` and what else
            the detector takes.

    Raises:
        UnknownNameError: a name that is none of these.
        ArgumentError: something that is no detector; an option that it does not take; tiles that
            are none.
        ConfigError: a detector that Poise does not have, or one that does not know the target.
        MissingDependencyError: a detector that runs on torch, which is not installed.
    """
    if tiles is not None:
        found = build_detector(detector, metainfo, device=device, weights=weights, **options)
        return TiledDetector(found, tiles)
    if isinstance(detector, Mapping):
        return _of_dict(detector, metainfo, device, weights, options)
    target = "person" if metainfo is None else target_of(metainfo)
    if isinstance(detector, str) and detector in _SHORT:
        detector = _SHORT[detector](target)
    if weights is not None:
        options = {**options, "weights": weights}
    if detector is None:
        return _made(WholeImage, options)
    if isinstance(detector, BatchDetector):
        _refuse(options, type(detector).__name__, ())
        return detector
    if isinstance(detector, (str, os.PathLike)):
        return _of_text(os.fspath(detector), metainfo, device, options)
    if isinstance(detector, (list, tuple, np.ndarray)):
        return _made(FixedBoxes, options, detector)
    return _of_object(detector, target, device, options)


def _of_dict(
    spec: Mapping[str, Any], metainfo: Any, device: Any, weights: Any, options: dict[str, Any]
) -> BatchDetector:
    """Detector of a dict with its name and options, or of a config tree."""
    if "model" in spec:
        # a whole config
        options = {"categories": None, **options, "weights": weights}
        return _made(_network(), options, spec, device=device)
    if "name" not in spec:
        raise ArgumentError(
            "a dict for the detector has 'name' and options, dict(name='rtmdet-m', "
            f"score_threshold=0.5), or is a whole config with 'model'; got {sorted(map(str, spec))}"
        )
    own = {key: value for key, value in spec.items() if key != "name"}
    if weights is not None:
        own["weights"] = weights
    return build_detector(spec["name"], metainfo, **{"device": device, **options, **own})


def best_detectors(target: str) -> tuple[str | None, str]:
    """What "auto" takes, and what it would take at best.

    Args:
        target: "person", "hand", "face" or "animal".

    Returns:
        name of the best detector whose weights are on this machine, None where there is none; and
        name of the best one there is.
    """
    from poise.zoo import default_weights

    known = _BEST[target]
    at_hand = next((name for name in known if default_weights(name) is not None), None)
    return at_hand or ("nanodet" if target == "person" else None), known[0]


def _at_hand(target: str | None) -> Any:
    """The best detector for a target whose weights are on this machine."""
    if target not in _BEST:
        return WholeImage()
    found, best = best_detectors(target)
    return found or WholeImage(better=best)


#: names that depend on the target, or need no weights of their own
_SHORT: dict[str, Callable[[str | None], Any]] = {
    "auto": _at_hand,
    "nanodet": lambda _target: "nanodet",
    "rtmdet": lambda target: _BEST.get(target or "", _BEST["person"])[0],
    "whole-image": lambda _target: None,
}


def _of_text(text: str, metainfo: Any, device: Any, options: dict[str, Any]) -> BatchDetector:
    """Detector of a name or a file."""
    if is_exported_name(text):
        return _of_exported(text, metainfo, options)
    if text != "nanodet" and not text.startswith(_TORCHVISION):
        _check_name(text)
    _require_torch(text)
    if text == "nanodet" and "weights" not in options:
        from poise.inference.detectors.nanodet import NanoDetDetector

        return _made(NanoDetDetector, options, device=device)
    if text.startswith(_TORCHVISION):
        from poise.inference.detectors.torchvision_model import TorchvisionDetector

        return _made(TorchvisionDetector, options, text.removeprefix(_TORCHVISION), device=device)
    if "weights" not in options:
        # before anything is downloaded
        _wanted(text, *_classes_in(text), metainfo)
    made = _made(_network(), {"categories": None, **options}, text, device=device)
    return made if "categories" in options else _for_target(made, text, metainfo)


def _of_exported(text: str, metainfo: Any, options: dict[str, Any]) -> BatchDetector:
    """Detector of a file that a network was exported to, by Poise or by others."""
    about = read_metadata(text)
    if about.get("kind") == "boxes":
        from poise.inference.detectors.exported import ExportedDetector

        made = _made(ExportedDetector, {"categories": None, **options}, text)
        return made if "categories" in options else _for_target(made, text, metainfo)
    from poise.inference.detectors.onnx_file import OnnxDetector

    if "dataset_meta" in about:
        raise ConfigError(f"'{text}' is a pose model, not a detector; give it as --model")
    if Path(text).is_file() and Path(text).suffix.lower() != ".onnx":
        raise ConfigError(
            f"'{text}' is no file of a detector that is run here: expected RTMDet or YOLOX in any "
            "form that `poise export` writes, or an .onnx file, such as of nanodet. The embedded "
            "one needs no file: 'nanodet'"
        )
    return _made(OnnxDetector, options, text)


def _require_torch(text: str) -> None:
    """Say what to do where a detector's network has nothing to run on."""
    needed(
        "torch",
        f"the detector '{text}' runs on torch, which is not installed here. Without torch, "
        "give boxes, the ONNX file of a detector (`poise export nanodet --out nanodet.onnx` "
        "writes one where torch is), detector='whole-image', or a callable: picture -> boxes "
        "(N, 5)",
    )


def _check_name(text: str) -> None:
    """Refuse names that are no detectors."""
    from poise.zoo import find_model, models
    from poise.zoo.refused import refusal

    if Path(text).is_file():
        return
    refused = refusal(Path(text).stem)
    if refused is not None:
        raise ConfigError(refused)
    model = find_model(text)
    if (model is not None and model.is_detector) or text.endswith(_CONFIG_FILES):
        # of a missing file, reading it tells more
        return
    if model is not None:
        raise ConfigError(
            f"'{text}' is a pose model, not a detector; `poise zoo list --task detection` lists "
            "detectors"
        )
    detectors = [m for m in models().values() if m.is_detector]
    names = [*_SHORT, *(name for m in detectors for name in (*m.aliases, m.name))]
    hint = nearest(text, names) or "."
    raise UnknownNameError(
        f"there is no detector '{text}'{hint} Give one of auto, nanodet, rtmdet, "
        "rtmdet-person, rtmdet-hand, yolox-face, rtmdet-tiny ... rtmdet-x, "
        "torchvision:fasterrcnn_resnet50_fpn_v2, whole-image, the config or ONNX file of a "
        "detector, or a callable: picture -> boxes (N, 5)"
    )


def _classes_in(text: str) -> tuple[int | None, tuple[str, ...] | None]:
    """How many classes the detector of a name has, and what they are called."""
    from poise.structures.config_metainfo import classes_of
    from poise.zoo import load_config

    config = load_config(text)
    model = config.get("model") or {}
    head = (model.get("roi_head") or model).get("bbox_head") or {}
    last = head[-1] if isinstance(head, list) else head
    return last.get("num_classes"), classes_of(config)


def _wanted(text: str, count: Any, names: Sequence[str] | None, metainfo: Any) -> Wanted:
    """Classes that the pose model is for.

    Raises:
        ConfigError: a detector of COCO's classes, and there is no such one among them.
    """
    found = wanted_classes(count, names, metainfo)
    if found is None:
        target = str(target_of(metainfo))
        raise ConfigError(
            f"'{text}' knows COCO's 80 classes, and there is no '{target}' among them; use "
            f"{_BEST[target][0]}, or say categories=[...]"
        )
    return found


def _for_target(detector: Any, text: str, metainfo: Any) -> BatchDetector:
    """The same detector, which keeps what the pose model is for."""
    wanted = _wanted(text, detector.num_classes, detector.classes, metainfo)
    detector.categories, detector.category_ids = wanted
    made: BatchDetector = detector
    return made


def _of_object(
    detector: Any, target: str | None, device: Any, options: dict[str, Any]
) -> BatchDetector:
    """Detector of a built network or a callable."""
    if hasattr(detector, "last_head") and hasattr(detector, "cfg"):
        return _made(_network(), {"categories": None, **options}, detector, device=device)
    module = type(detector).__module__
    if module.startswith("torchvision.models.detection"):
        from poise.inference.detectors.torchvision_model import TorchvisionDetector

        return _made(TorchvisionDetector, options, detector, device=device)
    if callable(detector):
        return _made(CallableDetector, options, detector)
    raise ArgumentError(
        f"detector should be a name (auto, nanodet, rtmdet ...), a file, None, or a callable that "
        f"takes a picture (H, W, 3) in BGR order and returns boxes (N, 5), got "
        f"{type(detector).__name__}"
    )


def _network() -> Any:
    from poise.inference.detectors.network import NetworkDetector

    return NetworkDetector


def _made(
    kind: Callable[..., Any], options: Mapping[str, Any], *args: Any, **kwargs: Any
) -> BatchDetector:
    """Build a detector.

    Raises:
        ArgumentError: an option that it does not take.
    """
    takes = inspect.signature(kind).parameters
    _refuse(options, kind.__name__, [name for name in takes if name not in _POSITIONAL])
    detector: BatchDetector = kind(*args, **options, **kwargs)
    return detector


def _refuse(options: Mapping[str, Any], kind: str, takes: Sequence[str]) -> None:
    """Name an option that a detector does not take."""
    for name in options:
        if name not in takes:
            raise ArgumentError(
                f"the detector {kind} does not take '{name}'; it takes "
                f"{', '.join(takes) or 'no options'}{nearest(name, takes)}"
            )
