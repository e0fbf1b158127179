"""People that a model sees and nobody labelled, and boxes that cut what it sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poise.data_tools.audit.against_model import Comparison
from poise.data_tools.audit.evidence import AGREES, agreement_by_score
from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.people import People, outside_boxes
from poise.data_tools.audit.predictions import Predictions
from poise.geometry.boxes import bbox_overlaps

__all__ = ["cut_boxes", "missing_people"]

#: a pose of which this part lies in a labelled box or an ignored area is nobody new
COVERED = 0.5
#: a keypoint this far outside of the box, in parts of its longer side, is cut off
CUT = 0.1
_TINY = 1e-9


def missing_people(
    people: People, predictions: Predictions, *, prior: float, least: float
) -> Iterator[Finding]:
    """Poses found without looking at labels, that are nobody's.

    How sure: of the poses with such a score, the share that belongs to a label says how often the
    model is right; a pose without a label is a missing one, or a mistake of the model.

    Args:
        people: the labels.
        predictions: with `others` and `matched`.
        prior: share of people that were forgotten, before anything is known.
        least: findings that are less sure are left out.
    """
    places = [
        (picture, n)
        for picture, poses in predictions.others.items()
        for n in range(len(poses.whole))
    ]
    if not places:
        return
    scores = np.concatenate([poses.whole for poses in predictions.others.values()])
    owned = np.concatenate([predictions.matched[picture] for picture in predictions.others]) >= 0
    hidden = np.concatenate([_covered(people, predictions, p) for p in predictions.others])
    counted = owned | ~hidden
    right = np.zeros(len(scores))
    right[counted] = agreement_by_score(scores[counted], owned[counted])
    sure = prior * right / (prior * right + (1 - right) + _TINY)
    for n in np.flatnonzero(~owned & ~hidden & (sure >= least)):
        picture, number = places[n]
        pose = predictions.others[picture].points[number]
        yield Finding(
            kind="missing person",
            sure=float(sure[n]),
            picture=people.pictures[picture],
            image_id=people.image_ids[picture],
            oks_before=0.0,
            oks_after=1.0,
            about=f"score {scores[n]:.2f}; of the model's poses with such a score {right[n]:.0%} "
            "belong to a label",
            pose=np.nan_to_num(pose).round(1).tolist(),
        )


def _covered(people: People, predictions: Predictions, picture: int) -> np.ndarray:
    """(M,) bool: a pose lies in a labelled box or an area without keypoints."""
    boxes = predictions.others[picture].boxes
    known = [people.boxes[people.in_picture(picture)]]
    if picture in people.ignored:
        known.append(people.ignored[picture])
    areas = np.concatenate(known)
    if not len(areas) or not len(boxes):
        return np.zeros(len(boxes), bool)
    inside = bbox_overlaps(boxes, areas, mode="iof")
    return inside.max(axis=1) > COVERED


def cut_boxes(
    people: People, predictions: Predictions, found: Comparison, *, prior: float, least: float
) -> Iterator[Finding]:
    """Boxes outside of which the model sees keypoints that nobody labelled.

    How sure: how often labels agree with the model's keypoints where they lie as far outside of
    the box, against boxes of which so much is cut off.

    Args:
        people: the labels. predictions: for their boxes. found: both compared.
        prior: share of boxes that cut, before anything is known.
        least: findings that are less sure are left out.
    """
    outside = np.where(predictions.known, outside_boxes(predictions.points, people.boxes), 0)
    # a model that strays outside onto neighbours shows it where there are labels
    strays = found.known & (outside > CUT)
    close = (
        found.distance[strays] < AGREES * np.broadcast_to(found.trust.spread, strays.shape)[strays]
    )
    right = (close.sum() + 1) / (strays.sum() + 2)
    away = predictions.known & ~people.seen & (outside > CUT)
    often = away.any(axis=1).mean()
    # of people of whom the model sees something outside, few are cut; else it is the model's way
    sure = float(right * min(1.0, prior / max(float(often) * (1 - right), _TINY)))
    if sure < least:
        return
    for person in np.flatnonzero(away.any(axis=1)).tolist():
        chosen = np.flatnonzero(away[person])
        chosen = chosen[np.argsort(-outside[person, chosen])]
        about = (
            f"the model sees {people.names[chosen[0]]} {outside[person, chosen[0]]:.0%} of the "
            "box's longer side outside of it"
        )
        yield people.finding(person, "box cuts", sure, chosen, about)
