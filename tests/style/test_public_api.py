"""The public names are those of the snapshot: none vanishes unnoticed."""

import importlib
import json
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

SNAPSHOT = Path(__file__).with_name("public_api.json")
PACKAGES = json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_public_names_are_those_of_the_snapshot(package):
    module = importlib.import_module(package)
    assert sorted(module.__all__) == PACKAGES[package], (
        f"{package}'s public names changed; if that is meant, run "
        f"python tests/style/update_public_api.py and say why in CHANGELOG.md"
    )


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    for name in PACKAGES[package]:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_public_name_is_hidden_by_a_module_of_the_same_name(package):
    # importing `package.name` would put the module in the place of the function
    module = importlib.import_module(package)
    inside = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))}
    for name in inside & set(PACKAGES[package]):
        assert isinstance(getattr(module, name), ModuleType)
