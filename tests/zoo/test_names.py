"""Every name and alias of MMPose leads to the config and the weights that MMPose's loader takes."""

import json
import os
from pathlib import Path

import pytest

from poise.errors import ConfigError
from poise.zoo import find_model, load_config, models
from poise.zoo.index import require_model
from poise.zoo.refused import ABSENT

ROWS = [
    line.split()
    for line in (Path(__file__).parent / "mmpose_names.txt").read_text().splitlines()
    if not line.startswith("#")
]
#: metafiles with paths of files that MMPose 1.x does not have, so that its loader fails
MOVED = {
    "ipr_res50_debias--8xb64-210e_coco-256x256": "ipr_res50_debias-8xb64-210e_coco-256x256",
    **{
        name: name
        for part in (1, 2, 3)
        for name in [f"td-hm_cpm_8xb32-40e_jhmdb-sub{part}-368x368"]
    },
}
SHARED = Path(os.environ.get("POISE_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.mark.parametrize(("name", "config", "weights"), ROWS, ids=[row[0] for row in ROWS])
def test_a_name_is_what_mmposes_loader_makes_of_it(name, config, weights):
    if name in ABSENT:
        with pytest.raises(ConfigError, match="is not in the zoo"):
            require_model(name)
        return
    model = find_model(name)
    assert model.weights.endswith(f"/{weights}.pth")
    if name in MOVED:
        assert model.name == MOVED[name]
    else:
        assert model.config == f"configs/{config.replace('*', name)}.py"


@pytest.mark.skipif(not (SHARED / "zoo/models.json").is_file(), reason="no reference data here")
def test_every_released_file_is_that_of_a_model_or_has_a_reason():
    known = {model.weights for model in models().values()}
    for released in json.loads((SHARED / "zoo/models.json").read_text())["models"]:
        # one address stands in brackets there
        address = released["weights"].strip("()")
        assert address in known or released["name"] in ABSENT, address


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_what_is_not_there_names_a_substitute_that_is(name):
    substitute = next(word for word in ABSENT[name].replace(";", "").split() if find_model(word))
    assert find_model(substitute).weights
    with pytest.raises(ConfigError, match=f"'{name}' is not in the zoo.*{substitute}"):
        load_config(name)


def test_a_schema_is_found_by_mmposes_path_inside_a_users_config(tmp_path, monkeypatch):
    from poise.config import Config
    from poise.structures.metainfo import parse_pose_metainfo

    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "_base_ = ['configs/body_2d_keypoint/rtmpose/coco/"
        "rtmpose-t_8xb256-420e_coco-256x192.py']\n"
        "train_dataloader = dict(dataset=dict(metainfo=dict("
        "from_file='configs/_base_/datasets/coco.py')))\n"
    )
    cfg = Config.fromfile("mine.py")
    assert cfg.model.head.type == "RTMCCHead"
    assert parse_pose_metainfo(cfg.train_dataloader.dataset.metainfo)["num_keypoints"] == 17
