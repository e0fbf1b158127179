"""The helpers beside the tests, as fixtures: test files are imported without a package."""

import importlib.util
from pathlib import Path

import pytest


def helper(name):
    """A module of this folder."""
    path = Path(__file__).with_name(f"{name}.py")
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
