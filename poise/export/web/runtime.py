"""ONNX Runtime for browsers: where a page gets it from, of the version that was tried."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, FileMissingError

__all__ = ["runtime_files", "runtime_plan"]

_VERSION = "1.30.0"
_CODE, _WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_GPU_CODE, _GPU_WASM = "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
#: Files of the npm package -> their hashes (subresource integrity); a browser refuses others.
_FILES = {
    _CODE: "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    _WASM: "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    _GPU_CODE: "sha384-1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
    _GPU_WASM: "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
}


def runtime_plan() -> dict[str, Any]:
    """What a page must know: the address, the files of either build, and their hashes."""
    return {
        "address": f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{_VERSION}/dist/",
        "builds": {"cpu": [_CODE, _WASM], "gpu": [_GPU_CODE, _GPU_WASM]},
        "files": _FILES,
    }


def runtime_files(folder: Path) -> dict[str, bytes]:
    """The files of a copy of the npm package `onnxruntime-web`, by name.

    Args:
        folder: the package, its `dist`, or where `npm install` put it.

    Raises:
        FileMissingError: there is no such package.
        ConfigError: it is of another version.
    """
    places = (folder, folder / "dist", folder / "node_modules" / "onnxruntime-web" / "dist")
    found = next((place for place in places if (place / _CODE).is_file()), None)
    get = f"`npm install onnxruntime-web@{_VERSION}` in '{folder}' gets it"
    if found is None:
        raise FileMissingError(
            f"--embed-runtime: expected the npm package onnxruntime-web in '{folder}', but there "
            f"is no {_CODE}, nor in its dist or node_modules/onnxruntime-web/dist; {get}"
        )
    files = {}
    for name, expected in _FILES.items():
        if not (found / name).is_file():
            raise FileMissingError(f"--embed-runtime: '{found}' has no {name}; {get}")
        files[name] = (found / name).read_bytes()
        digest = base64.b64encode(hashlib.sha384(files[name]).digest()).decode()
        if f"sha384-{digest}" != expected:
            raise ConfigError(
                f"--embed-runtime: '{found / name}' is not that of onnxruntime-web {_VERSION}, "
                f"which pages are tried with; {get}"
            )
    return files
