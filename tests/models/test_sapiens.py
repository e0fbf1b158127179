"""Sapiens' pose configs: MMPose's language, with files of keypoints of their own."""

import json

import pytest
import torch

import poise
from poise.errors import FileMissingError
from poise.models.backbones import VisionTransformer
from poise.zoo.training_data import licence_of_network

CONFIG = """
_base_ = ['../../_base_/default_runtime.py']
model_name = 'sapiens_0.3b'; embed_dim=1024; num_layers=24
image_size = [64, 96]
num_keypoints = 3
custom_imports = dict(
    imports=['mmpose.engine.optim_wrappers.layer_decay_optim_wrapper'], allow_failed_imports=False)
codec = dict(type='UDPHeatmap', input_size=(image_size[0], image_size[1]),
    heatmap_size=(int(image_size[0]/4), int(image_size[1]/4)), sigma=6)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[1., 2., 3.], std=[4., 5., 6.]),
    backbone=dict(
        type='mmpretrain.VisionTransformer', arch=model_name,
        img_size=(image_size[1], image_size[0]), patch_size=16, qkv_bias=True, final_norm=True,
        with_cls_token=False, out_type='featmap', patch_cfg=dict(padding=2)),
    head=dict(
        type='HeatmapHead', in_channels=embed_dim, out_channels=num_keypoints,
        deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4), conv_out_channels=(8, 8),
        conv_kernel_sizes=(1, 1), decoder=codec,
        loss=dict(type='KeypointOHKMMSELoss', use_target_weight=True, topk=2)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
val_dataloader = dict(dataset=dict(
    type='CombinedDataset', metainfo=dict(from_file='configs/_base_/datasets/three.py'),
    datasets=[dict(type='GoliathEvalDataset', ann_file='none.json')]))
test_dataloader = val_dataloader
test_evaluator = dict(type='GoliathMetric', ann_file='none.json')
"""
THREE = """
dataset_info = dict(
    dataset_name='three',
    keypoint_info={
        0: dict(name='nose', id=0, color=[0, 0, 0], type='upper', swap=''),
        1: dict(name='left_cheek', id=1, color=[0, 0, 0], type='upper', swap='right_cheek'),
        2: dict(name='right_cheek', id=2, color=[0, 0, 0], type='upper', swap='left_cheek')},
    skeleton_info={}, joint_weights=[1.] * 3, sigmas=[])
"""


@pytest.fixture
def config(tmp_path):
    """A checkout's config; nobody works in its folder."""
    folder = tmp_path / "pose/configs"
    (folder / "_base_/datasets").mkdir(parents=True)
    (folder / "_base_/default_runtime.py").write_text("default_scope = 'mmpose'\n")
    (folder / "_base_/datasets/three.py").write_text(THREE)
    place = folder / "sapiens_pose/goliath/sapiens.py"
    place.parent.mkdir(parents=True)
    place.write_text(CONFIG)
    return place


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("sapiens_0.3b", (1024, 24, 16, 4096)),
        ("0.6b", (1280, 32, 16, 5120)),
        ("sapiens_1b", (1536, 40, 24, 6144)),
        ("2b", (1920, 48, 32, 7680)),
    ],
)
def test_architectures_are_those_of_the_paper(name, shape):
    """Table 1 of arXiv 2408.12569."""
    assert tuple(VisionTransformer.arch_zoo[name].values()) == shape


def test_a_config_builds_wherever_one_works(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = poise.build_model(str(config))
    assert model.dataset_meta["dataset_name"] == "three"
    assert model.dataset_meta["flip_indices"] == [0, 2, 1]
    with torch.no_grad():
        maps = model.head(model.extract_feat(torch.zeros(1, 3, 96, 64)))
    assert maps.shape == (1, 3, 24, 16)


def test_a_file_of_keypoints_that_is_nowhere_is_told(config):
    (config.parents[2] / "_base_/datasets/three.py").unlink()
    with pytest.raises(FileMissingError, match=r"three\.py' is neither a file"):
        poise.build_model(str(config))


def test_the_licence_of_its_weights_is_told(config):
    assert "CC-BY-NC-4.0" in licence_of_network(poise.load_config(str(config)))
    assert licence_of_network(None) is None
    assert licence_of_network(json.loads('{"model": {"backbone": {"arch": {"a": 1}}}}')) is None
