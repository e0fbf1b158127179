"""Configs of MMPose's projects: found by path and by name, equal to MMPose's files, buildable."""

import hashlib
import json
from pathlib import Path

import pytest

from poise.models.build import build_model
from poise.zoo import find_model, load_config
from poise.zoo.loading import source

ROWS = [
    line.split()
    for line in (Path(__file__).parent / "projects.txt").read_text().splitlines()
    if not line.startswith("#")
]
RTMPOSE = "rtmpose-m_8xb256-420e_coco-256x192"


@pytest.mark.parametrize(("path", "digest"), ROWS, ids=[path for path, _ in ROWS])
def test_tree_is_that_of_mmposes_file(path, digest):
    text = json.dumps(load_config(path).to_dict(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


def test_a_name_that_both_have_is_that_of_the_zoo_and_a_path_that_of_the_project():
    path = f"projects/rtmpose/rtmpose/body_2d_keypoint/{RTMPOSE}.py"
    assert "clip_grad" not in load_config(RTMPOSE).optim_wrapper
    for spelling in (path, path.removesuffix(".py"), f"mmpose::{path}"):
        assert load_config(spelling).optim_wrapper.clip_grad.max_norm == 35
        assert source(spelling)["optim_wrapper"]["clip_grad"]["max_norm"] == 35
    assert find_model(path).weights == find_model(RTMPOSE).weights


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("rtmw3d-l_8xb64_cocktail14-384x288", "wholebody 3d"),
        ("td-hm_uniformer-s-8xb128-210e_coco-256x192", "body 2d"),
        ("rtmpose-t_8xb256-120e_lapa-256x256", "face 2d"),
    ],
)
def test_models_that_only_projects_have_are_built_without_their_packages(name, task):
    assert find_model(name).task == task
    model = build_model(name)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert millions == pytest.approx(find_model(name).parameters, rel=0.01)
