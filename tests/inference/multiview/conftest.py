"""The helpers beside the tests, as fixtures: test files are imported without a package."""

import importlib.util
from pathlib import Path

import pytest


def helper(name, folder=None):
    """A module of this folder, or of another."""
    path = (folder or Path(__file__).parent) / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"multiview_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scenes():
    """The module `scenes.py`: people who walk about."""
    return helper("scenes")


@pytest.fixture(scope="session")
def drawn():
    """The module `drawn_boards.py`: pictures of boards."""
    return helper("drawn_boards")


@pytest.fixture(scope="session")
def walkers():
    """The benchmark of cameras that are calibrated by people, which makes their scenes."""
    return helper("people_calibration", Path(__file__).parents[3] / "benchmarks")
