"""`poise doctor`: what is installed, what works here, and what would go wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import typer

from poise._words import counted
from poise.cli import options

__all__ = ["doctor"]

_NEEDED = ("torch", "torchvision", "numpy", "opencv-python-headless", "scipy", "lightning")
_OPTIONAL = (
    "albumentations",
    "timm",
    "tensorboard",
    "onnx",
    "onnxruntime",
    "openvino",
    "ncnn",
    "pnnx",
    "ai-edge-litert",
    "litert-torch",
    "av",
    "fastapi",
    "uvicorn",
)
#: package -> module that runs files for phones
_MOBILE = {"ncnn": "ncnn", "ai-edge-litert": "ai_edge_litert.interpreter"}
#: variables that are shown as set, and not what they are
_SECRET = ("POISE_TOKEN", "HTTPS_PROXY")
#: others than POISE_... that change what Poise does
_OTHER_VARIABLES = ("TORCH_HOME", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HTTPS_PROXY")
#: less room on a disk is told
_LITTLE_ROOM = 2 * 2**30
#: a model inside the package, and the side of the picture that it is tried on
_MODEL, _SIDE = "movenet-lightning", 64


def doctor(
    as_json: options.Json = False,
) -> None:
    """Say what is installed, which devices there are, where files go, and whether a model runs."""
    import poise

    system = f"Python {platform.python_version()}, {platform.platform()}"
    found: dict[str, Any] = {
        "poise": f"{poise.__version__}, {system}",
        "needed": {name: _version(name) for name in _NEEDED},
        "optional": {name: _version(name) for name in _OPTIONAL},
    }
    problems = [f"{n} is missing: pip install {n}" for n, v in found["needed"].items() if v is None]
    full, headless = _version("opencv-python"), found["needed"]["opencv-python-headless"]
    if full and headless and full != headless:
        problems.append(
            f"opencv-python {full} and opencv-python-headless {headless} share a folder, and the "
            "later one's files overwrite the other's. Install the same version of both, or "
            "uninstall both and install opencv-python-headless"
        )
    lacking = any(version is None for version in found["needed"].values())
    if not lacking:
        found["devices"] = _devices(problems)
        found["folders"] = _folders(problems)
        found["detectors"] = _detectors()
        found["a pose"] = _try(problems)
    found["settings"] = _settings()
    found["problems"] = problems
    sys.stdout.write(json.dumps(found, indent=1) + "\n" if as_json else _text(found))
    if lacking or found.get("a pose") is None:
        raise typer.Exit(1)


def _devices(problems: list[str]) -> list[str]:
    """What torch and ONNX Runtime compute on."""
    import torch

    threads = counted(torch.get_num_threads(), "thread")
    found = [f"cpu, {threads} of {counted(os.cpu_count() or 1, 'core')}"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number}, {about.name}, {about.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps (Apple)")
    if len(found) == 1 and shutil.which("nvidia-smi"):
        built = torch.version.cuda
        problems.append(
            "there is an NVIDIA driver (nvidia-smi), and torch sees no GPU: "
            + (
                f"this torch is built for CUDA {built}, for which the driver may be too old"
                if built
                else "this torch is built for CPUs; pytorch.org says how to install another"
            )
        )
    if _version("onnxruntime") or _version("onnxruntime-gpu"):
        import onnxruntime

        providers: list[str] = onnxruntime.get_available_providers()
        names = (name.removesuffix("ExecutionProvider") for name in providers)
        found.append(f"onnxruntime: {', '.join(names)}")
    found += [f"{name}: CPU" for name in _mobile_runtimes(problems)]
    return found


def _mobile_runtimes(problems: list[str]) -> list[str]:
    """Which of the runtimes of phones are installed and can be loaded."""
    found = []
    for package, module in _MOBILE.items():
        if not _version(package):
            continue
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            problems.append(f"{package} is installed and cannot be loaded: {error}")
        else:
            found.append(package)
    return found


def _folders(problems: list[str]) -> dict[str, str]:
    """Where downloads and caches go, what is there, and whether there is room."""
    import torch

    from poise._files import own_cache

    places = {
        "downloaded weights": Path(torch.hub.get_dir()) / "checkpoints",
        "parsed annotations": own_cache(),
    }
    found = {}
    for name, folder in places.items():
        files = [f for f in folder.rglob("*") if f.is_file()] if folder.is_dir() else []
        size = sum(file.stat().st_size for file in files)
        there = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(there).free
        found[name] = (
            f"{folder}: {len(files)} files, {size / 2**20:.0f} MiB; {free / 2**30:.0f} GiB free"
        )
        if not os.access(there, os.W_OK):
            problems.append(f"nothing can be written to {there}, where {name} go")
        if free < _LITTLE_ROOM:
            problems.append(f"{there} has only {free / 2**20:.0f} MiB free, for {name}")
    return found


def _detectors() -> dict[str, str]:
    """What `--detector auto` takes here, for each kind of thing that there are detectors for."""
    from poise.inference.detectors.build import TARGETS, best_detectors

    found = {}
    for target in TARGETS:
        name, best = best_detectors(target)
        better = "" if name == best else f"; `poise zoo download {best}` gets {best}"
        found[target] = f"{name or 'none, the whole picture is one box'}{better}"
    return found


def _try(problems: list[str]) -> str | None:
    """The embedded model on a made picture; None where it fails."""
    import numpy as np

    from poise.inference import Inferencer

    begin = time.perf_counter()
    picture = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    try:
        inferencer = Inferencer(_MODEL)
        inferencer(picture)
        inferencer(picture, boxes=[[0, 0, _SIDE, _SIDE]])
    except Exception as error:  # whatever it is, it is what the user came for
        problems.append(f"no pose could be found: {type(error).__name__}: {error}")
        return None
    seconds = time.perf_counter() - begin
    return f"found by {_MODEL} on {inferencer.device} in {seconds:.1f} s, loading included"


def _settings() -> dict[str, str]:
    """Variables of the environment that are set."""
    names = sorted(n for n in os.environ if n.startswith("POISE_") or n in _OTHER_VARIABLES)
    return {name: "set" if name in _SECRET else os.environ[name] for name in names}


def _text(found: dict[str, Any]) -> str:
    lines = [f"poise {found['poise']}"]
    rows = [(name, version or "MISSING") for name, version in found["needed"].items()]
    rows += [(n, v or "not installed (optional)") for n, v in found["optional"].items()]
    rows += [("device", device) for device in found.get("devices", ())]
    rows += found.get("folders", {}).items()
    rows += [(f"auto detector, {name}", text) for name, text in found.get("detectors", {}).items()]
    rows += found["settings"].items()
    if found.get("a pose"):
        rows.append(("a pose", found["a pose"]))
    lines += [f"  {name:24} {value}" for name, value in rows]
    lines += [f"problem: {text}" for text in found["problems"]] or ["no problems found"]
    return "\n".join(lines) + "\n"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
