"""Options that several commands have in common, and what they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "BackendOption",
    "BatchSizeOption",
    "CalibrationOption",
    "DetectorOption",
    "DetectorWeightsOption",
    "DeviceOption",
    "FlipTestOption",
    "KeypointThresholdOption",
    "ModeOption",
    "ModelOption",
    "WeightsOption",
    "detector_of",
    "say_model",
    "warn_untrained",
]

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Model name or config file; auto: the best on this machine."
    ),
]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", "-w", help="Checkpoint of the model.")
]
ModeOption = Annotated[
    str,
    typer.Option(help="accurate, balanced (no flip test) or fast (also fewer detections)."),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(min=1, help="Crops per network call.", show_default="what is quickest"),
]
DetectorOption = Annotated[
    str,
    typer.Option(
        help="Who finds the boxes that are not given: auto (the best on this machine), "
        "nanodet, rtmdet, rtmdet-hand, yolox-face, torchvision:NAME, whole-image, or the "
        "config or ONNX file of a detector."
    ),
]
DetectorWeightsOption = Annotated[
    str | None, typer.Option(help="Checkpoint of the detector, for a config file.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
BackendOption = Annotated[
    str, typer.Option(help="torch, onnxruntime or openvino: what runs the network.")
]
FlipTestOption = Annotated[
    bool | None,
    typer.Option(
        "--flip-test/--no-flip-test",
        help="Also look at the mirrored crop.",
        show_default="by mode",
    ),
]
KeypointThresholdOption = Annotated[
    float, typer.Option(help="Keypoints with a lower score are not drawn.")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(help="From scores to probabilities: what `poise analyze calibration` wrote."),
]


def detector_of(detector: str, weights: str | None) -> Any:
    """What `Inferencer` takes for the two options of the detector."""
    return detector if weights is None else {"name": detector, "weights": weights}


def warn_untrained(model: str, weights: str | None) -> None:
    """Say it where the options name a config file and no weights for it."""
    from poise.inference.exported import is_exported
    from poise.zoo.whole import is_whole_model

    if weights is not None or not Path(model).is_file():
        return
    if not is_exported(model) and not is_whole_model(model):
        typer.echo(
            f"warning: {model} is used without trained weights, so the poses mean nothing; give "
            "the checkpoint with --weights FILE.pth",
            err=True,
        )


def say_model(inferencer: Any, *, boxes_given: bool = False) -> None:
    """Say what looks for poses, and for boxes where these are not given."""
    how = f" ({inferencer.choice})" if inferencer.choice else ""
    where = inferencer.device if inferencer.backend == "torch" else inferencer.backend
    typer.echo(f"model: {inferencer.model_name}{how}, on {where}")
    if inferencer.needs_boxes and not boxes_given:
        typer.echo(f"detector: {inferencer.detector.description}")
