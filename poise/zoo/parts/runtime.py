"""What a run does around training: hooks, logging, the picture of the environment."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree

__all__ = ["HABITS", "averaging", "best_key", "dotted", "runtime", "scoped", "smoothing_hooks"]

#: (save_best, rule) by the type of the first metric; a CocoMetric's prefix comes before "/AP"
_BEST = {
    "CocoMetric": ("coco/AP", "greater"),
    "CocoWholeBodyMetric": ("coco-wholebody/AP", "greater"),
    "PoseTrack18Metric": ("posetrack18/Total AP", "greater"),
    "MpiiPCKAccuracy": ("PCK", "greater"),
    "JhmdbPCKAccuracy": ("PCK", "greater"),
    "PCKAccuracy": ("PCK", "greater"),
    "NME": ("NME", "less"),
    "EPE": ("AUC", "greater"),
    "MPJPE": ("MPJPE", "less"),
    "InterHandMetric": ("MPJPE_all", "less"),
}

#: settings that every run has and no recipe changes
HABITS: Tree = dict(
    env_cfg=dict(
        cudnn_benchmark=False,
        mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
        dist_cfg=dict(backend="nccl"),
    ),
    log_level="INFO",
    load_from=None,
    resume=False,
    backend_args=dict(backend="local"),
    val_cfg={},
    test_cfg={},
)


def runtime(
    *,
    best: tuple[str, str] | None = None,
    interval: int = 10,
    log_interval: int = 50,
    max_keep: int | None = None,
    **changes: Any,
) -> Tree:
    """Top-level settings that do not depend on model or data.

    Args:
        best: (metric, "greater" or "less") by which the best checkpoint is kept.
        interval: epochs between checkpoints.
        log_interval: iterations between log lines.
        max_keep: number of checkpoints that are kept.
        changes: further top-level keys, such as custom_hooks.
    """
    checkpoint: Tree = dict(type="CheckpointHook", interval=interval)
    if best is not None:
        checkpoint |= dict(save_best=best[0], rule=best[1])
    if max_keep is not None:
        checkpoint["max_keep_ckpts"] = max_keep
    backends = [dict(type="LocalVisBackend")]
    tree: Tree = dict(
        default_scope="mmpose",
        default_hooks=dict(
            timer=dict(type="IterTimerHook"),
            logger=dict(type="LoggerHook", interval=log_interval),
            param_scheduler=dict(type="ParamSchedulerHook"),
            checkpoint=checkpoint,
            sampler_seed=dict(type="DistSamplerSeedHook"),
            visualization=dict(type="PoseVisualizationHook", enable=False),
            badcase=dict(
                type="BadCaseAnalysisHook",
                enable=False,
                out_dir="badcase",
                metric_type="loss",
                badcase_thr=5,
            ),
        ),
        custom_hooks=[dict(type="SyncBuffersHook")],
        vis_backends=backends,
        visualizer=dict(type="PoseLocalVisualizer", vis_backends=backends, name="visualizer"),
        log_processor=dict(type="LogProcessor", window_size=50, by_epoch=True, num_digits=6),
        train_cfg=dict(by_epoch=True),
    )
    return tree | HABITS | changes


def best_key(evaluator: Tree | list[Tree]) -> tuple[str, str]:
    """(metric, rule) that says which checkpoint is the best, from what is measured."""
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    # keypoint datasets without a benchmark of their own report PCK, AUC and EPE: AUC decides
    kinds = [metric["type"] for metric in metrics]
    key, rule = _BEST["EPE" if "EPE" in kinds else kinds[0]]
    if "prefix" in metrics[0]:
        key = f"{metrics[0]['prefix']}/AP"
    return key, rule


def averaging(momentum: float = 0.0002, **more: Any) -> Tree:
    """Hook that averages weights over training."""
    return dict(
        type="EMAHook",
        ema_type="ExpMomentumEMA",
        momentum=momentum,
        update_buffers=True,
        priority=49,
        **more,
    )


def smoothing_hooks(
    switch_epoch: int | None = None,
    pipeline: list[Tree] | None = None,
    *,
    ema: bool = True,
) -> list[Tree]:
    """Hooks that average weights over training, and change the pipeline near its end."""
    hooks = [averaging()] if ema else []
    if pipeline is not None:
        hooks.append(
            dict(
                type="mmdet.PipelineSwitchHook",
                switch_epoch=switch_epoch,
                switch_pipeline=pipeline,
            )
        )
    return hooks


def dotted(tree: Tree) -> Tree:
    """A runtime in the newer style: paths in place of names, and no hook for bad cases."""
    hooks = {key: hook for key, hook in tree["default_hooks"].items() if key != "badcase"}
    for key, hook in hooks.items():
        owner = "mmpose.engine" if key == "visualization" else "mmengine"
        hooks[key] = hook | dict(type=f"{owner}.hooks.{hook['type']}")
    backends = [dict(type="mmengine.visualization.LocalVisBackend")]
    return tree | dict(
        default_scope=None,
        log_processor=tree["log_processor"] | dict(type="mmengine.runner.LogProcessor"),
        default_hooks=hooks,
        custom_hooks=[dict(type="mmengine.hooks.SyncBuffersHook")],
        vis_backends=backends,
        visualizer=dict(
            type="mmpose.visualization.PoseLocalVisualizer",
            vis_backends=backends,
            name="visualizer",
        ),
    )


def scoped(tree: Tree, *more: str) -> Tree:
    """The tree as it is with a base config from another scope, which marks what it builds.

    Args:
        tree: config tree.
        more: further keys whose values come from the base.
    """
    keys = ("default_hooks", "vis_backends", "visualizer", "log_processor", *more)
    return tree | {key: _marked(tree[key]) for key in keys}


def _marked(part: Any) -> Any:
    if isinstance(part, list):
        return [_marked(item) for item in part]
    if "type" in part:
        return part | dict(_scope_="mmpose")
    return {key: _marked(value) for key, value in part.items()}
