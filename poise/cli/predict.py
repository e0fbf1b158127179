"""`poise predict`: pictures, videos and cameras -> drawn poses and files of numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted
from poise.cli import options
from poise.cli.interrupts import INTERRUPTED, Patience
from poise.errors import ArgumentError, DataError

__all__ = ["predict"]

#: What is saved without `--save`: of still pictures, and of whatever moves.
_STILL, _MOVING = "image,json", "video,jsonl"
#: Files that also hold what could not be used, and why.
_WITH_ERRORS = (".json", ".jsonl")


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, videos, folders, patterns with *, addresses, numbers of cameras."
        ),
    ],
    model: options.Model = "auto",
    weights: options.Weights = None,
    support: options.Support = None,
    out: options.Out = Path("outputs"),
    save: Annotated[
        str,
        typer.Option(
            help="What to write, comma separated: image, video, json, jsonl, coco, csv, parquet, "
            "sheet, yolo, dlc, sleap, trc, c3d, bvh, angles, html, or none. auto: image,json of "
            "pictures and video,jsonl of videos."
        ),
    ] = "auto",
    show: Annotated[bool, typer.Option("--show", help="Also show the poses in a window.")] = False,
    mode: options.Mode = "accurate",
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box", metavar="X1,Y1,X2,Y2", help="In pixels; for one source; may be repeated."
        ),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="JSON file of boxes by picture, or COCO file.")
    ] = None,
    batch_size: options.BatchSize = None,
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    tiles: options.Tiles = None,
    detector_every: Annotated[
        int | None,
        typer.Option(min=1, help="Detect in every n-th frame of a video.", show_default="by mode"),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Tell people apart from frame to frame.")
    ] = False,
    follow: Annotated[
        str | None,
        typer.Option(
            help="Track, and keep one person only: an id, x,y or x1,y1,x2,y2 in the first frame."
        ),
    ] = None,
    smooth: Annotated[
        str | None, typer.Option(help="Smooth poses over time, such as one-euro.")
    ] = None,
    lift: Annotated[str | None, typer.Option(help="Lift poses to 3D with this lifter.")] = None,
    lift_weights: options.LiftWeights = None,
    device: options.Device = "auto",
    backend: options.Backend = "torch",
    flip_test: options.FlipTest = None,
    keypoint_threshold: options.KeypointThreshold = 0.3,
    calibration: options.Calibration = None,
    layout: Annotated[
        str, typer.Option("--format", help="poise or mmpose: layout of the JSON files.")
    ] = "poise",
    style: Annotated[
        str,
        typer.Option(
            help="How poses are drawn, comma separated: openpose, black, trails=30, no-boxes, "
            "no-ids, fade, numbers, no-3d, keypoints=NAME+NAME, ellipses=PERCENT."
        ),
    ] = "mmpose",
    draw_heatmaps: Annotated[
        bool,
        typer.Option(
            "--draw-heatmaps",
            help="Also draw heatmaps, or SimCC, where the model has them.",
        ),
    ] = False,
    covariances: Annotated[
        bool,
        typer.Option("--covariances", help="Also write how unsure each keypoint's place is."),
    ] = False,
    draw_covariances: Annotated[
        bool,
        typer.Option("--draw-covariances", help="Also draw it: ellipses that should hold 50 %."),
    ] = False,
    draw: Annotated[
        bool, typer.Option("--draw/--no-draw", help="Write drawn pictures and videos.")
    ] = True,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until a silent source is given up.")
    ] = 10.0,
    timing: Annotated[bool, typer.Option("--timing", help="Show what each stage took.")] = False,
) -> None:
    """Find poses in pictures and videos; writes drawn pictures or videos, and the numbers.

    Without boxes, a detector looks for people; models of hands, faces and animals take the whole
    picture unless a detector for them is named or was fetched before. A picture in which nobody
    is gets an empty result. Ctrl-C ends a run early; what was written stays readable.
    """
    from poise.inference import open_sources

    if boxes is not None and box:
        raise ArgumentError("--box and --boxes both say where people are; give one of them")
    if tiles is not None and (boxes is not None or box):
        raise ArgumentError("--tiles are for a detector, and boxes are given; give one of them")
    styled = style != "mmpose" or draw_heatmaps or draw_covariances
    _check_saving(save, layout, draw=draw, show=show, styled=styled)
    given: Any = str(boxes) if boxes else _parse_boxes(box)
    who = _parse_follow(follow) if follow else None
    lifter = options.lifter_of(lift, lift_weights)
    sources = list(open_sources(inputs, timeout=timeout))
    if box and len(sources) > 1:
        raise ArgumentError(
            f"--box is for one picture or video, and {len(sources)} are given; --boxes FILE has "
            "boxes by picture"
        )
    if draw_covariances and "ellipses" not in style:
        style = f"{style},ellipses"
    group = _open_group(save, show=show, draw=draw, folder=out, layout=layout, style=style)
    inferencer = options.open_inferencer(
        model,
        weights,
        detector=detector,
        detector_weights=detector_weights,
        boxes_given=given is not None,
        tiles=tiles,
        device=device,
        backend=backend,
        mode=mode,
        calibration=calibration,
        support=support,
    )
    results = inferencer.predict(
        inputs,
        boxes=given,
        batch_size=batch_size,
        detector_every=detector_every,
        track={"follow": who} if follow else track,
        smooth=smooth,
        lift=lifter,
        keypoint_threshold=keypoint_threshold,
        flip_test=flip_test,
        heatmaps=draw_heatmaps,
        covariances=covariances or "ellipses" in style,
        keep_going=True,
        timeout=timeout,
    )
    with Patience():
        tally = _run(results, group, sources)
    if timing:
        typer.echo(inferencer.timings.table())
    nobody = "nobody was found; --box x1,y1,x2,y2 says where a person is"
    if follow:
        nobody = f"nobody was found whom --follow {follow} means; --track alone shows the ids"
    elif given is not None:
        nobody = "no boxes were given; --box x1,y1,x2,y2 says where a person is"
    _say_end(tally, group, out, nobody)


def _check_saving(save: str, layout: str, *, draw: bool, show: bool, styled: bool) -> None:
    """See that what is saved agrees with the other options.

    Raises:
        ArgumentError: it does not.
    """
    if styled and not (show or options.drawn(save) or (draw and save == "auto")):
        raise ArgumentError(
            "--style, --draw-heatmaps and --draw-covariances say how poses are drawn, and nothing "
            "is: add image or video to --save, or leave them out (--covariances writes numbers)"
        )
    if not draw and options.drawn(save):
        raise ArgumentError(f"--no-draw and --save {options.drawn(save)} exclude each other")
    if layout != "poise" and save != "auto" and "json" not in save:
        raise ArgumentError(f"--format {layout} is for JSON files, and --save {save} has none")


def _open_group(save: str, *, show: bool, draw: bool, folder: Path, layout: str, style: str) -> Any:
    """Sinks of the options."""
    from poise.inference import SinkGroup, SinkOptions, open_sinks
    from poise.inference.sinks.drawing import drawer_of

    settings = SinkOptions(draw=drawer_of(style), layout=layout)
    shown = open_sinks("show" if show else "", folder, settings)
    if save != "auto":
        chosen = open_sinks("" if save == "none" else save, folder, settings)
        return SinkGroup([*chosen, *shown])
    moving, still = (
        open_sinks(names if draw else names.split(",")[1], folder, settings)
        for names in (_MOVING, _STILL)
    )
    return SinkGroup([*moving, *shown], [*still, *shown])


class _Tally:
    """What a run came to.

    Args:
        sources: all that the run was to look at.
    """

    def __init__(self, sources: list[Any]) -> None:
        self.pictures = self.frames = self.failed = self.people = 0
        moving = [source for source in sources if source.info.moves]
        self._unit = "frames" if moving else "pictures"
        #: how many results there will be, once that is known
        self._planned = 0 if moving else len(sources)
        self._single = len(sources) == 1
        self.stopped = ""
        self.interrupted = False

    def count(self, result: Any) -> None:
        self.frames += result.moves
        self.pictures += not result.moves
        self.people += len(result)
        if result.moves and self._single:
            self._planned = result.source.frames or 0
        if result.error is not None:
            self.failed += 1

    def done(self) -> str:
        """Such as "3 of 4 pictures", of what was to be done where the run was stopped."""
        came = self.pictures + self.frames
        total = max(came, self._planned) if self.stopped else came
        kinds = [name for name in ("pictures", "frames") if getattr(self, name)] or [self._unit]
        what = kinds[0].removesuffix("s") if total == 1 else " and ".join(kinds)
        return f"{came - self.failed:,} of {total:,} {what}"


def _run(results: Iterator[Any], group: Any, sources: list[Any]) -> _Tally:
    """Take all results; Ctrl-C and a closed window end the run, not the files."""
    from poise.inference.sinks.window import WindowClosed

    tally, told = _Tally(sources), ("", None)
    with group:
        try:
            for result in _with_progress(results, sources):
                # a fault of all frames of a video is one line
                if result.error is not None and (result.name, result.error) != told:
                    typer.echo(f"skipped: {result.error}", err=True)
                told = (result.name, result.error)
                tally.count(result)
                group.write(result)
        except KeyboardInterrupt:
            tally.stopped = "stopped by Ctrl-C; what was written is complete up to there"
            tally.interrupted = True
        except WindowClosed:
            tally.stopped = "the window was closed"
    return tally


def _say_end(tally: _Tally, group: Any, out: Path, nobody: str) -> None:
    """What came of it, and the exit status."""
    total = tally.pictures + tally.frames
    written = group.written
    where = f"{out}/" if len(written) > 4 else ", ".join(map(str, written)) or "nothing written"
    told = (path.suffix in _WITH_ERRORS or any(path.glob("*.json")) for path in written)
    if tally.failed == total and any(told):
        where = f"{out}/ (the files there tell the errors)"
    if tally.stopped:
        typer.echo(tally.stopped, err=True)
    typer.echo(f"{tally.done()}, {counted(tally.people, 'pose')} -> {where}")
    if not tally.people and not tally.failed and total:
        typer.echo(nobody, err=True)
    if tally.interrupted:
        raise typer.Exit(INTERRUPTED)
    if tally.failed:
        raise typer.Exit(1)


def _parse_follow(text: str) -> Any:
    """Id or numbers of a text such as "3", "120,80" or "10,20,110,220"."""
    try:
        numbers = [float(v) for v in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2, 4):
        raise DataError(f"--follow takes an id, x,y or x1,y1,x2,y2, got '{text}'")
    return int(numbers[0]) if len(numbers) == 1 else numbers


def _parse_boxes(texts: list[str] | None) -> Any:
    """["10,20,110,220"] -> [[10.0, 20.0, 110.0, 220.0]]."""
    parsed = []
    for text in texts or ():
        try:
            x1, y1, x2, y2 = map(float, text.split(","))
        except ValueError as error:
            raise DataError(f"--box takes four numbers x1,y1,x2,y2, got '{text}'") from error
        parsed.append([x1, y1, x2, y2])
    return parsed or None


def _with_progress(results: Any, sources: list[Any]) -> Any:
    """A progress bar where there is somebody to see it and something to wait for."""
    moving = any(source.info.moves for source in sources)
    if not sys.stderr.isatty() or (len(sources) < 3 and not moving):
        yield from results
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    # the number is all there is to see where nobody knows how many frames will come
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        # the length of a video is known when its first frame comes
        total = None if moving else len(sources)
        task = progress.add_task("predicting", total=total)
        for result in results:
            info = result.source
            if info.frames is not None and len(sources) == 1:
                progress.update(task, total=info.frames)
            progress.advance(task)
            yield result
