"""`poise triangulate`: several calibrated cameras -> poses in metres."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import options
from poise.cli.terminal import counting

__all__ = ["check_inputs", "kept_view", "naming_kept", "saved", "triangulate", "views_of"]


def triangulate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Of each camera a video, a folder of pictures, or what `poise predict` saved "
            "of it as JSON Lines."
        ),
    ],
    cameras: Annotated[
        Path,
        typer.Option(
            "--cameras", "-c", help="Calibration: TOML of Pose2Sim or anipose, OpenCV's, or JSON."
        ),
    ],
    out: options.Out = Path("triangulated"),
    save: Annotated[
        str,
        typer.Option(
            help="What to write, comma separated: jsonl, csv, trc, c3d, bvh, angles, html."
        ),
    ] = "jsonl,html",
    unit: Annotated[
        str | None, typer.Option(help="Of the calibration: m, cm, mm.", show_default="its own")
    ] = None,
    up: Annotated[
        str, typer.Option(help="Axis of the calibration that points up: z, -z, y, -y, x, -x.")
    ] = "z",
    offset: options.Offset = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Find the offsets: frames at which the rays meet.")
    ] = False,
    person: Annotated[
        str, typer.Option(help="all; one person: the most confident or largest in each picture.")
    ] = "all",
    min_score: Annotated[
        float, typer.Option(help="Keypoints with a lower score are not used.")
    ] = 0.3,
    min_views: Annotated[
        int, typer.Option(min=2, help="Cameras that must see a keypoint and a person.")
    ] = 2,
    max_error: Annotated[
        float | None,
        typer.Option(
            help="Pixels; a camera that is farther off is left out.",
            show_default="15, more in pictures above 1920",
        ),
    ] = None,
    smooth: Annotated[
        str | None, typer.Option(help="Smooth poses over time and fill gaps, such as savgol.")
    ] = None,
    max_gap: options.MaxGap = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            help="Schema of the poses in space, such as h36m for animation.",
            show_default="as in the views",
        ),
    ] = None,
    covariances: Annotated[
        bool,
        typer.Option(
            "--covariances", help="Weigh keypoints of videos by how unsure the model is of them."
        ),
    ] = False,
    model: options.Model = "auto",
    weights: options.Weights = None,
    mode: options.Mode = "accurate",
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    backend: options.Backend = "torch",
) -> None:
    """Place the keypoints that several calibrated cameras see in space, in metres.

    Files that are called like the calibration's cameras, or lie in folders that are, go with
    them; else the order counts. Videos are looked at first, and what was found in them is kept
    in `views/`, so that another run with other settings takes seconds.
    """
    from poise.errors import ArgumentError
    from poise.inference.multiview import match_cameras, read_cameras
    from poise.inference.multiview import triangulate as place
    from poise.inference.sinks import SinkGroup, open_sinks

    options.refuse_drawn(save, "and poses in space are in none; --save html shows them")
    if max_gap is not None and smooth is None:
        raise ArgumentError("--max-gap goes with --smooth METHOD, which fills the gaps")
    if sync and offset:
        raise ArgumentError("--sync finds the offsets, --offset says them; give one of them")
    check_inputs(inputs)
    given = read_cameras(cameras, unit=unit)
    matched, _ = match_cameras(inputs, given)
    sinks = open_sinks(save, out)
    smoother: Any = smooth if max_gap is None else {"type": smooth, "max_gap": max_gap}
    files = [kept_view(out, camera.name) for camera in matched]
    views = views_of(
        inputs,
        files,
        dict(batch_size=batch_size, covariances=covariances),
        model,
        weights,
        detector=detector,
        detector_weights=detector_weights,
        mode=mode,
        device=device,
        backend=backend,
    )
    with naming_kept("triangulate", inputs, files), counting("frames") as told:
        found = place(
            views,
            given,
            names=inputs,
            up=up,
            offsets="auto" if sync else options.parse_offsets(offset),
            person=person,
            min_score=min_score,
            min_views=min_views,
            max_error=max_error,
            smooth=smoother,
            skeleton=skeleton,
            progress=told,
        )
    typer.echo(found.summary.text())
    with SinkGroup(sinks) as group:
        for result in found:
            group.write(result)
    report = _write_summary(out, found.summary)
    typer.echo(f"-> {', '.join(map(str, [*group.written, report]))}")


def saved(name: str) -> bool:
    """Whether an input is predictions already."""
    return name.lower().endswith(".jsonl")


def check_inputs(inputs: list[str]) -> None:
    """See that all are there, before the first is looked at for minutes."""
    from poise.errors import DataError, FileMissingError

    for name in inputs:
        if name.isdecimal() and not Path(name).exists():
            raise DataError(
                f"'{name}' is the number of a camera; record all cameras first, and give the videos"
            )
        if "://" not in name and not Path(name).exists():
            raise FileMissingError(f"there is no file or folder '{name}' (looked in {Path.cwd()})")
    twice = sorted({name for name in inputs if inputs.count(name) > 1})
    if twice:
        raise DataError(f"'{twice[0]}' is given twice; each camera has its own video")


def kept_view(out: Path, camera: str) -> Path:
    """File of what was found in a camera's video, called like the camera."""
    return out / "views" / f"{camera}.jsonl"


@contextlib.contextmanager
def naming_kept(command: str, inputs: Sequence[str], files: Sequence[Path]) -> Iterator[None]:
    """Let a refusal say that what was found in videos is kept, and how to try again."""
    from poise.errors import DataError

    lines = [name if saved(name) else str(file) for name, file in zip(inputs, files, strict=True)]
    try:
        yield
    except DataError as error:
        if lines == list(inputs) or not all(Path(line).is_file() for line in lines):
            raise
        raise DataError(
            f"{error}\nWhat was found in the videos is kept, so that other options take seconds: "
            f"poise {command} {shlex.join(lines)} ..."
        ) from error


def views_of(
    inputs: Sequence[str],
    files: Sequence[Path],
    settings: Mapping[str, Any],
    *model: Any,
    **of: Any,
) -> list[Any]:
    """Predictions of each camera: those that are saved, else what is found in its pictures.

    Args:
        inputs: a video, a folder or predictions of each camera.
        files: where to keep what is found.
        settings: of `Inferencer.predict`.
        *model, **of: as `options.open_inferencer` takes them.
    """
    found = all(saved(name) for name in inputs)
    inferencer = None if found else options.open_inferencer(*model, **of)
    return [
        name if saved(name) else _looked_at(inferencer, name, file, **settings)
        for name, file in zip(inputs, files, strict=True)
    ]


def _looked_at(inferencer: Any, name: str, file: Path, **settings: Any) -> Iterator[Any]:
    """Results of a video or folder, written to a file on their way, which is there once all are."""
    from poise._files import whole_file, writing
    from poise.inference.sinks.json_files import JsonLinesSink

    class ViewSink(JsonLinesSink):
        def _goes_on(self, result: Any) -> bool:
            return True

        def _new_path(self, stem: Path, suffix: str | None = None) -> Path:
            return place

    results = inferencer.predict(name, track=True, keep_going=True, **settings)
    with writing(file):
        pass  # its folder is there now, or the error says why not
    with (
        whole_file(file) as place,
        contextlib.closing(ViewSink(file.parent)) as sink,
        counting(f"frames of {name}") as told,
    ):
        for result in results:
            if result.error is not None:
                typer.echo(f"skipped: {result.error}", err=True)
            sink.write(result)
            told(1)
            yield result


def _write_summary(out: Path, summary: Any) -> Path:
    from poise._files import write_whole

    path = out / "triangulated_summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = summary.to_dict()
    write_whole(path, (json.dumps(_without_nan(values), indent=1) + "\n").encode())
    return path


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if value != value else value
