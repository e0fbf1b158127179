"""What a page must know of its networks, from the metadata of their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise import codecs
from poise._arrays import Array
from poise.codecs.megvii_heatmap import PEAK
from poise.codecs.movenet import HALF_DISTANCE
from poise.codecs.utils.blur import gaussian_taps
from poise.errors import ConfigError
from poise.inference.detectors.nanodet import NanoDetDetector
from poise.inference.detectors.onnx_file import YOLO_IOU
from poise.inference.detectors.targets import wanted_classes
from poise.inference.networks.crops import WarpCrops, read_test_pipeline
from poise.registry import KEYPOINT_CODECS, use_scope
from poise.runtimes import open_onnx

__all__ = ["control_values", "detector_plan", "made_picture", "pose_plan"]

#: Values of each output that a page compares with its own, and of one-stage models the best scores.
_COMPARED, _BEST = 64, 8
#: Boxes a picture at most, of the embedded detector.
_MOST_BOXES = 100


def pose_plan(about: Mapping[str, Any]) -> dict[str, Any]:
    """Kind, input and decoding of a pose model.

    Args:
        about: metadata of its file, or of its plan.

    Raises:
        ConfigError: a page cannot run it; the text says what can be done.
    """
    # the embedded detector's says little
    kind = about.get("kind", "topdown" if "codec" in about else "boxes")
    if kind not in ("topdown", "people"):
        what = {
            "maps": "whose people are put together from maps (associative embedding, DEKR, CID) or "
            "queries (ED-Pose)",
            "topdown3d": "of 3D keypoints",
            "lifter": "that lifts keypoints to 3D",
            "boxes": "that finds boxes alone (give it as --detector of a pose model)",
        }.get(kind, f"of the kind '{kind}'")
        raise ConfigError(
            f"a web page runs top-down models and RTMO or YOLOX-Pose, not one {what}; export it as "
            ".onnx, and show it by `poise serve`"
        )
    with use_scope(about.get("default_scope")):
        pipeline = read_test_pipeline({**about, "test_pipeline": about["pipeline"]})
    steps = {type(step).__name__: step for step in pipeline.transforms}
    return {"kind": kind, **(_topdown if kind == "topdown" else _people)(about, pipeline, steps)}


def _topdown(about: Mapping[str, Any], pipeline: Any, steps: Mapping[str, Any]) -> dict[str, Any]:
    if not WarpCrops.suits(pipeline):
        raise ConfigError(
            "a web page cuts crops as the pipeline LoadImage, GetBBoxCenterScale, TopdownAffine, "
            f"PackPoseInputs does; the model's has {', '.join(steps)}. Show it by `poise serve`"
        )
    affine = steps["TopdownAffine"]
    with use_scope(about.get("default_scope")):
        codec = KEYPOINT_CODECS.build(about["codec"])
    if type(codec) not in _CODECS:
        raise ConfigError(
            f"a web page decodes {', '.join(known.__name__ for known in _CODECS)}, not "
            f"{type(codec).__name__}; show the model by `poise serve`"
        )
    return {
        "size": list(affine.input_size),
        "udp": bool(affine.use_udp),
        "padding": steps["GetBBoxCenterScale"].padding,
        "codec": _CODECS[type(codec)](codec),
    }


def _people(about: Mapping[str, Any], pipeline: Any, steps: Mapping[str, Any]) -> dict[str, Any]:
    if "BottomupRandomChoiceResize" in steps:
        raise ConfigError(
            "a web page keeps the shape of pictures, which RF-DETR stretches; show the model by "
            "`poise serve`"
        )
    fits = steps.get("BottomupResize")
    if fits is not None and (fits.use_udp or fits.aug_scales):
        raise ConfigError(
            "a web page fits pictures by BottomupResize without use_udp and aug_scales; show the "
            "model by `poise serve`"
        )
    return {
        "size": about["input_size"],
        "padding": _level(about["padding"]),
        "fit": "resize" if fits is None else "warp",
        "select": about["select"],
    }


def _level(padding: Any) -> list[float]:
    """Blue, green and red of what lies beside a picture."""
    return [float(v) for v in np.broadcast_to(padding, 3)]


def _taps(kernel: int) -> list[float]:
    taps: list[float] = gaussian_taps(kernel).tolist()
    return taps


def _msra(codec: Any) -> dict[str, Any]:
    name = "dark" if codec.unbiased else "quarter"
    return {
        "name": name,
        "factor": _plain(codec.scale_factor),
        "taps": _taps(codec.blur_kernel_size),
    }


def _udp(codec: Any) -> dict[str, Any]:
    factor = np.array(codec.input_size) / (np.array(codec.heatmap_size) - 1)
    if codec.heatmap_type == "gaussian":
        return {"name": "udp", "factor": _plain(factor), "taps": _taps(codec.blur_kernel_size)}
    return {
        "name": "combined",
        "factor": _plain(factor),
        "taps": _taps(2 * codec.blur_kernel_size + 1),
        "radius": codec.radius_factor * max(codec.heatmap_size),
    }


def _megvii(codec: Any) -> dict[str, Any]:
    factor, taps = _plain(codec.scale_factor), _taps(codec.kernel_size)
    return {"name": "megvii", "factor": factor, "taps": taps, "peak": PEAK}


def _simcc(codec: Any) -> dict[str, Any]:
    taps = [_taps(codec._blur_size(axis)) for axis in range(2)] if codec.use_dark else None
    return {"name": "simcc", "ratio": codec.simcc_split_ratio, "taps": taps}


def _regression(codec: Any) -> dict[str, Any]:
    return {"name": "regression", "size": list(codec.input_size)}


def _movenet(codec: Any) -> dict[str, Any]:
    return {"name": "movenet", "stride": codec.stride, "half": HALF_DISTANCE}


#: Codec -> which decoder of `codecs.js` it is, and its numbers.
_CODECS: dict[type, Callable[[Any], dict[str, Any]]] = {
    codecs.MSRAHeatmap: _msra,
    codecs.UDPHeatmap: _udp,
    codecs.MegviiHeatmap: _megvii,
    codecs.SimCCLabel: _simcc,
    codecs.RegressionLabel: _regression,
    codecs.IntegralRegressionLabel: lambda codec: _regression(codec.keypoint_codec),
    codecs.MoveNetLabel: _movenet,
}


def _plain(values: Any) -> list[float]:
    return [float(v) for v in values]


def detector_plan(about: Mapping[str, Any], meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Input, outputs and classes of a detector beside a pose model.

    Args:
        about: metadata of the detector's file.
        meta: parsed schema of the pose model.
        name: what an error calls the detector.

    Raises:
        ConfigError: a file that no page can run, or a detector of other things.
    """
    if about.get("kind") == "boxes":
        wanted = wanted_classes(int(about["num_classes"]), about.get("classes"), meta)
        if wanted is None:
            raise ConfigError(
                f"'{name}' knows COCO's 80 classes, and what the pose model looks at is not among "
                "them; give a detector of it, or --detector whole-image"
            )
        return {
            "form": "classes",
            "size": about["input_size"],
            "padding": _level(about["padding"]),
            "select": about["select"],
            "levels": about["levels"],
            "classes": wanted.classes,
            "ids": wanted.ids,
        }
    if set(about) != {"padding"}:
        raise ConfigError(
            f"'{name}' is no detector that `poise export` wrote, and a page runs only those: give "
            "nanodet, the name of an RTMDet or YOLOX, their .onnx, or whole-image"
        )
    return {
        "form": "centres",
        "size": [NanoDetDetector.SIDE] * 2,
        "padding": _level(about["padding"]),
        "planes": True,
        "select": {"iou_threshold": YOLO_IOU, "max_boxes": _MOST_BOXES, "class_agnostic": True},
    }


def made_picture(width: int, height: int) -> Array:
    """(H, W, 3) uint8: waves that differ by colour, of whole numbers, as the page makes them."""
    y, x, c = np.ogrid[:height, :width, :3]
    wave = (x * (3 + c) + y * (5 - c)) % 510
    return np.where(wave < 256, wave, 510 - wave).astype(np.uint8)


def control_values(path: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a network says of `made_picture`: where a browser says something else, a page stops.

    Returns:
        for each output its place, some of its values, and its range. Of one-stage models the best
        scores alone, since points of nearly the same score may change places.
    """
    session = open_onnx(path, 1)
    pixels = made_picture(*plan["size"])[None]
    if plan.get("planes"):
        pixels = pixels[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(pixels)})
    values = []
    for place, (name, output) in enumerate(zip(names, outputs, strict=True)):
        best = plan.get("kind") == "people"
        if best and name != "scores":
            continue
        flat = np.asarray(output, np.float64).ravel()
        count = min(_BEST if best else _COMPARED, len(flat))
        kept = np.sort(flat)[::-1][:count] if best else flat[np.arange(count) * len(flat) // count]
        # of scores the range is known
        span = 1.0 if best else max(float(np.ptp(flat)), 1e-6)
        values.append(
            {"output": place, "values": kept.round(7).tolist(), "range": span, "best": best}
        )
    return values
