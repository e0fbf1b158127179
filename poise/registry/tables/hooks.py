"""Where each registered name of the kind `hooks` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
