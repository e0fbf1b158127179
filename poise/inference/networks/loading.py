"""From what a caller names to a pose model of torch; what is another kind of model is told."""

from __future__ import annotations

import os
from typing import Any

from poise.errors import ArgumentError, CheckpointError, ConfigError
from poise.inference.networks.support import with_support

__all__ = ["load_pose_model"]

#: Parts that detectors have and pose models have not.
_DETECTOR_PARTS = ("bbox_head", "rpn_head", "roi_head")


def load_pose_model(model: Any, weights: Any, device: Any, support: Any = None) -> Any:
    """Estimator that looks at pictures, in eval mode on a device.

    Args:
        model: name, config file, `Config`, or a built estimator.
        weights: checkpoint; None takes a name's released one.
        device: torch device.
        support: labelled pictures that say what to look for, of a model that needs them
            (`poise.inference.Support`, or a file).

    Raises:
        ConfigError: a detector, a model that lifts poses, or one that lacks its support.
        ArgumentError: a built model that does not say what its keypoints are; a support for one
            that takes none.
        CheckpointError: weights that cannot be fetched or read.
    """
    from poise.models.build import load_model
    from poise.zoo import find_model

    known = find_model(model) if isinstance(model, str) else None
    if (known is not None and known.is_detector) or _is_detector_file(model):
        raise ConfigError(
            f"'{model}' is a detector, which finds boxes and no keypoints; give it as detector=... "
            "(--detector) beside a pose model"
        )
    try:
        loaded = load_model(model, weights, device=device)
    except CheckpointError as error:
        if weights is None and known is not None:
            error.add_note(
                "without a network: model 'auto' takes the best model that is on this machine, "
                "and movenet-thunder and movenet-lightning come inside the package"
            )
        raise
    _refuse_lifter(loaded)
    loaded = with_support(loaded, support)
    _check_described(loaded)
    return loaded


def _is_detector_file(model: Any) -> bool:
    """Whether a model is a config file of a network that finds boxes."""
    from poise.zoo import load_config

    if not isinstance(model, (str, os.PathLike)) or not os.fspath(model).endswith(".py"):
        return False
    network = load_config(model).get("model") or {}
    return any(part in network for part in _DETECTOR_PARTS)


def _check_described(model: Any) -> None:
    """See that a built model says what its keypoints are and how pictures get into it.

    Raises:
        ArgumentError: it does not.
    """
    lacks = [name for name in ("cfg", "dataset_meta") if not getattr(model, name, None)]
    if lacks:
        raise ArgumentError(
            f"the model, a {type(model).__name__}, has no {' and no '.join(lacks)}, which say how "
            "pictures get into it and what its keypoints are; poise.load_model(CONFIG, WEIGHTS) "
            "and poise.apis.init_model give models that have both"
        )


def _refuse_lifter(model: Any) -> None:
    from poise.models.estimators import PoseLifter

    if isinstance(model, PoseLifter):
        raise ConfigError(
            "this model lifts 2D poses to 3D and cannot look at pictures; give it as lift=... "
            "beside a 2D model, or call poise.apis.inference_pose_lifter_model"
        )
