"""`poise doctor`: what is installed, and what would go wrong."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

__all__ = ["doctor"]

_NEEDED = ("torch", "torchvision", "numpy", "opencv-python-headless", "scipy", "lightning")
_OPTIONAL = (
    "albumentations",
    "timm",
    "tensorboard",
    "onnx",
    "onnxruntime",
    "openvino",
    "av",
    "fastapi",
    "uvicorn",
)


def doctor() -> None:
    """Say which versions are installed, which device torch sees, and what is missing."""
    import poise

    print(f"poise {poise.__version__}, Python {platform.python_version()}, {platform.platform()}")
    missing = []
    for name in _NEEDED:
        version = _version(name)
        if version is None:
            missing.append(name)
        print(f"  {name:24} {version or 'MISSING'}")
    for name in _OPTIONAL:
        print(f"  {name:24} {_version(name) or 'not installed (optional)'}")
    if _version("opencv-python") and _version("opencv-python-headless"):
        print(
            "  both opencv-python and opencv-python-headless are installed: the later one's "
            "files overwrite the other's. Keep one of them"
        )
    if missing:
        print(f"missing: pip install {' '.join(missing)}")
        sys.exit(1)
    import torch

    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name(0)})"
    elif torch.backends.mps.is_available():
        device = "mps"
    print(f"  device                   {device}, {torch.get_num_threads()} CPU threads")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
