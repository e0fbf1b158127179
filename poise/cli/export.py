"""`poise export`: a model as a file that runs without torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["export"]

#: Kind of file -> option of `poise predict` that takes it.
_USED_BY = {"boxes": "--detector", "lifter": "--lift"}
#: What runs a file -> ending of its form.
_ENDINGS = {
    "onnxruntime": ".onnx",
    "openvino": ".xml",
    "ncnn": ".ncnn.param",
    "litert": ".tflite",
}
#: Of what is no file of a network, but a page that holds one.
PAGE_ENDING = ".html"


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="Model name or config file; nanodet: the embedded detector. For .html also a "
            "file .onnx."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .onnx, .xml (OpenVINO), .pt2 (torch), .param (NCNN), .tflite, or "
            ".html (a web page).",
            show_default="the model's name, in this folder",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="Checkpoint of the model.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="onnxruntime, openvino, ncnn or litert: what the file is for, and is tried with.",
            show_default="by the ending",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Refuse a file that says something else."),
    ] = True,
    half: Annotated[
        bool, typer.Option("--half", help="Weights of 16 bits: half the size (but for .pt2).")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Weights and values of 8 bits: a quarter of the size (.onnx, .xml)."
        ),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Pictures that tell --int8 the ranges of values: folder or annotation file.",
            show_default="--data",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate model and file on these pictures: annotation file, or a folder of "
            "pictures without labels."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures of annotation files.", show_default="looked for"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Points of the metric that the file may lose on --data.",
            show_default="0.3; 1 of --int8",
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="RTMO: compute the keypoints of this many points, in place of those that could "
            "be people, so that all shapes but the batch's are fixed.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help=".html: who finds boxes: nanodet, an RTMDet or YOLOX (name or .onnx), or "
            "whole-image.",
            show_default="nanodet for people, else whole-image",
        ),
    ] = None,
    embed_runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=".html: copy of the npm package onnxruntime-web, for a page without network.",
        ),
    ] = None,
) -> None:
    """Write a model, or a detector, as a file that runs without torch, or as a web page.

    Top-down, one-stage (RTMO, YOLOX-Pose) and bottom-up models, ED-Pose, lifters, and detectors
    (RTMDet, YOLOX, SSDLite, nanodet).
    Normalising, schema and codec are part of the file: `poise predict --model FILE.onnx` needs
    nothing else, not even torch. The file runs beside the model before it is kept.
    """
    from poise.errors import ConfigError, UnknownNameError, one_of
    from poise.export.forms.writers import files_of, writer_of
    from poise.models.build import load_model
    from poise.zoo.whole import is_whole_model

    if backend is not None:
        one_of(backend, _ENDINGS, "--backend", UnknownNameError)
    if out is None:
        ending = _ENDINGS[backend or "onnxruntime"]
        out = Path(f"{Path(model).name.removesuffix('.py')}{'-int8' if int8 else ''}{ending}")
    page = out.suffix.lower() == PAGE_ENDING
    if not page:
        _refuse_page_options(out, detector, embed_runtime)
        writer_of(out)
    files = files_of(out)
    if page and Path(model).suffix.lower() == ".onnx":
        changed = half or int8 or any((weights, backend, calibration, data, max_drop, candidates))
        _page_of_file(Path(model), out, detector, embed_runtime, changed=changed)
        return
    if weights is None and Path(model).is_file() and not is_whole_model(model):
        raise ConfigError(
            f"'{model}' says nothing about weights, and a file without trained ones is of no use; "
            "give the checkpoint with --weights FILE.pth"
        )
    from poise.cli.export_report import tell
    from poise.cli.terminal import counting
    from poise.export import Pictured, export_model, export_page
    from poise.inference.detectors import NanoDetDetector

    embedded = model == "nanodet" and weights is None
    network: Any = NanoDetDetector() if embedded else load_model(model, weights, device="cpu")
    given = [_pictures(source, network, images) for source in (data, calibration)]
    write: Any = export_model
    if page:
        title = Path(model).name.removesuffix(".py")
        write = partial(export_page, detector=detector, runtime=embed_runtime, title=title)
    with counting("looking at pictures") as tick:
        pictured = Pictured(*given, max_drop, backend, tick)
        report = write(
            network,
            out,
            check=check,
            half=half,
            candidates=candidates,
            int8=int8,
            pictured=pictured,
        )
    tell(report)
    _tell_use(out, files, embedded=embedded)


def _tell_use(out: Path, files: Sequence[Path], *, embedded: bool = False) -> None:
    """Say what was written, and what to do with it."""
    from poise.runtimes import read_metadata

    use = _USED_BY.get(read_metadata(out).get("kind", "boxes"), "--model")
    how = f"; poise predict PICTURE {use} {out}"
    if out.suffix.lower() == PAGE_ENDING:
        how = "; open it in a browser"
    elif embedded and out.suffix != ".onnx":
        # nanodet's file is one of YOLO's kind, which is read as ONNX alone
        how = "; for programs of your own"
    size = sum(file.stat().st_size for file in files) / 1e6
    typer.echo(f"{' and '.join(map(str, files))}, {size:.1f} MB{how}")


def _refuse_page_options(out: Path, *given: Any) -> None:
    from poise.errors import ArgumentError

    if any(value is not None for value in given):
        raise ArgumentError(
            f"--detector and --embed-runtime are of web pages, --out FILE{PAGE_ENDING}; got '{out}'"
        )


def _page_of_file(
    model: Path, out: Path, detector: str | None, runtime: Path | None, *, changed: Any
) -> None:
    """The page of a file that was exported before.

    Raises:
        ArgumentError: options of the export itself.
    """
    from poise.errors import ArgumentError
    from poise.export import export_page

    if changed:
        raise ArgumentError(
            f"'{model}' is written already: give options of the export, such as --half, to the one "
            "that writes it, or here the model itself in its place"
        )
    export_page(model, out, detector=detector, runtime=runtime, title=model.stem)
    _tell_use(out, [out])


def _pictures(source: Path | None, network: Any, images: Path | None) -> Any:
    """A data set of an annotation file; a folder as it is."""
    if source is None or source.is_dir():
        return source
    from poise.data_tools.opening import folder_near, is_coco_file, open_dataset
    from poise.datasets import DetectionCocoDataset
    from poise.export import finds_boxes, needs_boxes

    if finds_boxes(network) and is_coco_file(source):
        folder = {"img": str(images or folder_near(source))}
        return DetectionCocoDataset(str(source), data_prefix=folder, test_mode=True)
    mode = "topdown" if needs_boxes(network) else "bottomup"
    return open_dataset(source, mode=mode, images=images)
