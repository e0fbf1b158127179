"""Where the names that code and configs import from MMPose and its engine live in Poise.

A row says which Poise packages hold the public names of an old package and of its submodules; a
name resolves to the first of them that exports it. So the table need not list names, and a name
is never sent to a place that does not have it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["REPLACED", "and_parents", "known_names", "resolve", "resolve_module"]

REPLACED = ("mmpose", "mmengine", "mmcv", "mmdet", "mmpretrain", "mmcls", "xtcocotools")
"""Packages that Poise takes the place of."""

_MODEL_PARTS = (
    "poise.models.backbones poise.models.necks poise.models.heads poise.losses "
    "poise.models.estimators poise.models.preprocessors poise.models.distillers "
    "poise.models.build"
)
_BLOCKS = "poise.layers poise.models.flip poise.metrics.functional"

_PACKAGES: dict[str, str] = {
    "mmpose.apis": "poise.apis",
    "mmpose.codecs": "poise.codecs poise.codecs.utils",
    "mmpose.datasets": "poise.datasets poise.transforms poise.registry",
    "mmpose.datasets.transforms": "poise.transforms",
    "mmpose.engine": "poise.training.hooks poise.training poise.training.optim",
    "mmpose.engine.hooks": "poise.training.hooks poise.training.optim.averages",
    "mmpose.engine.schedulers": "poise.training.optim.schedules",
    "mmpose.evaluation": "poise.metrics poise.metrics.functional",
    "mmpose.evaluation.functional": "poise.metrics.functional",
    "mmpose.models": _MODEL_PARTS,
    "mmpose.models.backbones.resnet": "poise.layers poise.models.backbones",
    "mmpose.models.backbones.csp_darknet": "poise.models.backbones poise.layers",
    "mmpose.models.backbones.seresnet": "poise.models.backbones poise.layers",
    "mmpose.models.backbones.utils": "poise.layers poise.models.weights",
    "mmpose.models.backbones.vipnas_resnet": "poise.models.backbones poise.layers",
    "mmpose.models.builder": "poise.compat.builder",
    "mmpose.models.heads.transformer_heads": "poise.models.heads poise.layers "
    "poise.layers.deform_attention poise.models.heads.edpose.encoder",
    "mmpose.models.losses": "poise.losses",
    "mmpose.models.data_preprocessors": "poise.models.preprocessors",
    "mmpose.models.pose_estimators": "poise.models.estimators",
    "mmpose.models.task_modules": "poise.models.assigners",
    "mmpose.models.utils": f"{_BLOCKS} poise.layers.gau poise.layers.sine_position "
    "poise.models.heads.edpose.encoder poise.compat.models",
    "mmpose.models.utils.realnvp": "poise.losses.rle",
    "mmpose.models.utils.rtmcc_block": "poise.layers.rtmcc_block poise.layers",
    "mmpose.models.utils.transformer": "poise.layers poise.layers.gau poise.layers.sine_position",
    "mmpose.registry": "poise.registry",
    "mmpose.structures": "poise.structures",
    "mmpose.structures.bbox": "poise.structures.bbox poise.geometry.boxes poise.geometry.warps",
    "mmpose.structures.keypoint": "poise.structures.keypoint poise.geometry.keypoints",
    "mmpose.utils": "poise.compat poise.geometry",
    "mmpose.utils.typing": "poise.compat.typing poise.config poise.structures typing",
    "mmpose.visualization": "poise.visualization",
    "mmengine": "poise.config poise.compat poise.training.logs.message_hub poise.registry",
    "mmengine.config": "poise.config",
    "mmengine.dataset": "poise.datasets poise.transforms",
    "mmengine.dist": "poise.compat.dist",
    "mmengine.evaluator": "poise.metrics",
    "mmengine.fileio": "poise.compat.fileio",
    "mmengine.hooks": "poise.training.hooks poise.compat.typing",
    "mmengine.logging": "poise.training.logs.message_hub poise.training poise.compat.logging",
    "mmengine.model": "poise.layers poise.models.preprocessors poise.models.weights "
    "poise.training.optim.averages poise.models.base_model poise.compat.models",
    "mmengine.optim": "poise.training poise.training.optim poise.training.optim.schedules "
    "poise.registry",
    "mmengine.registry": "poise.registry poise.compat.scopes",
    "mmengine.runner": "poise.training poise.training.run.loops poise.training.run.checkpoint "
    "poise.models.weights poise.compat.models",
    "mmengine.structures": "poise.structures",
    "mmengine.utils": "poise.compat.utils poise.compat.progress",
    "mmengine.visualization": "poise.visualization poise.training.logs.scalars",
    "mmcv": "poise.compat",
    "mmcv.cnn": "poise.layers",
    "mmcv.cnn.bricks.transformer": "poise.layers poise.layers.deform_attention",
    "mmcv.ops": "poise.layers poise.layers.deform_attention",
    "mmcv.transforms": "poise.transforms poise.registry",
    "xtcocotools": "poise.compat.coco",
    "xtcocotools._mask": "pycocotools._mask",
    "xtcocotools.mask": "pycocotools.mask",
}

#: MMDetection and MMPretrain register other classes under names of MMPose, so only these names
#: of theirs are Poise's.
_ONLY: dict[str, dict[str, str]] = {
    "mmdet.apis": {"inference_detector init_detector": "poise.apis"},
    "mmdet.datasets.transforms": {"YOLOXHSVRandomAug PackDetInputs": "poise.transforms"},
    "mmdet.engine.hooks": {"PipelineSwitchHook SyncNormHook": "poise.training.hooks"},
    "mmdet.models": {
        "CSPNeXt CSPDarknet": "poise.models.backbones",
        "CSPLayer CSPNeXtBlock ChannelAttention DarknetBottleneck Focus SPPBottleneck": (
            "poise.layers"
        ),
        "RTMDet RTMDetSepBNHead YOLOX YOLOXHead": "poise.models.detectors",
    },
    "mmdet.registry": {"DATASETS HOOKS METRICS MODELS TASK_UTILS TRANSFORMS": "poise.compat.mmdet"},
    "mmdet.structures": {"DetDataSample OptSampleList SampleList": "poise.compat.mmdet"},
    "mmdet.utils": {
        "ConfigType OptConfigType MultiConfig OptMultiConfig InstanceList OptInstanceList "
        "reduce_mean": "poise.compat.typing poise.compat"
    },
    **{
        f"{package}.models": {
            "VisionTransformer": "poise.models.backbones",
            "resize_pos_embed": "poise.models.backbones.vision_transformer",
            "to_2tuple": "poise.compat",
        }
        for package in ("mmpretrain", "mmcls")
    },
}

#: Names that Poise calls otherwise.
_RENAMED: dict[str, str] = {
    **{
        f"mmpose.models{module}.{name}": "poise.registry:MODELS"
        for module in ("", ".builder")
        for name in ("BACKBONES", "NECKS", "HEADS", "LOSSES", "POSE_ESTIMATORS")
    },
    **{
        f"mmpose.models.build_{part}": f"poise.compat.builder:build_{part}"
        for part in ("backbone", "head", "loss", "neck", "pose_estimator", "posenet")
    },
    **{
        f"mmpose.models.backbones.{old}": f"poise.models.backbones.{new}"
        for old, new in {
            "hrformer.HRFomerModule": "hrformer:HRFormerModule",
            "hrnet.Bottleneck": "resnet:Bottleneck",
            "hrnet.HRModule": "hr_module:HRModule",
            "litehrnet.LiteHRModule": "lite_hrnet:LiteHRModule",
            "shufflenet_v1.ShuffleUnit": "shufflenet:ShuffleUnit",
            "shufflenet_v2.InvertedResidual": "shufflenet:ShuffleUnitV2",
            "resnest.Bottleneck": "resnest:ResNeStBottleneck",
            "resnext.Bottleneck": "resnext:Bottleneck",
            "vipnas_resnet.ViPNAS_Bottleneck": "vipnas:ViPNASBottleneck",
        }.items()
    },
    "mmpose.models.utils.RTMCCBlock": "poise.layers.rtmcc_block:RTMCCBlock",
    "mmpose.__version__": "poise:__version__",
    "mmpose.models.backbones.utils.get_state_dict": "poise.models.weights:read_state_dict",
    "mmpose.models.utils.check_and_update_config": "poise.models.estimators.outdated:modernise",
    "mmpose.models.utils.rtmcc_block.rope": "poise.layers.rtmcc_block:rotary_embedding",
    "mmengine.logging.HistoryBuffer": "poise.training.logs.message_hub:ScalarHistory",
    "mmengine.registry.build_from_cfg": "poise.compat.builder:build_from_cfg",
    "mmengine.registry.build_model_from_cfg": "poise.compat.builder:build_from_cfg",
    "mmengine.runner.checkpoint._load_checkpoint": "poise.models.weights:read_checkpoint",
    "mmengine.utils.ManagerMixin": "poise._named:Named",
    "mmengine.runner.LogProcessor": "poise.training.logs.log_processor:LogProcessor",
    "mmengine.utils.dl_utils.TORCH_VERSION": "torch:__version__",
    "mmpose.utils.adapt_mmdet_pipeline": "poise.apis:adapt_mmdet_pipeline",
    **{
        f"mmcv.cnn.{name}": f"torch.nn:{name}"
        for name in ("Linear", "Conv2d", "Conv3d", "ConvTranspose2d", "MaxPool2d", "MaxPool3d")
    },
    "mmcv.cnn.MODELS": "poise.registry:MODELS",
    "mmengine.utils.dl_utils.parrots_wrapper._BatchNorm": "torch.nn.modules.batchnorm:_BatchNorm",
    "mmengine.utils.dl_utils.parrots_wrapper._InstanceNorm": (
        "torch.nn.modules.instancenorm:_InstanceNorm"
    ),
    "mmengine.utils.dl_utils.parrots_wrapper.SyncBatchNorm": "torch.nn:SyncBatchNorm",
}


@functools.cache
def resolve(dotted: str) -> str | None:
    """Place of an imported name in Poise as "module:name"; None where Poise has none.

    Args:
        dotted: module and name, such as "mmpose.models.backbones.base_backbone.BaseBackbone";
            the last dot may be a colon. Public names of Poise lead to themselves.

    Example:
        >>> resolve("mmengine.structures.InstanceData")
        'poise.structures:InstanceData'
        >>> resolve("mmpose.registry.NOTHING") is None
        True
    """
    module, _, name = dotted.replace(":", ".").rpartition(".")
    if module.startswith("poise."):
        return f"{module}:{name}" if name in exported_names(module) else None
    for around in and_parents(module):
        if f"{around}.{name}" in _RENAMED:
            return _RENAMED[f"{around}.{name}"]
    for package in _targets(module, name):
        if name in exported_names(package):
            return f"{package}:{name}"
        # a helper that the old module defined and Poise's module of the same name has too
        same = f"{package}.{module.rpartition('.')[2]}"
        if _defines(same, name):
            return f"{same}:{name}"
    return None


def resolve_module(dotted: str) -> str | None:
    """Poise's package in place of an old one; None where its names went to several places."""
    row = _row(dotted, _PACKAGES)
    targets = _PACKAGES[row].split() if row == dotted else []
    return targets[0] if len(targets) == 1 else None


def known_names(module: str) -> list[str]:
    """Names that resolve from an old module, to suggest one of them for a typing error."""
    return sorted({name for package in _targets(module, "") for name in exported_names(package)})


def and_parents(module: str) -> Iterator[str]:
    """A module and the packages around it."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def _row(module: str, table: dict[str, str] | dict[str, dict[str, str]]) -> str | None:
    """Longest row of a table that is the module or a package around it."""
    return next((around for around in and_parents(module) if around in table), None)


def _targets(module: str, name: str) -> list[str]:
    row = _row(module, _PACKAGES)
    if row is not None:
        targets = _PACKAGES[row].split()
        # mmpose.models.backbones.resnet: the part of the same name comes first
        parts = module.split(".")
        return sorted(targets, key=lambda target: target.rpartition(".")[2] not in parts)
    row = _row(module, _ONLY)
    for names, packages in _ONLY[row].items() if row else ():
        if name in names.split():
            return packages.split()
    return []


@functools.cache
def exported_names(package: str) -> frozenset[str]:
    """`__all__` of a package; Poise's list their names without loading what they name."""
    if not _exists(package):
        return frozenset()
    module = importlib.import_module(package)
    return frozenset(getattr(module, "__all__", dir(module)))


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def _defines(module: str, name: str) -> bool:
    """Whether a module's text defines a class, function or variable, without importing it."""
    spec = importlib.util.find_spec(module) if _exists(module) else None
    if spec is None or not spec.origin or not name:
        return False
    text = Path(spec.origin).read_text(encoding="utf-8")
    return bool(re.search(rf"^(class|def) {re.escape(name)}\b|^{re.escape(name)}\b.*=", text, re.M))
