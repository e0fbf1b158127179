"""Where each registered name of the kind `models` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
