"""Names of MMPose and its engine find their places in Poise."""

import importlib.util

import pytest

from poise.config import paths
from poise.config.paths import known_names, resolve, resolve_module

PLACES = {
    "mmpose.registry.MODELS": "poise.registry:MODELS",
    "mmpose.registry:KEYPOINT_CODECS": "poise.registry:KEYPOINT_CODECS",
    "mmpose.codecs.UDPHeatmap": "poise.codecs:UDPHeatmap",
    "mmpose.codecs.base.BaseKeypointCodec": "poise.codecs:BaseKeypointCodec",
    "mmpose.codecs.utils.refine_keypoints": "poise.codecs.utils:refine_keypoints",
    "mmpose.codecs.utils.refinement.refine_simcc_dark": "poise.codecs.utils:refine_simcc_dark",
    "mmpose.structures.PoseDataSample": "poise.structures:PoseDataSample",
    "mmpose.structures.bbox.bbox_xyxy2cs": "poise.structures.bbox:bbox_xyxy2cs",
    "mmpose.structures.bbox.transforms.get_3rd_point": "poise.geometry.warps:get_3rd_point",
    "mmpose.structures.keypoint.flip_keypoints": "poise.structures.keypoint:flip_keypoints",
    "mmpose.datasets.CocoDataset": "poise.datasets:CocoDataset",
    "mmpose.datasets.LoadImage": "poise.transforms:LoadImage",
    "mmpose.datasets.datasets.base.BaseCocoStyleDataset": "poise.datasets:BaseCocoStyleDataset",
    "mmpose.datasets.datasets.utils.parse_pose_metainfo": "poise.datasets:parse_pose_metainfo",
    "mmpose.datasets.transforms.common_transforms.RandomFlip": "poise.transforms:RandomFlip",
    "mmpose.models.losses.KeypointMSELoss": "poise.losses:KeypointMSELoss",
    "mmpose.models.KLDiscretLoss": "poise.losses:KLDiscretLoss",
    "mmpose.evaluation.functional.keypoint_pck_accuracy": "poise.metrics.functional:"
    "keypoint_pck_accuracy",
    "mmpose.evaluation.metrics.CocoMetric": "poise.metrics:CocoMetric",
    "mmpose.engine.hooks.PoseVisualizationHook": "poise.training.hooks:PoseVisualizationHook",
    "mmpose.utils.tensor_utils.to_numpy": "poise.compat:to_numpy",
    "mmpose.utils.typing.OptConfigType": "poise.compat.typing:OptConfigType",
    "mmpose.utils.register_all_modules": "poise.compat:register_all_modules",
    "mmengine.Config": "poise.config:Config",
    "mmengine.config.ConfigDict": "poise.config:ConfigDict",
    "mmengine.config.read_base": "poise.config:read_base",
    "mmengine.model.BaseModule": "poise.layers:BaseModule",
    "mmengine.model.weight_init.trunc_normal_": "poise.layers:trunc_normal_",
    "mmengine.structures.InstanceData": "poise.structures:InstanceData",
    "mmengine.evaluator.BaseMetric": "poise.metrics:BaseMetric",
    "mmengine.dataset.BaseDataset": "poise.datasets:BaseDataset",
    "mmengine.dataset.force_full_init": "poise.datasets:force_full_init",
    "mmengine.dataset.Compose": "poise.transforms:Compose",
    "mmengine.hooks.Hook": "poise.training.hooks:Hook",
    "mmengine.hooks.hook.DATA_BATCH": "poise.compat.typing:DATA_BATCH",
    "mmengine.registry.MODELS": "poise.registry:MODELS",
    "mmengine.utils.check_file_exist": "poise.compat.utils:check_file_exist",
    "mmengine.fileio.load": "poise.compat.fileio:load",
    "mmengine.logging.MMLogger": "poise.compat.logging:MMLogger",
    "mmengine.dist.master_only": "poise.compat.dist:master_only",
    "mmcv.cnn.ConvModule": "poise.layers:ConvModule",
    "mmcv.cnn.bricks.DropPath": "poise.layers:DropPath",
    "mmcv.cnn.Conv2d": "torch.nn:Conv2d",
    "mmcv.transforms.BaseTransform": "poise.transforms:BaseTransform",
    "mmcv.transforms.utils.cache_randomness": "poise.transforms:cache_randomness",
    "mmdet.engine.hooks.PipelineSwitchHook": "poise.training.hooks:PipelineSwitchHook",
    "mmdet.datasets.transforms.YOLOXHSVRandomAug": "poise.transforms:YOLOXHSVRandomAug",
    "mmpose.models.builder.HEADS": "poise.registry:MODELS",
    "mmpose.engine.hooks.ema_hook.ExpMomentumEMA": "poise.training.optim.averages:ExpMomentumEMA",
    "mmpose.engine.schedulers.ConstantLR": "poise.training.optim.schedules:ConstantLR",
    "mmpose.models.utils.realnvp.RealNVP": "poise.losses.rle:RealNVP",
    "mmpose.models.utils.check_and_update_config.check_and_update_config": (
        "poise.models.estimators.outdated:modernise"
    ),
    "mmpose.models.backbones.utils.utils.get_state_dict": "poise.models.weights:read_state_dict",
    "mmpose.utils.typing.Optional": "typing:Optional",
    "mmengine.optim.LinearLR": "poise.training.optim.schedules:LinearLR",
    "mmengine.model.BaseModel": "poise.models.base_model:BaseModel",
    "mmengine.model.utils.revert_sync_batchnorm": "poise.compat.models:revert_sync_batchnorm",
    "mmengine.runner.checkpoint.CheckpointLoader": "poise.compat.models:CheckpointLoader",
    "mmengine.registry.DefaultScope": "poise.compat.scopes:DefaultScope",
    "mmcv.ops.MultiScaleDeformableAttention": (
        "poise.layers.deform_attention:MultiScaleDeformableAttention"
    ),
    "mmdet.models.layers.csp_layer.CSPLayer": "poise.layers:CSPLayer",
    "mmdet.registry.MODELS": "poise.compat.mmdet:MODELS",
    "xtcocotools.coco.COCO": "poise.compat.coco:COCO",
    "xtcocotools.mask.decode": "pycocotools.mask:decode",
}


@pytest.mark.parametrize(("old", "new"), PLACES.items())
def test_names_resolve_to_places_that_have_them(old, new):
    assert resolve(old) == new
    module, _, name = new.partition(":")
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "dotted",
    [
        "mmpose.registry.NOTHING",
        "mmpose.models.NoSuchHead",
        # other classes than MMPose's of the same name
        "mmdet.datasets.transforms.RandomFlip",
        "mmdet.models.L1Loss",
        "torch.nn.Conv2d",
        "unknown.thing",
        "plain",
        "mmpose",
    ],
)
def test_names_without_a_place_are_none(dotted):
    assert resolve(dotted) is None


def test_modules_with_one_successor():
    assert resolve_module("mmpose.codecs") is None  # its utils are a package of their own
    assert resolve_module("mmpose.datasets.transforms") == "poise.transforms"
    assert resolve_module("mmcv.cnn") == "poise.layers"
    assert resolve_module("mmpose.models") is None
    assert "UDPHeatmap" in known_names("mmpose.codecs")


def test_every_place_in_the_tables_exists():
    rows = [row.split() for row in paths._PACKAGES.values()]
    rows += [places.split() for row in paths._ONLY.values() for places in row.values()]
    places = {place for row in rows for place in row}
    assert [place for place in sorted(places) if importlib.util.find_spec(place) is None] == []
