"""What to use in place of names of MMPose and its engine that Poise does not have."""

from __future__ import annotations

from poise.config.paths import and_parents

__all__ = ["advice"]

_DETECTORS = (
    "Poise has RTMDet and YOLOX for prediction (poise.apis.init_detector); the rest needs "
    "MMDetection itself"
)
_CLASSIFIERS = "use a network of timm, as TIMMBackbone, or keep MMPretrain installed"
_OLD = "this is of MMPose 0.x, and Poise has the interface of 1.x"
_OLD_APIS = f"{_OLD}: poise.apis.init_model and inference_topdown"
_OLD_DATA = f"{_OLD}: poise.datasets, poise.registry.DATASETS"
_FILES = "files are on local or mounted disks: use pathlib"
_PROCESSES = "`poise train --devices N` starts and joins the processes"
_PICTURES = "use OpenCV"
_OPERATORS = "look into torchvision.ops"

#: Names, and packages whose names all get the same advice; the longest that fits counts.
_ADVICE: dict[str, str] = {
    "mmcls": _CLASSIFIERS,
    "mmpretrain": _CLASSIFIERS,
    "mmdet": _DETECTORS,
    "mmcv": _PICTURES,
    "mmcv.cnn": "look into torch.nn and poise.layers",
    "mmcv.cnn.fuse_conv_bn": "use torch.nn.utils.fusion.fuse_conv_bn_eval",
    "mmcv.cnn.get_model_complexity_info": "use poise.models.cost.cost",
    "mmcv.frames2video": "use poise.inference.sinks, or PyAV",
    "mmcv.imshow_bboxes": "use poise.visualization.draw_boxes",
    "mmcv.ops": _OPERATORS,
    "mmcv.parallel": _OLD,
    "mmcv.runner": f"{_OLD}: poise.layers.BaseModule, poise.training",
    "mmcv.transforms": "write it as a class of poise.transforms.BaseTransform",
    "mmcv.utils": f"{_OLD}: poise.Config, poise.registry.Registry",
    "mmengine.analysis": "use poise.models.cost.cost",
    "mmengine.dist.init_dist": _PROCESSES,
    "mmengine.fileio": _FILES,
    "mmengine.infer": "wrap poise.Inferencer",
    "mmengine.model.MMDistributedDataParallel": _PROCESSES,
    "mmengine.model.convert_sync_batchnorm": "use_syncbn=True of the model does it",
    "mmengine.optim.build_optim_wrapper": "use poise.training.build_optimizer",
    "mmengine.optim.scheduler": "derive from poise.training.optim.rules.Rule, or use a schedule "
    "of torch.optim.lr_scheduler",
    "mmengine.runner.BaseLoop": "write a hook",
    "mmengine.runner.autocast": "use torch.autocast",
    "mmengine.runner.set_random_seed": "use lightning.seed_everything",
    "mmengine.testing": "use torch.testing",
    "mmengine.utils.dl_utils.collect_env": "`poise doctor` prints versions and devices",
    "mmengine.utils.dl_utils.set_multi_processing": "Poise reads env_cfg itself",
    "mmengine.Timer": "use time.perf_counter",
    "mmengine.utils.Timer": "use time.perf_counter",
    "mmengine.visualization.Visualizer": "use poise.visualization.PoseLocalVisualizer",
    "mmpose.apis.inference_bottom_up_pose_model": f"{_OLD}: poise.apis.inference_bottomup",
    "mmpose.apis.inference_top_down_pose_model": _OLD_APIS,
    "mmpose.apis.init_pose_model": _OLD_APIS,
    "mmpose.apis.process_mmdet_results": _OLD_APIS,
    "mmpose.apis.vis_pose_result": f"{_OLD}: poise.visualization.PoseLocalVisualizer",
    "mmpose.apis.webcam": "`poise predict webcam` shows a camera",
    "mmpose.core": f"{_OLD}: poise.metrics, poise.visualization, poise.training.hooks",
    "mmpose.datasets.builder": _OLD_DATA,
    "mmpose.datasets.datasets.base.Kpt2dSviewRgbImgTopDownDataset": f"{_OLD}: "
    "poise.datasets.BaseCocoStyleDataset",
    "mmpose.datasets.pipelines": f"{_OLD}: poise.transforms",
    "mmpose.models.detectors": f"{_OLD}: poise.models.estimators",
    "mmpose.testing": "write the samples out: poise.structures.PoseDataSample, InstanceData",
    "mmpose.utils.StopWatch": "use time.perf_counter",
    "mmpose.utils.collect_env": "`poise doctor` prints versions and devices",
    "mmpose.utils.hooks": "use register_forward_hook of torch's modules",
    "mmpose.utils.setup_multi_processes": "Poise reads env_cfg itself",
}


def advice(dotted: str) -> str:
    """End of a text about a name that Poise lacks; empty where there is nothing to say.

    Example:
        >>> advice("mmengine.analysis.get_model_complexity_info")
        '; use poise.models.cost.cost'
        >>> advice("mmpose.models.NoSuchHead")
        ''
    """
    for around in and_parents(dotted):
        if around in _ADVICE:
            return f"; {_ADVICE[around]}"
    return ""
