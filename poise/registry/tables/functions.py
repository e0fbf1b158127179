"""Where each registered name of the kind `functions` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmengine": {
        "poise.datasets.collate": "default_collate pseudo_collate",
    },
}
