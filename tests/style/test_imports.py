"""What an import costs, and what it must not bring in."""

import subprocess
import sys

import pytest

NO_TORCH = [
    "poise",
    "poise.config",
    "poise.registry",
    "poise.schemas",
    "poise.zoo",
    "poise.geometry",
    "poise.structures",
    "poise.structures.bbox",
    "poise.structures.keypoint",
    "poise.codecs",
    "poise.transforms",
    "poise.visualization",
    "poise.inference",
    "poise.cli.main",
]
NO_NUMPY = ["poise", "poise.config", "poise.registry", "poise.schemas", "poise.zoo"]


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join(m.split('.')[0] for m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


@pytest.mark.parametrize("module", NO_TORCH)
def test_import_does_not_bring_in_torch(module):
    assert not {"torch", "lightning", "torchvision"} & loaded_after(f"import {module}")


@pytest.mark.parametrize("module", NO_NUMPY)
def test_import_does_not_bring_in_numpy(module):
    assert not {"numpy", "cv2"} & loaded_after(f"import {module}")
