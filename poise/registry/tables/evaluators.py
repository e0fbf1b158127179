"""Where each registered name of the kind `evaluators` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.metrics.evaluator": "MultiDatasetEvaluator",
    },
    "mmengine": {
        "poise.metrics.evaluator": "Evaluator",
    },
}
