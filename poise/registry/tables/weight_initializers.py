"""Where each registered name of the kind `weight_initializers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
