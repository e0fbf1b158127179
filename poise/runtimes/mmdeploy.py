"""What MMDeploy writes beside a network: how pictures get in, and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poise.errors import DataError

__all__ = ["Deployed", "Levels", "read_detail", "read_pipeline"]


class Levels(NamedTuple):
    """How levels of pictures become inputs.

    Attributes:
        mean, std: (3,) of the channels in the network's order.
        rgb: whether that is RGB; else BGR.
    """

    mean: Sequence[float]
    std: Sequence[float]
    rgb: bool


class Deployed(NamedTuple):
    """What `pipeline.json` says.

    Attributes:
        steps: transforms by their type.
        decoding: settings of what reads the outputs.
        levels: None where pictures are not normalised.
    """

    steps: dict[str, dict[str, Any]]
    decoding: dict[str, Any]
    levels: Levels | None


def read_pipeline(network: Path) -> Deployed | None:
    """`pipeline.json` beside a network; None where there is none.

    Raises:
        DataError: it has another form.
    """
    file = network.parent / "pipeline.json"
    described = _read(file)
    if described is None:
        return None
    try:
        tasks = described["pipeline"]["tasks"]
        steps = {step["type"]: step for task in tasks for step in task.get("transforms", ())}
        decoding = next((dict(task["params"]) for task in tasks if "params" in task), {})
        norm = steps.get("Normalize")
        levels = norm and Levels(norm["mean"], norm["std"], bool(norm.get("to_rgb", False)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"'{file}' is not a pipeline.json as MMDeploy writes it: expected pipeline.tasks, with "
            f"transforms that have a type ({error!r})"
        ) from error
    return Deployed(steps, decoding, levels)


def read_detail(network: Path) -> list[str]:
    """Checkpoint and config that `detail.json` beside a network names; where it does.

    Raises:
        DataError: it has another form.
    """
    file = network.parent / "detail.json"
    codebase = (_read(file) or {}).get("codebase") or {}
    if not isinstance(codebase, dict):
        raise DataError(
            f"'{file}' is not a detail.json as MMDeploy writes it: expected a codebase with pth "
            f"and config, got {codebase!r}"
        )
    return [str(codebase[key]) for key in ("pth", "config") if codebase.get(key)]


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"'{file}' is no JSON file, as MMDeploy writes it: {error}") from error
    if not isinstance(found, dict):
        raise DataError(
            f"'{file}' is not a {file.name} as MMDeploy writes it: expected a JSON object"
        )
    return found
