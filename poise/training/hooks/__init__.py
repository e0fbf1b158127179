"""Hooks: things that happen at named points of a run, Poise's own and the user's.

`base` is the class to derive from. `runtime` keeps a run going, `checkpoint` and `ema` keep its
weights, `logger`, `progress` and `report` tell of it, `visualization`, `badcase` and `dump` show
and save predictions, `switches` change data or losses at an epoch.
"""

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
