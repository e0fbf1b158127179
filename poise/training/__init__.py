"""Training and evaluation runs over Lightning; `Runner` is where to begin.

`runner` makes a run of a config, `view` is what hooks see of it, `build` makes its parts, `module`
is a training step. `hooks` act at named points of a run, `run` has its loops and checkpoints,
`optim` what moves the weights, `logs` what it tells, `machine` what it takes of the computer;
`trials` are short runs before the long one, `own_data` fits a released config to one's own data.
`naming` is how texts call places and samples, `schedules` another path to those of `optim`.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "optim.wrappers": "build_optimizer StepSettings",
        "optim.schedules": "build_schedulers",
        "hooks": "Hook",
        "runner": "Runner",
    },
)
