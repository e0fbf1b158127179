"""What runs, in plain values, for clients that draw or choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import poise
from poise.inference.networks.crops import pipeline_config
from poise.inference.networks.modes import MODES
from poise.serving.limits import Limits
from poise.visualization.style import Palette
from poise.zoo import find_model
from poise.zoo.training_data import licence_note, licence_of_network

__all__ = ["describe"]


def describe(inferencer: Any, limits: Limits, *, keypoint_threshold: float) -> dict[str, Any]:
    """Values of `GET /model` (docs/how-to/serve-over-http.md).

    Args:
        inferencer: `poise.Inferencer`.
        limits: of the server.
        keypoint_threshold: keypoints with a lower score are not drawn.
    """
    meta = inferencer.metainfo
    count = meta["num_keypoints"]
    palette = Palette.of(meta, count, order="rgb")
    sigmas = meta.get("sigmas")
    flips = (inferencer.model.test_cfg or {}).get("flip_test", False)
    return {
        "poise": poise.__version__,
        **_origin(inferencer),
        "backend": inferencer.backend,
        "device": str(inferencer.device),
        "mode": next(name for name, mode in MODES.items() if mode is inferencer.mode),
        "flip_test": bool(flips if inferencer.flip_test is None else inferencer.flip_test),
        "takes_boxes": inferencer.needs_boxes,
        "detector": inferencer.detector.description if inferencer.needs_boxes else None,
        "input_size": _input_size(inferencer.model.cfg),
        "schema": meta.get("dataset_name", ""),
        "num_keypoints": count,
        "keypoint_names": [meta["keypoint_id2name"][i] for i in range(count)],
        "keypoint_colors": palette.points,
        "links": palette.links.tolist(),
        "link_colors": palette.link_colors,
        "flip_indices": [int(i) for i in meta.get("flip_indices", [])],
        "sigmas": np.asarray([] if sigmas is None else sigmas, float).round(4).tolist(),
        "keypoint_threshold": keypoint_threshold,
        "limits": limits._asdict(),
    }


def _input_size(cfg: Any) -> list[int] | None:
    """Width and height of what the network sees, by its test pipeline."""
    sizes = [step["input_size"] for step in pipeline_config(cfg) if "input_size" in step]
    return [int(side) for side in sizes[0]] if sizes else None


def _origin(inferencer: Any) -> dict[str, Any]:
    """Names without folders, which are nobody's business; the licence only of known weights."""
    given, name = inferencer.weights, inferencer.model_name
    known = find_model(name) if isinstance(name, str) else None
    released = known is not None and given is None
    if isinstance(name, (str, Path)):
        shown = Path(name).name
    else:
        shown = type(inferencer.model).__name__
    return {
        "model": known.name if known is not None else shown,
        "weights": "the released ones" if released else None if given is None else Path(given).name,
        "licence": licence_note(known)
        if known is not None and released
        else licence_of_network(getattr(inferencer.model, "cfg", None)),
    }
