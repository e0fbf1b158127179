"""The scenes beside the tests, as a fixture: test files are imported without a package."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scenes():
    """The module `scenes.py`."""
    path = Path(__file__).with_name("scenes.py")
    spec = importlib.util.spec_from_file_location("multiview_scenes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
