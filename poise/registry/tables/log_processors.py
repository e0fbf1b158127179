"""Where each registered name of the kind `log_processors` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.training.logs.log_processor": "LogProcessor",
    },
}
