"""Write the snapshot of the public names anew."""

import importlib
import json
from pathlib import Path

PACKAGES = [
    "poise",
    "poise.config",
    "poise.registry",
    "poise.schemas",
    "poise.structures",
    "poise.structures.bbox",
    "poise.structures.keypoint",
    "poise.codecs",
    "poise.transforms",
    "poise.datasets",
    "poise.losses",
    "poise.layers",
    "poise.metrics",
    "poise.metrics.functional",
    "poise.models.backbones",
    "poise.models.necks",
    "poise.models.heads",
    "poise.models.estimators",
    "poise.visualization",
    "poise.training.hooks",
    "poise.inference",
    "poise.serving",
]

if __name__ == "__main__":
    names = {p: sorted(importlib.import_module(p).__all__) for p in PACKAGES}
    target = Path(__file__).with_name("public_api.json")
    target.write_text(json.dumps(names, indent=1) + "\n")
