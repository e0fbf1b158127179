"""A model's pose in a box that somebody drew."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from poise.data_tools.labelling.kinds import Kind
from poise.data_tools.labelling.refusals import RefusedError
from poise.errors import DataError
from poise.geometry.boxes import bbox_overlaps

__all__ = ["Proposer"]

_SHOWN = 6
#: overlap with the box below which somebody else is meant
_LEAST_OVERLAP = 0.2


class Proposer:
    """Poses of a model with the keypoints of a category, by name.

    Args:
        inferencer: `poise.inference.Inferencer`, or what has its `predict`, `metainfo` and
            `needs_boxes`.
        kinds: categories that are labelled.
        threshold: keypoints that score lower are proposed as not labelled.

    Raises:
        DataError: the model has no keypoint of any category.
    """

    def __init__(self, inferencer: Any, kinds: Iterable[Kind], *, threshold: float = 0.3) -> None:
        self._inferencer, self._threshold = inferencer, threshold
        self._names = list(inferencer.metainfo["keypoint_id2name"].values())
        # one picture at a time
        self._lock = threading.Lock()
        wanted = [name for kind in kinds for name in kind.keypoints]
        if not set(wanted) & set(self._names):
            raise DataError(
                f"the model's keypoints ({', '.join(self._names[:_SHOWN])} ...) have none of the "
                f"names of those that are labelled ({', '.join(wanted[:_SHOWN])} ...); choose "
                "another --model, or go without one"
            )

    def propose(self, image: np.ndarray, box: np.ndarray, kind: Kind) -> np.ndarray:
        """(K, 3) x, y, visibility 0 or 2, image space.

        Args:
            image: (H, W, 3) uint8 BGR.
            box: (4,) xyxy.
            kind: whose keypoints are wanted.

        Raises:
            RefusedError: the model sees nobody there.
        """
        given = {"boxes": box[None]} if self._inferencer.needs_boxes else {}
        with self._lock:
            (result,) = self._inferencer.predict(image, **given)
        triples = np.zeros((len(kind.keypoints), 3))
        chosen = 0 if given and len(result) else self._nearest(result, box)
        for k, name in enumerate(kind.keypoints):
            if name in self._names:
                column = self._names.index(name)
                place = result.keypoints[chosen, column]
                sure = result.keypoint_scores[chosen, column] >= self._threshold
                if sure and np.isfinite(place).all():
                    triples[k] = [*place.astype(np.float64).round(2), 2]
        if not triples[:, 2].any():
            raise RefusedError(
                422, "the model is sure of no keypoint in this box; draw another, or click them"
            )
        return triples

    def _nearest(self, result: Any, box: np.ndarray) -> int:
        """Which of the people of a picture is meant, of a model that sees all at once."""
        overlaps = bbox_overlaps(box[None], result.bboxes)[0] if len(result) else np.zeros(0)
        if not (overlaps > _LEAST_OVERLAP).any():
            raise RefusedError(
                422, "the model sees nobody in this box; draw another, or click the keypoints"
            )
        return int(overlaps.argmax())
