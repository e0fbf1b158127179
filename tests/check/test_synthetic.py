"""Made-up data in the format of each reader, so that any config starts."""

from __future__ import annotations

import os

import pytest
import torch

from poise.check.synthetic import use_synthetic_data
from poise.errors import ConfigError
from poise.registry import use_scope
from poise.training.build import build_hooks, build_model
from poise.training.runner import Runner
from poise.zoo import load_config, models, names

#: A config per format of annotations and per way of mixing data sets.
FORMATS = {
    "td-hm_res50_8xb64-210e_coco-256x192": 17,
    "td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192": 133,
    "td-hm_res50_8xb64-210e_mpii-256x256": 16,
    "td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256": 98,
    "td-hm_res50_1xb64-210e_deepfasion2-long-sleeved-dress-256x192": 294,
    "internet_res50_4xb16-20e_interhand3d-256x256": 42,
    "rtmpose-m_8xb256-210e_hand5-256x256": 21,
    "rtmo-s_8xb32-600e_coco-640x640": 17,
    "py_yolox_pose_s_8xb32_300e_coco": 17,
    "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m": 17,
    "rtmw3d-l_8xb64_cocktail14-384x288": 133,
}


@pytest.mark.filterwarnings("ignore:bbox_center and bbox_scale are there already")
@pytest.mark.parametrize("name", FORMATS)
def test_data_of_a_config_are_made_up(tmp_path, name):
    cfg = use_synthetic_data(load_config(name), tmp_path)
    for part in ("train", "val"):
        loader = cfg[f"{part}_dataloader"]
        loader["num_workers"] = 0
        loader.pop("persistent_workers", None)
    runner = Runner(cfg, work_dir=tmp_path / "run")
    with use_scope("mmpose"):
        runner.setup_data()
        item = runner.train_dataloader.dataset[0]
        assert runner.val_loop.dataloader.dataset[0] is not None
    assert item["inputs"].shape[0]
    assert runner.dataset_meta["num_keypoints"] == FORMATS[name]


def test_a_data_set_whose_keypoints_are_unknown_is_named(tmp_path):
    cfg = load_config("td-hm_res50_8xb64-210e_coco-256x192")
    cfg["train_dataloader"]["dataset"] = {"type": "BaseCocoStyleDataset", "ann_file": "a.json"}
    with pytest.raises(ConfigError, match="no made-up data for BaseCocoStyleDataset"):
        use_synthetic_data(cfg, tmp_path)


@pytest.mark.parametrize("root", ["mine", "mine/"])
def test_each_metric_of_several_data_sets_has_the_file_of_its_own(tmp_path, root):
    sets = [dict(type="CocoDataset", data_root=root, ann_file=f"{n}.json") for n in "ab"]
    metrics = [dict(type="CocoMetric", ann_file=f"mine/{n}.json") for n in "ab"]
    mixture = dict(type="CombinedDataset", datasets=sets)
    tree = dict(val_dataloader=dict(dataset=mixture), val_evaluator=dict(metrics=metrics))
    made = use_synthetic_data(tree, tmp_path)
    files = [m["ann_file"] for m in made["val_evaluator"]["metrics"]]
    assert files == [
        f"{d['data_root']}/ann.json" for d in made["val_dataloader"]["dataset"]["datasets"]
    ]


#: All configs with POISE_TEST_ZOO=1, which takes long; else a few.
POSES = [name for name in names() if not models()[name].is_detector]
ZOO = POSES if os.environ.get("POISE_TEST_ZOO") else POSES[5::90]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bbox_center and bbox_scale are there already")
# as one config of MMPose says
@pytest.mark.filterwarnings("ignore:file_client_args is the old name")
@pytest.mark.parametrize("name", ZOO)
def test_every_training_of_the_zoo_is_built(tmp_path, name):
    cfg = load_config(name)
    if not cfg.get("train_dataloader") or not cfg["train_dataloader"]["dataset"].get("pipeline", 1):
        pytest.skip("a config of an evaluation only")
    cfg = use_synthetic_data(cfg, tmp_path)
    for part in ("train", "val"):
        if cfg.get(f"{part}_dataloader"):
            cfg[f"{part}_dataloader"] |= {"num_workers": 0, "batch_size": 2}
            cfg[f"{part}_dataloader"].pop("persistent_workers", None)
    runner = Runner(cfg, work_dir=tmp_path / "run")
    with use_scope(runner.scope):
        # without memory for the weights of the largest
        with torch.device("meta"):
            runner.model = build_model(cfg, init=False)
        runner.hooks = build_hooks(cfg)
        runner.setup_data()
        runner.setup_optimizer()
        batch = next(iter(runner.train_dataloader))
    assert len(batch["inputs"]) == 2
    assert len(runner.optimizer.param_groups) > 0
    assert len(runner.param_schedulers) > 0
