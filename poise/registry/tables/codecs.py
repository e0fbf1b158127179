"""Where each registered name of the kind `codecs` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {},
}
