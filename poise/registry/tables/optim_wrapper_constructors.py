"""Where each registered name of the kind `optim_wrapper_constructors` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.training.optim.constructors": (
            "ForceDefaultOptimWrapperConstructor LayerDecayOptimWrapperConstructor"
        ),
    },
    "mmengine": {
        "poise.training.optim.constructors": "DefaultOptimWrapperConstructor",
    },
}
