"""Hooks: things that happen at named points of a run, Poise's own and the user's.

`base` is the class to derive from. `runtime` keeps a run going, `early_stopping` ends it, `sync`
brings processes together. `checkpoint` and `ema` keep weights; `direction` says which metrics are
better. `logger`, `progress` and `report` tell of a run, `visualization`, `badcase` and `dump` show
and save predictions, `switches` change data or losses at an epoch.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "Hook PRIORITIES priority_of",
        "runtime": "DistSamplerSeedHook EmptyCacheHook IterTimerHook ParamSchedulerHook "
        "RuntimeInfoHook",
        "badcase": "BadCaseAnalysisHook",
        "checkpoint": "CheckpointHook",
        "dump": "DumpHook",
        "early_stopping": "EarlyStoppingHook",
        "ema": "EMAHook",
        "logger": "LoggerHook",
        "progress": "ProgressHook",
        "report": "ReportHook",
        "switches": "DetectionModeSwitchHook PipelineSwitchHook RTMOModeSwitchHook "
        "YOLOXModeSwitchHook YOLOXPoseModeSwitchHook",
        "sync": "SyncBuffersHook SyncNormHook",
        "visualization": "DetVisualizationHook PoseVisualizationHook",
    },
)
