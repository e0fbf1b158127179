from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.config import Config


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below the test's folder and return its path."""

    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return _write


@pytest.fixture
def tree(write: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """Tree of plain values that a config text gives."""

    def _tree(text: str, name: str = "cfg.py", **options: Any) -> dict[str, Any]:
        return Config.fromfile(write(name, text), **options).to_dict()

    return _tree
