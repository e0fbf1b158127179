"""Where each registered name of the kind `vis_backends` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
