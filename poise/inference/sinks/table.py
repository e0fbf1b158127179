"""Sinks by name, as `--save` takes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path

from poise.errors import UnknownNameError, one_of
from poise.inference.sinks.base import Sink, SinkOptions

__all__ = ["SINKS", "open_sinks"]

#: name -> (module:class, the line that help texts show)
SINKS = {
    "image": ("poise.inference.sinks.image:ImageSink", "drawn pictures, NAME_pose.jpg"),
    "video": ("poise.inference.sinks.video:VideoSink", "drawn videos with sound, NAME_pose.mp4"),
    "json": ("poise.inference.sinks.json_files:JsonSink", "a JSON file a picture or frame"),
    "jsonl": ("poise.inference.sinks.json_files:JsonLinesSink", "a line a picture or frame"),
    "coco": ("poise.inference.sinks.coco:CocoSink", "COCO results: a list of detections"),
    "csv": ("poise.inference.sinks.table_files:CsvSink", "a row a person"),
    "parquet": ("poise.inference.sinks.table_files:ParquetSink", "the same rows, in Parquet"),
    "sheet": ("poise.inference.sinks.sheet:ContactSheet", "small drawn pictures on one sheet"),
    "yolo": ("poise.inference.sinks.yolo:YoloSink", "YOLO-pose labels, a text file a picture"),
    "dlc": ("poise.inference.sinks.deeplabcut:DeepLabCutSink", "DeepLabCut's table"),
    "sleap": ("poise.inference.sinks.sleap:SleapSink", "SLEAP's analysis file"),
    "trc": ("poise.inference.sinks.trc:TrcSink", "3D markers for OpenSim"),
    "c3d": ("poise.inference.sinks.c3d:C3dSink", "3D markers of motion laboratories"),
    "bvh": ("poise.inference.sinks.bvh:BvhSink", "a moving 3D skeleton for Blender"),
    "angles": ("poise.inference.sinks.angles:AnglesSink", "joint angles, a row a person"),
    "html": ("poise.inference.sinks.html3d:Html3dSink", "3D poses as a web page to turn and play"),
    "show": ("poise.inference.sinks.window:Window", "a window on the screen"),
}


def open_sinks(
    names: str | Iterable[str], folder: Path, options: SinkOptions | None = None
) -> list[Sink]:
    """Sinks of names such as "video,jsonl".

    Args:
        names: keys of `SINKS`, comma separated or as a list; each once.
        folder: where files go.
        options: for all of them.

    Raises:
        UnknownNameError: a name that is not in the table.
        MissingDependencyError: a sink whose library is not installed.
    """
    given = names.split(",") if isinstance(names, str) else list(names)
    # a name twice would write the same file twice
    chosen = dict.fromkeys(name.strip() for name in given if name.strip())
    for name in chosen:
        one_of(name, SINKS, "what to save", UnknownNameError)
    return [_class_of(name)(Path(folder), options or SinkOptions()) for name in chosen]


def _class_of(name: str) -> Callable[[Path, SinkOptions], Sink]:
    module, _, attribute = SINKS[name][0].partition(":")
    return getattr(importlib.import_module(module), attribute)
