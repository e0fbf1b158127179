"""Where each registered name of the kind `task_utils` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
