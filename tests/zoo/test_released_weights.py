"""Every file that MMPose has released belongs to a model of the zoo, or there is a reason."""

import json
from pathlib import PurePosixPath

import pytest

from poise.zoo import find_model

#: file -> why no model of the zoo has it
WITHOUT_A_MODEL = {
    "swin_b_p4_w7_fpn_coco_256x192-a3b91c45_20220705.pth": (
        "the index names a config of MMPose 0.x, which MMPose 1.x has no successor of"
    ),
}


@pytest.fixture(scope="module")
def index(shared):
    """Rows of MMPose's own index: address of a file -> paths of configs."""
    path = shared / "zoo" / "models.json"
    if not path.is_file():
        pytest.skip(f"needs MMPose's index of models: {path} is absent")
    rows = {}
    for row in json.loads(path.read_text())["models"]:
        # one address begins with a bracket that is a slip of the pen
        rows.setdefault(row["weights"].lstrip("("), []).append(row["config"])
    return rows


def test_the_index_has_366_files(index):
    assert len(index) == 366
    assert sum("/mmpose/v1/" not in file for file in index) == 198


def test_every_file_belongs_to_the_model_of_its_config(index):
    lost = {}
    for file, configs in index.items():
        name = PurePosixPath(file).name
        if name in WITHOUT_A_MODEL:
            assert all(find_model(PurePosixPath(c).stem) is None for c in configs)
            continue
        found = [find_model(PurePosixPath(config).stem) for config in configs]
        if not any(model is not None and model.weights == file for model in found):
            lost[name] = [model and model.name for model in found]
    assert lost == {}
