"""Do a config, its data and a checkpoint fit together? All faults at once, without training."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "keys": "RUN_KEYS check_overrides check_training_config",
        "report": "Finding Report",
        "running": "check",
        "synthetic": "use_synthetic_data",
    },
)
