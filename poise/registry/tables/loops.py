"""Where each registered name of the kind `loops` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
