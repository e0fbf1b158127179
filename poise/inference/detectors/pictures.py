"""Test pipelines of detectors, for pictures that are already there."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["picture_steps"]


def picture_steps(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Steps of a pipeline that takes pictures instead of files."""
    copied = copy.deepcopy([dict(step) for step in steps])
    if str(copied[0].get("type")).rpartition(".")[2].startswith("LoadImage"):
        copied[0] = {"type": "mmpose.LoadImage"}
    return copied
