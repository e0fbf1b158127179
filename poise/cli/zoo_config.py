"""What a config file's network costs, for `poise zoo info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poise.errors import ConfigError

__all__ = ["config_record", "shown"]

MILLION, BILLION = 1e6, 1e9


def config_record(path: Path) -> dict[str, Any]:
    """What is known about the model of a config file.

    Returns:
        name, type, `input_size` (w, h) or None, `parameters_millions` and `gflops` or None.

    Raises:
        ConfigError: the file describes no model.
    """
    from poise.config import apply_custom_imports
    from poise.inference.networks.crops import pipeline_config
    from poise.models import build_model
    from poise.models.cost import cost
    from poise.zoo import load_config

    cfg = load_config(path)
    if not cfg.get("model"):
        raise ConfigError(f"{path} has no `model`")
    apply_custom_imports(cfg)
    size = next(filter(None, map(_size, pipeline_config(cfg))), None)
    shape = None if size is None else (1, 3, size[1], size[0])
    found = cost(lambda: build_model(cfg.model), shape)
    work = found.multiply_adds
    return {
        "name": path.stem,
        "type": str(cfg.model.type),
        "input_size": size,
        "parameters_millions": round(found.parameters / MILLION, 2),
        "gflops": None if work is None else round(work / BILLION, 2),
    }


def shown(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for people: (label, text)."""
    size, work = record["input_size"], record["gflops"]
    lines = [("name", record["name"]), ("model", record["type"])]
    if size is not None:
        lines.append(("input", "{}x{} (width x height)".format(*size)))
    lines.append(("parameters", f"{record['parameters_millions']:g} million"))
    if work is not None:
        lines.append(("GFLOPs", f"{work:g} for one input (without flip test)"))
    return lines


def _size(step: Any) -> tuple[int, int] | None:
    """Width and height that a transform makes; None of one that keeps them."""
    size = step.get("input_size", step.get("scale"))
    pair = isinstance(size, (list, tuple)) and len(size) == 2
    return (int(size[0]), int(size[1])) if pair and all(isinstance(v, int) for v in size) else None
