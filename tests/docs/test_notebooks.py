"""Notebooks run from top to bottom, and are stored without what they gave."""

import json
import shutil
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_all_cells_run(path, tmp_path, monkeypatch):
    shutil.copytree(path.parent / "photos", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POISE_OFFLINE", "1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    space = {}
    for cell in cells(path):
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), space)
    assert len(space["noses"]) == 10
    assert len({person for *_, person in space["noses"]}) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_stored(path):
    assert all(not cell.get("outputs") for cell in cells(path))
