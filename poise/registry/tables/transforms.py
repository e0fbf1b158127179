"""Where each registered name of the kind `transforms` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
