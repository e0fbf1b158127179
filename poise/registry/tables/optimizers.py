"""Where each registered name of the kind `optimizers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
