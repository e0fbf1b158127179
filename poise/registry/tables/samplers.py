"""Where each registered name of the kind `samplers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.datasets.samplers": "MultiSourceSampler PictureSampler",
    },
    "mmengine": {
        "poise.datasets.samplers": "DefaultSampler InfiniteSampler",
    },
}
