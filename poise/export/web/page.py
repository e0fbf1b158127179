"""A model as one web page."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise._files import write_whole, writing
from poise.errors import ArgumentError, ConfigError, FileMissingError
from poise.export.checks.parity import Report
from poise.export.exporting import export_detector, export_model
from poise.export.plans.kinds import plan_of
from poise.export.web.plan import control_values, detector_plan, pose_plan
from poise.export.web.runtime import runtime_files, runtime_plan
from poise.inference.detectors.targets import shows_people
from poise.inference.results import RESULT_VERSION
from poise.runtimes import read_metadata
from poise.structures import keypoint_names
from poise.structures.metainfo import restore_metainfo
from poise.visualization.style import Palette

__all__ = ["export_page", "page_script"]

_FOLDER = Path(__file__).parent
#: In the order in which they stand in the page: each knows those before it.
_MODULES = ("geometry", "codecs", "people", "runtime", "poses", "main")
_WAYS = {
    "detector": "at what the detector finds",
    "whole": "at the whole picture",
    "drawn": "in a box that I draw",
}


def export_page(
    model: Any,
    path: str | os.PathLike[str],
    *,
    detector: str | os.PathLike[str] | None = None,
    runtime: str | os.PathLike[str] | None = None,
    title: str | None = None,
    **options: Any,
) -> Report:
    """Write a model as one web page that finds poses in the browser of whoever opens it.

    Pictures, videos and the camera are looked at without a server. The file of the model inside
    passes what `export_model` checks, and the page runs only where the browser computes the same.

    Args:
        model: top-down or one-stage estimator as of `export_model`, or the path of an .onnx file
            that it wrote.
        path: page to write, .html.
        detector: of top-down models: "nanodet" (people), the name or .onnx file of an RTMDet or
            YOLOX, or "whole-image"; None: nanodet for people, else the whole picture.
        runtime: a copy of the npm package onnxruntime-web, which is put into the page; None: the
            page fetches it.
        title: heading of the page; None: the name of the file.
        **options: as of `export_model`.

    Raises:
        ConfigError: a model that a page cannot run, or whose file says something else.
        FileMissingError: no such file, or no such package.
        ArgumentError: options that do not fit together.
        DataError: the page cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise ArgumentError(f"a page is a file .html, got '{path}'")
    given = isinstance(model, (str, os.PathLike))
    if given and not Path(model).is_file():
        raise FileMissingError(f"there is no file '{model}' (looked in {Path.cwd()})")
    about = (
        read_metadata(model)
        if given
        else plan_of(model, candidates=options.get("candidates")).metadata
    )
    if given and "dataset_meta" not in about:
        raise ConfigError(f"'{model}' is no pose model that `poise export` wrote as .onnx")
    # before anything takes time
    pose_plan(about)
    embedded = {} if runtime is None else runtime_files(Path(runtime))
    with tempfile.TemporaryDirectory() as folder:
        found = _detector_file(detector, about, Path(folder))
        report, file = Report(), Path(folder) / "pose.onnx"
        if given:
            file = Path(model)
        else:
            report = export_model(model, file, **options)
        page = _page_text(file, found, embedded, title or path.stem)
        with writing(path):
            write_whole(path, page.encode())
    return report


def _detector_file(detector: Any, about: Mapping[str, Any], folder: Path) -> Path | None:
    """File of the detector that a pose model needs, in `folder` where it is made here.

    Raises:
        ArgumentError: a detector beside a model that needs none.
    """
    if about.get("kind", "topdown") != "topdown":
        if detector not in (None, "whole-image"):
            raise ArgumentError(
                f"--detector {detector}: one-stage models find everybody themselves; leave it out"
            )
        return None
    people = shows_people(about.get("dataset_meta", {}))
    name = os.fspath(detector or ("nanodet" if people else "whole-image"))
    if name == "whole-image":
        return None
    if name.lower().endswith(".onnx"):
        if not Path(name).is_file():
            raise FileMissingError(f"--detector: there is no file '{name}'")
        return Path(name)
    file = folder / "detector.onnx"
    if name == "nanodet":
        return export_detector(file, half=True)
    from poise.models.build import load_model

    export_model(load_model(name, device="cpu"), file)
    return file


def _page_text(
    model: Path, detector: Path | None, embedded: Mapping[str, bytes], title: str
) -> str:
    """The page of exported files, and of those of ONNX Runtime where they are in it."""
    about = read_metadata(model)
    meta = restore_metainfo(about["dataset_meta"])
    plans, files = {"pose": pose_plan(about)}, {"pose": model.read_bytes(), **embedded}
    if detector is not None:
        plans["detector"] = detector_plan(read_metadata(detector), meta, detector.name)
        files["detector"] = detector.read_bytes()
        plans["detector"]["control"] = control_values(detector, plans["detector"])
    plans["pose"]["control"] = control_values(model, plans["pose"])
    names = keypoint_names(meta)
    palette = Palette.of(meta, len(names), order="rgb")
    data = {
        **plans,
        "names": names,
        "schema": meta.get("dataset_name", ""),
        "links": palette.links.tolist(),
        "linkColors": [_css(color) for color in palette.link_colors],
        "pointColors": [_css(color) for color in palette.points],
        "resultVersion": RESULT_VERSION,
        "runtime": runtime_plan(),
    }
    topdown = plans["pose"]["kind"] == "topdown"
    values = {
        "TITLE": html.escape(title),
        "ABOUT": html.escape(f"{len(names)} keypoints ({data['schema']})."),
        "WAYS": _ways(detector is not None) if topdown else "",
        "NOBOXES": "" if detector is not None else " hidden",
        "NOFOLLOW": "" if topdown else " hidden",
        "SCRIPT": page_script(data),
        "FILES": "\n".join(
            f'<script type="text/plain" id="file-{name}">{_packed(raw)}</script>'
            for name, raw in files.items()
        ),
    }
    page = (_FOLDER / "page.html").read_text(encoding="utf-8")
    for key, value in values.items():
        page = page.replace(f"@{key}@", value)
    return page


def page_script(data: Mapping[str, Any], modules: tuple[str, ...] = _MODULES) -> str:
    """The program of a page: what it must know, and modules as one."""
    lines = [f"const PAGE = {json.dumps(data).replace('<', chr(92) + 'u003c')};"]
    for name in modules:
        text = (_FOLDER / f"{name}.js").read_text(encoding="utf-8")
        kept = (line for line in text.splitlines() if not line.startswith("import "))
        lines += [line.removeprefix("export ") for line in kept]
    return "\n".join(lines)


def _ways(detector: bool) -> str:
    """Where the page can be told to look."""
    options = "".join(
        f'<option value="{way}">{text}</option>'
        for way, text in _WAYS.items()
        if way != "detector" or detector
    )
    hint = '<p id="hint" class="soft" hidden>Draw the box upon the picture.</p>'
    return f'<label>Look <select id="way">{options}</select></label>{hint}'


def _packed(raw: bytes) -> str:
    return base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode()


def _css(color: tuple[int, int, int] | None) -> str | None:
    return None if color is None else "#{:02x}{:02x}{:02x}".format(*color)
