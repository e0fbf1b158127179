"""Where each registered name of the kind `datasets` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
