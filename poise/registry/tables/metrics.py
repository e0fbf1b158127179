"""Where each registered name of the kind `metrics` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
