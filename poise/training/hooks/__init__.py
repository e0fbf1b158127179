"""Hooks: things that happen at named points of a run, Poise's own and the user's."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "Hook PRIORITIES priority_of",
        "runtime": (
            "DistSamplerSeedHook EarlyStoppingHook EmptyCacheHook IterTimerHook "
            "ParamSchedulerHook RuntimeInfoHook SyncBuffersHook SyncNormHook"
        ),
        "badcase": "BadCaseAnalysisHook",
        "checkpoint": "CheckpointHook",
        "dump": "DumpHook",
        "ema": "EMAHook",
        "logger": "LoggerHook",
        "progress": "ProgressHook",
        "report": "ReportHook",
        "switches": "PipelineSwitchHook RTMOModeSwitchHook YOLOXModeSwitchHook "
        "YOLOXPoseModeSwitchHook",
        "visualization": "PoseVisualizationHook",
    },
)
