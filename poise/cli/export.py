"""`poise export`: a model as a file that runs without torch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.errors import ArgumentError, ConfigError, UnknownNameError, one_of

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
#: Of files that are models, and do not belong to their names.
_MODEL_ENDINGS = (".py", ".json", ".yaml", ".yml", ".safetensors", ".onnx")


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

    Top-down, one-stage (RTMO, YOLOX-Pose) and bottom-up models, ED-Pose, RF-DETR, lifters, and
    detectors (RTMDet, YOLOX, SSDLite, nanodet).
    Normalising, schema and codec are part of the file: `poise predict --model FILE.onnx` needs
    nothing else, not even torch. The file runs beside the model before it is kept.
    """
    from poise.config.reader import SUFFIXES
    from poise.export import export_page
    from poise.export.forms.writers import files_of, writer_of
    from poise.models.build import load_model

    if backend is not None:
        one_of(backend, _ENDINGS, "--backend", UnknownNameError)
    _check_pictures(data, calibration, images, max_drop, int8=int8, check=check)
    title = _title_of(model)
    if out is None:
        out = Path(f"{title}{'-int8' if int8 else ''}{_ENDINGS[backend or 'onnxruntime']}")
    page = out.suffix.lower() == PAGE_ENDING
    _check_page(out, backend, detector, embed_runtime)
    if not page:
        writer_of(out)
    files = files_of(out)
    changed = half or int8 or not check or any((weights, data, candidates))
    if _is_written(model, out, changed=changed):
        export_page(model, out, detector=detector, runtime=embed_runtime, title=title)
        _tell_use(out, files)
        return
    if weights is None and Path(model).suffix in SUFFIXES and Path(model).is_file():
        raise ConfigError(
            f"'{model}' says nothing about weights, and a file without trained ones is of no use; "
            "give the checkpoint with --weights FILE.pth"
        )
    from poise.cli.export_report import tell
    from poise.cli.terminal import counting
    from poise.export import Pictured, export_model
    from poise.inference.detectors import NanoDetDetector
    from poise.inference.results.calibration import FITTED

    embedded = model == "nanodet" and weights is None
    network: Any = NanoDetDetector() if embedded else load_model(model, weights, device="cpu")
    if weights is None and model in FITTED:
        network.calibration = FITTED[model]
    given = [_pictures(source, network, images) for source in (data, calibration)]
    write: Any = export_model
    if page:
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
    how = f"; poise predict PICTURE {use} {shlex.quote(str(out))}"
    if out.suffix.lower() == PAGE_ENDING:
        how = "; open it in a browser"
    elif embedded and out.suffix != ".onnx":
        # nanodet's file is one of YOLO's kind, which is read as ONNX alone
        how = "; for programs of your own"
    size = sum(file.stat().st_size for file in files) / 1e6
    typer.echo(f"{' and '.join(map(str, files))}, {size:.1f} MB{how}")


def _title_of(model: str) -> str:
    """What a model is called, of its name or file."""
    name = Path(model).name
    return name.removesuffix(next((end for end in _MODEL_ENDINGS if name.endswith(end)), ""))


def _check_pictures(
    data: Path | None,
    calibration: Path | None,
    images: Path | None,
    max_drop: float | None,
    *,
    int8: bool,
    check: bool,
) -> None:
    """See that no option of real pictures would be passed over.

    Raises:
        ArgumentError: one would.
    """
    if calibration is not None and not int8:
        raise ArgumentError("--calibration is for --int8; --data compares file and model")
    if images is not None and data is None and calibration is None:
        raise ArgumentError("--images is the folder of an annotation file; name that by --data")
    if max_drop is not None and not (check and (data or int8)):
        raise ArgumentError(
            "--max-drop is what the file may lose on --data; give that, and no --no-check"
        )


def _check_page(out: Path, backend: str | None, *of_pages: Any) -> None:
    """See that options suit a page, or a file.

    Raises:
        ArgumentError: they do not.
    """
    if out.suffix.lower() == PAGE_ENDING:
        if backend not in (None, "onnxruntime"):
            raise ArgumentError(
                f"'{out}' is a page, which browsers run by ONNX Runtime; --backend {backend} is "
                f"for files {_ENDINGS[backend]}"
            )
    elif any(value is not None for value in of_pages):
        raise ArgumentError(
            f"--detector and --embed-runtime are of web pages, --out FILE{PAGE_ENDING}; got '{out}'"
        )


def _is_written(model: str, out: Path, *, changed: Any) -> bool:
    """Whether the model is a file that was exported before, of which a page is made.

    Args:
        model: name or file.
        out: what is to be written.
        changed: options of the export itself were given.

    Raises:
        ArgumentError: another file of that kind, or such options.
    """
    from poise.runtimes import is_exported_name

    if not is_exported_name(model):
        return False
    if out.suffix.lower() != PAGE_ENDING or Path(model).suffix.lower() != ".onnx":
        raise ArgumentError(
            f"'{model}' is an exported file; only .onnx becomes something else, a page, --out "
            f"FILE{PAGE_ENDING}. Give the model itself: a name or a config"
        )
    if changed:
        raise ArgumentError(
            f"'{model}' is written already: give options of the export, such as --half, to the one "
            "that writes it, or here the model itself in its place"
        )
    return True


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
