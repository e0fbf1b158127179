"""A model and its file at work on the same pictures: the poses of both, side by side."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from poise.export.checks.looking import BOXES, POSES, Things, detector_of, finds_boxes
from poise.export.plans.plan import made_pixels

__all__ = ["Agreement", "agreement", "nearest_places", "shaken", "trial_pictures"]

Array = np.ndarray

#: (width, height) of the pictures on which poses are compared: wide, high, small.
_SIZES = ((640, 427), (360, 480), (200, 160))
#: Share by which weights differ that are the same but for rounding.
_LAST_DIGIT = 2e-7
#: How far away a keypoint may be and count as the same: pixels, and metres of lifters.
_SAME_PLACE = {"px": 0.5, "m": 0.001}


class Found(NamedTuple):
    """What was found in one picture.

    Attributes:
        places: (N, K, 2) pixels, of detectors the two corners; of lifters (T, K, 3) metres.
        scores: (N, K).
    """

    places: Array
    scores: Array


@dataclass(frozen=True)
class Agreement:
    """How the poses of a file compare with the model's.

    Attributes:
        model, file: how many the model and the file found.
        same: share of the model's keypoints that the file puts in the same place: within half a
            pixel, lifters' within a millimetre.
        apart: largest distance of those, in `unit`.
        scores: largest difference of their scores.
        unit: "px" or "m".
        things: what they are: poses, or a detector's boxes.
    """

    model: int
    file: int
    same: float
    apart: float
    scores: float
    unit: str = "px"
    things: Things = POSES


def trial_pictures() -> list[Array]:
    """Made pictures (H, W, 3) uint8 of several shapes."""
    pixels = made_pixels(640, 480).numpy()
    return [cv2.resize(p, size) for p, size in zip(pixels, _SIZES, strict=True)]


def shaken(model: Any) -> Any:
    """Copy of a model whose weights differ in the last digit, as another correct one's might."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in other.parameters():
            weight *= 1 + _LAST_DIGIT * torch.randn(weight.shape, generator=generator)
    return other


def agreement(
    model: Any, other: Any, pictures: Sequence[Array], runtime: str | None = None
) -> Agreement:
    """Poses, or boxes of detectors, by a model and by its file or by another model.

    Args:
        model: that was exported.
        other: path of the file; or a model of the same kind.
        pictures: (H, W, 3) uint8 BGR.
        runtime: that runs a file of a pose model; None: by its ending.
    """
    find, unit = _finder(model)
    expected, found = find(model, pictures, None), find(other, pictures, runtime)
    pairs = [_paired(e, f) for e, f in zip(expected, found, strict=True)]
    apart = np.concatenate([distances.reshape(-1) for distances, _ in pairs])
    scores = np.concatenate([differences.reshape(-1) for _, differences in pairs])
    same = apart <= _SAME_PLACE[unit]
    return Agreement(
        sum(len(e.places) for e in expected),
        sum(len(f.places) for f in found),
        float(same.mean()) if len(same) else 1.0,
        float(apart[same].max(initial=0)),
        float(scores[same].max(initial=0)),
        unit,
        BOXES if finds_boxes(model) else POSES,
    )


def _poses(model: Any, pictures: Sequence[Array], runtime: str | None) -> list[Found]:
    from poise.inference import Inferencer

    backend = {} if runtime is None else {"backend": runtime}
    inferencer = Inferencer(model, device="cpu", flip_test=False, **backend)
    options: dict[str, Any] = {}
    if inferencer.needs_boxes:
        options["boxes"] = [_places(picture) for picture in pictures]
    # pictures of other sizes in a batch are padded, which changes their maps
    results = inferencer(pictures, batch_size=1, **options)
    return [Found(result.keypoints, result.keypoint_scores) for result in results]


def _places(picture: Array) -> Array:
    """Boxes (2, 4) xyxy: the whole picture, and a part of it that reaches beyond its border."""
    height, width = picture.shape[:2]
    return np.array([[0, 0, width, height], [width / 2, height / 4, width * 1.1, height]])


def _boxes(model: Any, pictures: Sequence[Array], runtime: str | None) -> list[Found]:
    found = detector_of(model, categories=None).detect(list(pictures))
    return [Found(boxes[:, :4].reshape(-1, 2, 2), boxes[:, 4:].repeat(2, 1)) for boxes in found]


def _lifted(model: Any, pictures: Sequence[Array], runtime: str | None) -> list[Found]:
    from poise.export.plans.lifter import track_items
    from poise.inference.lifting.networks import ExportedLifter, TorchLifter

    network: Any = ExportedLifter(model) if isinstance(model, Path) else TorchLifter(model)
    poses = network.lifted(track_items(network.metainfo, network.window))
    return [Found(pose, np.zeros(pose.shape[:2])) for pose in poses]


def _finder(model: Any) -> tuple[Callable[[Any, Sequence[Array], str | None], list[Found]], str]:
    """What finds things with a model or its file, and the unit of places."""
    from poise.models.estimators import PoseLifter

    if isinstance(model, PoseLifter):
        return _lifted, "m"
    return (_boxes if finds_boxes(model) else _poses), "px"


def _paired(expected: Found, found: Found) -> tuple[Array, Array]:
    """Distances (N, K) and differences of scores (N, K) of each to the most alike one."""
    apart, nearest = nearest_places(expected.places, found.places)
    if not len(found.places):
        return apart, np.full(expected.scores.shape, np.inf)
    return apart, np.abs(expected.scores - found.scores[nearest])


def nearest_places(expected: Array, found: Array) -> tuple[Array, Array]:
    """The most alike one of some people, of each of others.

    Args:
        expected: (N, K, D).
        found: (M, K, D), in the same space.

    Returns:
        distances (N, K), infinite where M is 0, and whose they are (N,), 0 to M - 1.
    """
    rows = np.arange(len(expected))
    if not len(found) or not len(expected):
        return np.full(expected.shape[:2], np.inf), np.zeros(len(rows), int)
    apart = np.linalg.norm(expected[:, None] - found[None], axis=-1)
    # a keypoint that jumped must not make somebody else the most alike one
    nearest = np.median(apart, axis=-1).argmin(1)
    return apart[rows, nearest], nearest
