"""Where each registered name of the kind `cameras` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.geometry.cameras": "SimpleCamera",
        "poise.geometry.cameras_torch": "SimpleCameraTorch",
    },
}
