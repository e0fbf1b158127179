"""How weights move: optimizers, parameter groups, schedules, averages, what stays frozen.

`wrappers` reads `optim_wrapper` configs, `constructors` groups parameters, `schedules` applies the
`rules` of learning rates, `averages` keeps averaged weights, `freezing` holds parts still,
`overflows` counts steps that float16 leaves out; `optimizer_state` is the state in a checkpoint,
`view` what hooks see.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "wrappers": "AmpOptimWrapper OptimWrapper StepSettings build_optimizer",
        "constructors": (
            "DefaultOptimWrapperConstructor ForceDefaultOptimWrapperConstructor "
            "LayerDecayOptimWrapperConstructor"
        ),
    },
)
