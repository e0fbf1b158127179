"""Predictions beside their labels, person by person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from poise.errors import DataError
from poise.inference.results.covariances import KeypointErrors

__all__ = ["keypoint_errors", "labelled_people"]


def labelled_people(
    samples: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], np.ndarray]]:
    """Predicted poses, their labels, and which keypoints (K,) bool are labelled.

    Args:
        samples: of one person each, with `pred_instances` (`keypoints` (1, K, 2),
            `keypoint_scores` (1, K)) and `gt_instances` (`keypoints`, `keypoints_visible` (1, K),
            `bboxes` (1, 4) xyxy), all in image space.

    Raises:
        DataError: a sample of several people, or one without labels.
    """
    for sample in samples:
        person, label = sample.get("pred_instances"), sample.get("gt_instances")
        if person is None or label is None or "bboxes" not in label:
            raise DataError(
                f"sample {sample.get('id', sample.get('img_id'))} has no predicted pose or no "
                "label with a box; expected predictions of a labelled data set, person by person"
            )
        if len(person["keypoints"]) != 1 or len(label["keypoints"]) != 1:
            raise DataError(
                f"sample {sample.get('id', sample.get('img_id'))} holds several people, of which "
                "nobody knows who is who; expected predictions of a top-down model"
            )
        visible = np.asarray(label["keypoints_visible"][0])
        yield person, label, (visible if visible.ndim == 1 else visible[..., 0]) > 0


def keypoint_errors(samples: Iterable[Mapping[str, Any]]) -> KeypointErrors | None:
    """Labelled keypoints of predictions with `keypoint_covariances` (1, K, 2, 2).

    Args:
        samples: as for `labelled_people`.

    Returns:
        None of predictions without covariances.

    Raises:
        DataError: as `labelled_people`; covariances in some of the samples only.
    """
    rows, people, with_some, count = [], 0, 0, 0
    for person, label, known in labelled_people(samples):
        people, count = people + 1, len(known)
        if "keypoint_covariances" not in person:
            continue
        with_some += 1
        truth = np.asarray(label["keypoints"][0], np.float64)[..., :2]
        offsets = np.asarray(person["keypoints"][0], np.float64)[..., :2] - truth
        kinds = np.flatnonzero(known)
        spread = np.asarray(person["keypoint_covariances"][0], np.float64)
        scores = np.asarray(person["keypoint_scores"][0], np.float64)
        owner = np.full(len(kinds), people - 1)
        rows.append((offsets[kinds], spread[kinds], scores[kinds], kinds, owner))
    if not with_some:
        return None
    if with_some < people:
        raise DataError(
            f"{people - with_some} of {people} samples have no covariances; expected all or none"
        )
    offsets, spread, scores, kinds, owner = map(np.concatenate, zip(*rows, strict=True))
    return KeypointErrors(offsets, spread, scores, kinds, owner, count)
