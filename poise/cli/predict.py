"""`poise predict`: pictures or folders -> drawn poses and JSON files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["predict"]


def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures, folders of pictures, or patterns with *.")
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Model name or config file; auto: the embedded one."),
    ] = "auto",
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="Checkpoint of the model.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "outputs"
    ),
    box: Annotated[
        list[str] | None,
        typer.Option("--box", help="x1,y1,x2,y2 in pixels; for one picture; may be repeated."),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="JSON file of boxes by picture, or COCO file.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops per network call.")] = 16,
    detector: Annotated[
        str,
        typer.Option(help="auto, nanodet or whole-image: who finds the boxes that are not given."),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    flip_test: Annotated[
        bool | None,
        typer.Option("--flip-test/--no-flip-test", help="Also look at the mirrored crop."),
    ] = None,
    keypoint_threshold: Annotated[
        float, typer.Option(help="Keypoints with a lower score are not drawn.")
    ] = 0.3,
    layout: Annotated[
        str, typer.Option("--format", help="poise or mmpose: layout of the JSON files.")
    ] = "poise",
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Write drawn pictures.")] = True,
) -> None:
    """Find poses in pictures; writes NAME.json and NAME_pose.jpg for each.

    Without boxes, a detector looks for people; models of hands, faces and animals take the whole
    picture. A picture in which nobody is gets a file without instances.
    """
    from poise.inference import Inferencer, ResultWriter, list_pictures

    pictures = list(list_pictures(inputs))
    given: Any = str(boxes) if boxes else _parse_boxes(box)
    inferencer = Inferencer(model, weights, detector=detector, device=device, flip_test=flip_test)
    _say_model(inferencer, model, given is not None)
    if weights is None and Path(model).is_file():
        typer.echo(
            f"warning: {model} is used without trained weights, so the poses mean nothing; give "
            "the checkpoint with --weights FILE.pth",
            err=True,
        )
    writer = ResultWriter(out, draw=draw, keypoint_threshold=keypoint_threshold, layout=layout)
    results = inferencer.predict(
        [p.source for p in pictures], boxes=given, batch_size=batch_size, keep_going=True
    )
    failed, people = 0, 0
    written: list[Path] = []
    for picture, result in zip(pictures, _with_progress(results, len(pictures)), strict=True):
        if result.error is not None:
            failed += 1
            typer.echo(f"skipped: {result.error}", err=True)
        people += len(result)
        written = writer.write(result, picture.relative)
    done = len(pictures) - failed
    where = ", ".join(map(str, written)) if len(pictures) == 1 else f"{out}/"
    if failed == len(pictures):
        where = f"{out}/ (the JSON files tell the errors)"
    typer.echo(f"{done} of {len(pictures)} pictures, {people} poses -> {where}")
    if not people and not failed:
        said = "no boxes were given" if given is not None else "nobody was found"
        typer.echo(f"{said}; --box x1,y1,x2,y2 says where a person is", err=True)
    if failed:
        raise typer.Exit(1)


def _say_model(inferencer: Any, asked: str, boxes_given: bool) -> None:
    how = " (embedded; --model chooses another)" if asked == "auto" else ""
    typer.echo(
        f"model: {inferencer.model_name}{how}, on {next(inferencer.model.parameters()).device}"
    )
    if inferencer.needs_boxes and not boxes_given:
        typer.echo(f"detector: {inferencer.detector.description}")


def _parse_boxes(texts: list[str] | None) -> Any:
    """["10,20,110,220"] -> [[10.0, 20.0, 110.0, 220.0]]."""
    from poise.errors import DataError

    if not texts:
        return None
    parsed = []
    for text in texts:
        try:
            parsed.append([float(v) for v in text.split(",")])
        except ValueError as error:
            raise DataError(f"--box takes four numbers x1,y1,x2,y2, got '{text}'") from error
    if any(len(b) != 4 for b in parsed):
        raise DataError(f"--box takes four numbers x1,y1,x2,y2, got {' and '.join(texts)}")
    return parsed


def _with_progress(results: Any, total: int) -> Any:
    """A progress bar where there is somebody to see it and something to wait for."""
    if total < 3 or not sys.stderr.isatty():
        return results
    from rich.console import Console
    from rich.progress import track

    return track(results, "predicting", total, console=Console(stderr=True))
