"""Where each registered name of the kind `param_schedulers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
