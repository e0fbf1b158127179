"""Where each registered name of the kind `vis_backends` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.training.logs.scalars": (
            "AimVisBackend ClearMLVisBackend CometVisBackend DVCLiveVisBackend LocalVisBackend "
            "MLflowVisBackend NeptuneVisBackend TensorboardVisBackend WandbVisBackend"
        ),
    },
}
