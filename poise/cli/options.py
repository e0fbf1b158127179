"""Options that several commands have in common, and what they make.

Import the module: `model: options.Model = "auto"`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Backend",
    "BatchSize",
    "Calibration",
    "Detector",
    "DetectorWeights",
    "Device",
    "FlipTest",
    "Json",
    "KeypointThreshold",
    "LiftWeights",
    "MaxGap",
    "Mode",
    "Model",
    "Offset",
    "Out",
    "Schema",
    "Support",
    "Tiles",
    "Weights",
    "command_group",
    "drawn",
    "lifter_of",
    "open_inferencer",
    "parse_offsets",
    "refuse_drawn",
]

#: What `--save` draws, and what it writes in parts of the pictures' sides.
_DRAWN, _MEASURED = ("image", "video", "sheet", "show"), ("yolo",)

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Model name, config, exported file, or checkpoint that tells its model (RF-DETR's); "
        "of ViTPose and Sapiens2 also a folder of Hugging Face or hf:ORGANISATION/NAME, for "
        "ViTPose++ with #DATASET behind; auto: the best here.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", "-w", help="Checkpoint of the model, or ONNX file of MMDeploy."),
]
Mode = Annotated[
    str,
    typer.Option(help="accurate, balanced (no flip test) or fast (also fewer detections)."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Crops per network call.", show_default="what is quickest"),
]
Detector = Annotated[
    str,
    typer.Option(
        help="Who finds the boxes that are not given: auto (the best on this machine), "
        "nanodet, rtmdet, rtmdet-hand, yolox-face, torchvision:NAME, whole-image, or the "
        "config or ONNX file of a detector."
    ),
]
Tiles = Annotated[
    str | None,
    typer.Option(
        help="Also look at overlapping tiles, for small people in large pictures: 3x2 columns x "
        "rows, 640 pixels a side, or auto."
    ),
]
DetectorWeights = Annotated[
    str | None, typer.Option(help="Checkpoint of the detector, for a config file.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Backend = Annotated[
    str, typer.Option(help="torch, onnxruntime or openvino: what runs the network.")
]
FlipTest = Annotated[
    bool | None,
    typer.Option(
        "--flip-test/--no-flip-test",
        help="Also look at the mirrored crop.",
        show_default="by mode",
    ),
]
KeypointThreshold = Annotated[
    float, typer.Option(help="Keypoints with a lower score are not drawn.")
]
Calibration = Annotated[
    Path | None,
    typer.Option(help="From scores to probabilities: what `poise analyze calibration` wrote."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LiftWeights = Annotated[
    str | None, typer.Option("--lift-weights", help="Checkpoint of the lifter.")
]
MaxGap = Annotated[
    int | None,
    typer.Option(min=0, help="Fill gaps of up to so many frames.", show_default="by method"),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Schema = Annotated[
    str | None, typer.Option("--schema", help="Keypoints: name of a schema, or metadata file.")
]
Support = Annotated[
    Path | None,
    typer.Option(help="Labelled pictures (COCO file) that say what pose-anything is to look for."),
]
Offset = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CAMERA=FRAMES",
        help="By which a camera's numbers are ahead of the first one's; may be repeated.",
    ),
]


def command_group(name: str, about: str, **commands: Callable[..., None]) -> typer.Typer:
    """A group of commands, in this order; its help has the whole first line of each."""
    group = typer.Typer(
        name=name, help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )
    for word, command in commands.items():
        first_line = (command.__doc__ or "").partition("\n")[0]
        group.command(word, short_help=first_line)(command)
    return group


def open_inferencer(
    model: str,
    weights: str | None,
    *,
    detector: str,
    detector_weights: str | None,
    boxes_given: bool = False,
    **options: Any,
) -> Any:
    """Inferencer of the options; says what looks for poses, and for boxes.

    Args:
        model, weights, detector, detector_weights: values of the options.
        boxes_given: whether the detector will not be asked.
        **options: further ones of `Inferencer`.
    """
    from poise.inference import Inferencer

    finder: Any = detector
    if detector_weights is not None:
        finder = {"name": detector, "weights": detector_weights}
    inferencer = Inferencer(model, weights, detector=finder, **options)
    _say_model(inferencer, boxes_given)
    _warn_untrained(model, weights)
    return inferencer


def parse_offsets(texts: list[str] | None) -> dict[str, int]:
    """Camera -> frames, of texts such as "left=-3".

    Raises:
        DataError: another form.
    """
    from poise.errors import DataError

    found = {}
    for text in texts or ():
        name, _, number = text.rpartition("=")
        try:
            found[name] = int(number)
        except ValueError:
            name = ""
        if not name:
            raise DataError(f"--offset takes CAMERA=FRAMES, such as left=-3; got '{text}'")
    return found


def drawn(save: str, kinds: tuple[str, ...] = _DRAWN) -> str:
    """What of `--save` only a picture can show, separated by commas."""
    return ",".join(name for name in kinds if name in save.replace(" ", "").split(","))


def refuse_drawn(save: str, reason: str) -> None:
    """Stop where `--save` names what needs the pictures.

    Args:
        save: value of the option.
        reason: why there are no pictures, and what to do.

    Raises:
        ArgumentError: it does.
    """
    from poise.errors import ArgumentError

    found = drawn(save, (*_DRAWN, *_MEASURED))
    if found:
        raise ArgumentError(f"--save {found} needs the pictures, {reason}")


def lifter_of(lift: str | None, weights: str | None) -> dict[str, Any] | None:
    """What `lift=` takes, of `--lift` and `--lift-weights`.

    Raises:
        ArgumentError: weights alone.
    """
    from poise.errors import ArgumentError

    if lift is None and weights is not None:
        raise ArgumentError("--lift-weights are those of the lifter that --lift names; give both")
    return None if lift is None else {"model": lift, "weights": weights}


def _say_model(inferencer: Any, boxes_given: bool) -> None:
    from poise.zoo.training_data import licence_of_network

    how = f" ({inferencer.choice})" if inferencer.choice else ""
    where = inferencer.device if inferencer.backend == "torch" else inferencer.backend
    typer.echo(f"model: {inferencer.model_name}{how}, on {where}")
    licence = licence_of_network(getattr(inferencer.model, "cfg", None))
    if licence is not None:
        typer.echo(f"licence: {licence}")
    if inferencer.needs_boxes and not boxes_given:
        typer.echo(f"detector: {inferencer.detector.description}")


def _warn_untrained(model: str, weights: str | None) -> None:
    """Say it where the options name a model without released weights, and give none."""
    from poise.inference.exported.opening import is_exported
    from poise.zoo import default_weights, find_model

    if weights is not None:
        return
    known = find_model(model)
    if not Path(model).is_file():
        lacks = known is not None and known.weights is None and default_weights(model) is None
    else:
        lacks = not is_exported(model) and default_weights(model) is None
    if lacks:
        typer.echo(
            f"warning: {model} is used without trained weights, so the poses mean nothing; give "
            "the checkpoint with --weights FILE.pth",
            err=True,
        )
