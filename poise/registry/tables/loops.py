"""Where each registered name of the kind `loops` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.training.run.loops": "EpochBasedTrainLoop IterBasedTrainLoop TestLoop ValLoop",
    },
}
