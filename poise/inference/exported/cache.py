"""Torch models that a runtime shall run: exported once, and found again."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from pathlib import Path
from typing import Any

from poise._files import own_cache

__all__ = ["export_cached"]

_LOG = logging.getLogger(__name__)

#: In a higher layer, hence by its name.
_EXPORTER = "poise.export.exporting:export_for_session"
#: Raised when the exporter writes other files, so that old ones are not found again.
_WRITING = 3


def export_cached(model: Any) -> Path:
    """ONNX file of a model; written once, and found again by weights and settings.

    It lies in `$POISE_CACHE_DIR/exported`, else in the user's cache folder.
    """
    path = own_cache() / "exported" / f"{_fingerprint(model)}.onnx"
    if not path.is_file():
        _LOG.info("exporting the network to %s", path)
        module, _, function = _EXPORTER.partition(":")
        getattr(importlib.import_module(module), function)(model, path)
    return path


def _fingerprint(model: Any) -> str:
    """Of everything that goes into the file."""
    import torch

    from poise import __version__

    digest = hashlib.sha256(f"{__version__} {torch.__version__} {_WRITING}".encode())
    digest.update(json.dumps(model.cfg.to_dict(), default=str, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
