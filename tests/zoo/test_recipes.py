"""Recipes expand to MMPose's trees, and derive what follows from something else."""

import gzip
import json
from pathlib import Path

import pytest

from poise import schemas
from poise.errors import UnknownNameError
from poise.zoo import load_config, models, names
from poise.zoo.families import dwpose, lifting
from poise.zoo.name import parse
from poise.zoo.parts.assembly import ABSENT, matching, replaced
from poise.zoo.parts.mixtures import named_mapping


def plain(tree):
    if isinstance(tree, dict):
        return {str(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [plain(value) for value in tree]
    return tree


def test_all_trees_equal_mmposes(shared):
    with gzip.open(shared / "golden" / "configs.json.gz", "rt") as file:
        trees = json.load(file)["configs"]
    recipes = {path: plain(models()[Path(path).stem].recipe()) for path in trees}
    assert [path for path, tree in trees.items() if recipes[path] != tree] == []
    # and they lie where MMPose has them
    assert {f"configs/{path}" for path in trees} == {
        model.config
        for model in models().values()
        if model.config and model.config.startswith("configs/")
    }


@pytest.mark.parametrize("name", [n for n in names() if n.startswith(("td-hm", "cspnext"))])
def test_heatmap_models_fit_together(name):
    cfg = load_config(name)
    codec = cfg.codec[-1] if isinstance(cfg.codec, list) else cfg.codec
    cut = next(step for step in cfg.val_pipeline if step["type"] == "TopdownAffine")
    assert cut["input_size"] == codec["input_size"] == parse(name).size
    assert cfg.val_dataloader.dataset.pipeline == cfg.get("test_pipeline", cfg.val_pipeline)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192",
            ("td-hm", "hrnet-w32", "dark", 8, 64, 210, "coco", (192, 256), ""),
        ),
        (
            "rtmpose-m_8xb512-700e_body8-halpe26-384x288",
            ("rtmpose-m", "", "", 8, 512, 700, "body8-halpe26", (288, 384), ""),
        ),
        (
            "td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge",
            ("td-hm-vis", "res50", "", 8, 64, 210, "coco-aic", (192, 256), "merge"),
        ),
        (
            "simcc_res50_wo-deconv-8xb64-210e_mpii-256x256",
            ("simcc", "res50", "wo-deconv", 8, 64, 210, "mpii", (256, 256), ""),
        ),
    ],
)
def test_name_says_the_parts(name, parts):
    found = parse(name)
    assert (
        found.method,
        found.network,
        found.variant,
        found.gpus,
        found.batch,
        found.epochs,
        found.data,
        found.size,
        found.suffix,
    ) == parts


def test_name_outside_the_scheme_is_refused():
    with pytest.raises(UnknownNameError, match="'resnet' is not a model name such as td-hm"):
        parse("resnet")


@pytest.mark.parametrize("recipe", [dwpose.recipe, lifting.recipe])
def test_family_refuses_names_that_are_not_its_own(recipe):
    with pytest.raises(UnknownNameError, match="'resnet' is not a model name"):
        recipe("resnet")


def test_keypoints_map_by_name():
    assert named_mapping("aic", "coco")[0] == (0, 6)
    assert named_mapping("coco", "coco") == [(i, i) for i in range(17)]


@pytest.mark.parametrize("source", ["aic", "mpii", "jhmdb", "posetrack18", "crowdpose"])
@pytest.mark.parametrize("target", ["coco", "halpe26", "crowdpose", "coco_wholebody"])
def test_mapping_keeps_left_left_and_right_right(source, target):
    def points(schema):
        return [point["name"] for point in schemas.get(schema)["keypoint_info"].values()]

    for first, second in named_mapping(source, target):
        sides = [
            points(schema)[i].partition("_")[0] for schema, i in ((source, first), (target, second))
        ]
        assert ("left" in sides) == (sides[0] == sides[1] == "left")
        assert ("right" in sides) == (sides[0] == sides[1] == "right")


def test_replaced_leaves_the_original_as_it_is():
    tree = dict(a=dict(b=1, c=2), d=3)
    assert replaced(tree, {"a.b": 5, "a.c": ABSENT, "e.f": 6}) == dict(
        a=dict(b=5), d=3, e=dict(f=6)
    )
    assert tree == dict(a=dict(b=1, c=2), d=3)


def test_later_patterns_win():
    table = {"a*": dict(x=1, y=1), "*c ab*": dict(x=2)}
    assert matching(table, "abc") == dict(x=2, y=1)
    assert matching(table, "axx") == dict(x=1, y=1)
    assert matching(table, "zzz") == {}
