"""Where each registered name of the kind `param_schedulers` lives."""

_MODULE = "poise.training.optim.schedules"

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        _MODULE: (
            "ConstantLR QuadraticWarmupLR QuadraticWarmupMomentum QuadraticWarmupParamScheduler"
        ),
    },
    "mmdet": {
        _MODULE: "QuadraticWarmupLR QuadraticWarmupMomentum QuadraticWarmupParamScheduler",
    },
    "mmengine": {
        _MODULE: (
            "ConstantLR ConstantMomentum ConstantParamScheduler "
            "CosineAnnealingLR CosineAnnealingMomentum CosineAnnealingParamScheduler "
            "CosineRestartLR CosineRestartMomentum CosineRestartParamScheduler "
            "ExponentialLR ExponentialMomentum ExponentialParamScheduler "
            "LinearLR LinearMomentum LinearParamScheduler "
            "MultiStepLR MultiStepMomentum MultiStepParamScheduler "
            "OneCycleLR OneCycleParamScheduler "
            "PolyLR PolyMomentum PolyParamScheduler "
            "ReduceOnPlateauLR ReduceOnPlateauMomentum ReduceOnPlateauParamScheduler "
            "StepLR StepMomentum StepParamScheduler"
        ),
    },
}
