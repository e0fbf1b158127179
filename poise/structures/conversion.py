"""Poses of one skeleton as poses of another."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.errors import DataError
from poise.schemas import conversions
from poise.schemas.conversions import Mapping
from poise.structures.instance_data import InstanceData

__all__ = ["convert_instances", "convert_keypoints"]

#: per-keypoint fields of instances that are converted as scores are
_SCORES = ("keypoint_scores", "keypoints_visible", "keypoints_visible_weights")
_COORDINATES = ("keypoints", "keypoints_3d", "transformed_keypoints")


def convert_keypoints(
    keypoints: Any,
    scores: Any = None,
    *,
    mapping: Mapping | str,
    derived: bool = True,
    fill: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of another skeleton.

    Args:
        keypoints: (..., K, D), in any space; D is 2 or 3.
        scores: (..., K) of the keypoints; ones without it.
        mapping: a `Mapping`, or its name such as "coco->h36m".
        derived: also keypoints that are made of others; else these count as missing.
        fill: coordinate of missing keypoints. Their score is 0 in any case.

    Returns:
        (..., K', D) and (..., K'), of the dtypes that came. A keypoint made of several has the
        least of their scores, since it is no surer than they are.

    Raises:
        DataError: another number of keypoints than the mapping's source has, or of scores.

    Example:
        >>> points, scores = convert_keypoints(np.ones((1, 14, 2)), mapping="aic->coco")
        >>> scores[0, :6].tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    """
    if isinstance(mapping, str):
        mapping = conversions.named(mapping)
    points = np.asarray(keypoints)
    floating = np.issubdtype(points.dtype, np.floating)
    points = points if floating else points.astype(np.float64)
    need = len(mapping.source_names)
    if points.ndim < 2 or points.shape[-2] != need:
        raise DataError(
            f"{mapping.name} takes the {need} keypoints of {mapping.source}, (..., {need}, 2 or 3);"
            f" got the shape {points.shape}"
        )
    seen = np.ones(points.shape[:-1], points.dtype) if scores is None else np.asarray(scores)
    if seen.shape != points.shape[:-1]:
        raise DataError(
            f"keypoints {points.shape} have scores {points.shape[:-1]}, not {seen.shape}"
        )
    places, index, weight = _terms(mapping, derived)
    count = len(mapping.joints)
    moved = np.full((*points.shape[:-2], count, points.shape[-1]), fill, dtype=points.dtype)
    least = np.zeros((*seen.shape[:-1], count), seen.dtype)
    # gathered, since a product with a whole matrix would spread one NaN over all keypoints
    moved[..., places, :] = (points[..., index, :] * weight[..., None]).sum(axis=-2)
    least[..., places] = seen[..., index].min(axis=-1)
    return moved, least


def convert_instances(
    instances: InstanceData,
    source: str,
    target: str,
    *,
    derived: bool = True,
    fill: float = 0.0,
) -> InstanceData:
    """People with the keypoints of another skeleton; boxes, ids and the rest stay.

    Args:
        instances: with `keypoints` (N, K, D), perhaps `keypoint_scores`, `keypoints_visible`
            (N, K), `keypoints_3d`.
        source, target: names of schemas, or paths of metadata files.
        derived, fill: as in `convert_keypoints`.

    Returns:
        A new InstanceData.
    """
    mapping = conversions.find(source, target)
    changed = InstanceData(metainfo=instances.metainfo)
    for name, value in instances.items():
        if name in _COORDINATES:
            value, _ = convert_keypoints(value, mapping=mapping, derived=derived, fill=fill)
        elif name in _SCORES:
            array = np.asarray(value)
            blank = np.zeros((*array.shape, 2))
            _, value = convert_keypoints(blank, array, mapping=mapping, derived=derived)
        changed.set_field(value, name)
    return changed


def _terms(mapping: Mapping, derived: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (M,) of the known target keypoints, and their sources (M, T) with weights (M, T).

    Rows with fewer terms than T repeat their first source with the weight 0.
    """
    used = [
        (place, joint.terms)
        for place, joint in enumerate(mapping.joints)
        if joint.kind == "measured" or (derived and joint.kind == "derived")
    ]
    longest = max((len(terms) for _, terms in used), default=1)
    padded = [[*terms, *[(terms[0][0], 0.0)] * (longest - len(terms))] for _, terms in used]
    table = np.array(padded, np.float64).reshape(len(used), longest, 2)
    return np.array([place for place, _ in used], int), table[..., 0].astype(int), table[..., 1]
