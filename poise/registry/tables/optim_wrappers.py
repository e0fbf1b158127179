"""Where each registered name of the kind `optim_wrappers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.training.optim.wrappers": "OptimWrapper AmpOptimWrapper",
    },
}
