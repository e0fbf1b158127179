"""Where each registered name of the kind `hooks` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.training.hooks.badcase": "BadCaseAnalysisHook",
        "poise.training.hooks.sync": "SyncNormHook",
        "poise.training.hooks.switches": "RTMOModeSwitchHook YOLOXPoseModeSwitchHook",
        "poise.training.hooks.visualization": "PoseVisualizationHook",
    },
    "poise": {
        "poise.training.hooks.dump": "DumpHook",
        "poise.training.hooks.progress": "ProgressHook",
        "poise.training.hooks.report": "ReportHook",
    },
    "mmengine": {
        "poise.training.hooks.checkpoint": "CheckpointHook",
        "poise.training.hooks.early_stopping": "EarlyStoppingHook",
        "poise.training.hooks.ema": "EMAHook",
        "poise.training.hooks.logger": "LoggerHook",
        "poise.training.hooks.runtime": "DistSamplerSeedHook EmptyCacheHook IterTimerHook "
        "ParamSchedulerHook RuntimeInfoHook",
        "poise.training.hooks.sync": "SyncBuffersHook",
    },
    "mmdet": {
        "poise.training.hooks.switches": "PipelineSwitchHook "
        "YOLOXModeSwitchHook=DetectionModeSwitchHook",
        "poise.training.hooks.sync": "SyncNormHook",
        "poise.training.hooks.visualization": "DetVisualizationHook",
    },
    "mmyolo": {
        "poise.training.hooks.switches": "YOLOXModeSwitchHook",
    },
}
