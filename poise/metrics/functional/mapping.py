"""Annotations, predictions and sigmas of one set of keypoints written as another set's.

A mapping is a list of pairs (source index, target index). A source may be a tuple of indices,
whose mean is taken, for a keypoint that the other set has between two. The name of a mapping of
`poise.schemas.conversions`, such as "aic->coco", means the keypoints that it measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.schemas import conversions

__all__ = ["mapped", "transform_ann", "transform_pred", "transform_sigmas"]

Mapping = Sequence[tuple[int | tuple[int, ...], int]] | str

# a COCO keypoint is x, y, visibility
_COCO_NUMBERS = 3


def transform_sigmas(
    sigmas: list[float] | Array, num_keypoints: int, mapping: Mapping
) -> list[float] | Array:
    """Sigmas (num_keypoints,) of the target set; 1 where nothing maps to the keypoint.

    Args:
        sigmas: (K,) of the source set; a list gives a list.
        num_keypoints: of the target set.
        mapping: (source index, target index) pairs.
    """
    source = np.asarray(sigmas)
    target = np.ones(num_keypoints, dtype=source.dtype)
    _place(target, source, mapping)
    return target.tolist() if isinstance(sigmas, list) else target


def transform_ann(
    ann_info: dict[str, Any] | list[dict[str, Any]], num_keypoints: int, mapping: Mapping
) -> dict[str, Any] | list[dict[str, Any]]:
    """COCO annotations with the keypoints of the target set, changed in place and returned.

    Args:
        ann_info: one annotation or several; 'keypoints' is a flat list of x, y, visibility.
        num_keypoints: of the target set.
        mapping: (source index, target index) pairs.
    """
    for ann in ann_info if isinstance(ann_info, list) else [ann_info]:
        if "keypoints" in ann:
            source = np.array(ann["keypoints"]).reshape(-1, _COCO_NUMBERS)
            ann["keypoints"] = mapped(source[None], num_keypoints, mapping).ravel().tolist()
        if "num_keypoints" in ann:
            ann["num_keypoints"] = num_keypoints
    return ann_info


def transform_pred(
    pred_info: dict[str, Any] | list[dict[str, Any]], num_keypoints: int, mapping: Mapping
) -> dict[str, Any] | list[dict[str, Any]]:
    """Predictions with the keypoints of the target set, changed in place and returned.

    Args:
        pred_info: one prediction or several; 'keypoints' (N, K, C), 'keypoint_scores' (N, K).
        num_keypoints: of the target set.
        mapping: (source index, target index) pairs.
    """
    for pred in pred_info if isinstance(pred_info, list) else [pred_info]:
        if "keypoints" in pred:
            for name in ("keypoints", "keypoint_scores"):
                pred[name] = mapped(np.asarray(pred[name]), num_keypoints, mapping)
        if "num_keypoints" in pred:
            pred["num_keypoints"] = num_keypoints
    return pred_info


def mapped(poses: Array, num_keypoints: int, mapping: Mapping) -> Array:
    """Poses (N, K, ...) with the keypoints of the target set; zeros where nothing maps to one.

    Raises:
        DataError: the mapping names a keypoint that one of the sets does not have.
    """
    target = np.zeros((len(poses), num_keypoints, *poses.shape[2:]), dtype=poses.dtype)
    _place(np.moveaxis(target, 1, 0), np.moveaxis(poses, 1, 0), mapping)
    return target


def _place(target: Array, source: Array, mapping: Mapping) -> None:
    """Fill target (K', ...) from source (K, ...), in the order of the mapping."""
    pairs = conversions.named(mapping).pairs() if isinstance(mapping, str) else mapping
    single = [(s, t) for s, t in pairs if not isinstance(s, (tuple, list))]
    try:
        if single:
            sources, targets = zip(*single, strict=True)
            target[list(targets)] = source[list(sources)]
        for several, place in pairs:
            if isinstance(several, (tuple, list)):
                target[place] = source[list(several)].mean(axis=0)
    except IndexError as error:
        raise DataError(
            f"the mapping {mapping} leads from {len(source)} to {len(target)} keypoints, but names "
            f"one beyond these: {error}; is num_keypoints that of the target set?"
        ) from None
