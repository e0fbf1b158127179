"""Training and evaluation runs: optimizers, schedules, hooks, and the runner over Lightning."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "optim": "build_optimizer StepSettings",
        "schedules": "build_schedulers",
        "hooks": "Hook",
        "runner": "Runner",
    },
)
