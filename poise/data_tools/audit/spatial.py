"""An audit of 3D labels: what cannot be, what the picture contradicts, what time contradicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from poise.data_tools.audit.evidence import OUTSIDE, far_outside, surest
from poise.data_tools.audit.findings import Audit, Finding
from poise.data_tools.audit.motion import (
    SURE,
    bone_findings,
    exchange_findings,
    jump_findings,
    kind_of_exchange,
    mirror_findings,
)
from poise.data_tools.audit.people import outside_boxes
from poise.data_tools.audit.poses3d import Poses3D
from poise.data_tools.audit.projection import spans
from poise.data_tools.audit.shapes import LEAST_PEOPLE, odds, usual

__all__ = ["audit_poses"]

#: projected keypoints scatter around 2D labels at least so much; parts of the person's size
_LEAST_SCATTER = 0.005


def audit_poses(poses: Poses3D, *, prior: float, least: float) -> Audit:
    """3D labels that are most likely wrong, the likeliest first.

    Args:
        poses: of `gather_poses`.
        prior: share of labels that are wrong, before anything is known.
        least: findings that are less sure are left out.
    """
    audit = Audit.ranked(_findings(poses, prior, least), _facts(poses))
    audit.spatial = poses
    return audit


def _findings(poses: Poses3D, prior: float, least: float) -> Iterator[Finding]:
    yield from _impossible(poses)
    # keypoints of which a fault is known, so that what follows from it is not told as well
    told = np.zeros(poses.seen.shape, bool)
    yield from exchange_findings(poses, told, least)
    yield from mirror_findings(poses, told, prior, least)
    yield from _against_picture(poses, told, prior, least)
    yield from _outside(poses, prior, least)
    yield from bone_findings(poses, told, prior, least)
    yield from jump_findings(poses, told, prior, least)


def _impossible(poses: Poses3D) -> Iterator[Finding]:
    """What no pose can be."""
    broken = poses.labelled & ~np.isfinite(poses.raw).all(axis=-1)
    nowhere = poses.seen & (poses.points == 0).all(axis=-1)
    depth = None if poses.projection is None else poses.projection.depth
    behind = np.zeros(poses.seen.shape, bool) if depth is None else poses.seen & (depth <= 0)
    if poses.projection is not None and np.isfinite(poses.projection.share):
        behind &= poses.projection.fits
    for wrong, kind, about in (
        (broken, "not a number", "NaN or infinity among the coordinates"),
        (behind, "behind the camera", "the depth is 0 or less"),
    ):
        for pose in np.flatnonzero(wrong.any(axis=1)).tolist():
            yield poses.finding(pose, kind, 1.0, np.flatnonzero(wrong[pose]), about)
    # around a root that keypoint is at the origin, but never two
    for pose in np.flatnonzero(nowhere.sum(axis=1) > 1).tolist():
        about = "labelled at the origin: often a keypoint that is not there"
        yield poses.finding(pose, "flag", 1.0, np.flatnonzero(nowhere[pose]), about)


def _against_picture(
    poses: Poses3D, told: np.ndarray, prior: float, least: float
) -> Iterator[Finding]:
    """Keypoints that are not where the 2D labels are, and those that fit with exchanged sides."""
    shown = poses.projection
    if shown is None or not shown.fits:
        return
    size = spans(poses.flat)[:, None]
    error = np.linalg.norm(shown.points - poses.flat, axis=-1) / size
    known = np.isfinite(error)
    middle, spread = usual(np.where(known, error, 0), known)
    spread = np.maximum(spread, _LEAST_SCATTER)
    sure = np.where(known, odds((np.nan_to_num(error) - middle) / spread, prior), 0)
    exchanged = _exchanged(poses, sure, error, size)
    exchanged[told[:, poses.pairs].any(axis=-1)] = 0
    for pose in np.flatnonzero((exchanged >= least).any(axis=1)).tolist():
        chosen = surest(exchanged[pose], least)
        points = poses.pairs[chosen].ravel()
        told[pose, points] = True
        about = "the 2D labels fit with left and right exchanged; one of the two is wrong"
        kind = kind_of_exchange(poses, len(chosen))
        yield poses.finding(pose, kind, exchanged[pose].max(), points, about)
    sure[told] = 0
    pixels = np.nan_to_num(error * size)
    for pose in np.flatnonzero((sure >= least).any(axis=1)).tolist():
        chosen = surest(sure[pose], least)
        chosen = chosen[np.argsort(-pixels[pose, chosen])]
        worst = chosen[0]
        told[pose, chosen] |= sure[pose, worst] >= SURE
        about = (
            f"projected, {poses.names[worst]} is {pixels[pose, worst]:.1f} pixels from its 2D "
            f"label; usual are {middle[worst] * size[pose, 0]:.1f}"
        )
        yield poses.finding(pose, "reprojection", sure[pose, worst], chosen, about)


def _exchanged(poses: Poses3D, sure: np.ndarray, error: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(F, P) how surely a pair fits its 2D labels only with its sides exchanged."""
    assert poses.projection is not None
    shown, flat = poses.projection.points[:, poses.pairs], poses.flat[:, poses.pairs]
    turned = np.linalg.norm(shown[:, :, ::-1] - flat, axis=-1).sum(axis=-1) / size
    straight = error[:, poses.pairs].sum(axis=-1)
    with np.errstate(invalid="ignore"):
        better = turned < straight / 2
    return np.where(better, sure[:, poses.pairs].max(axis=-1), 0)


def _outside(poses: Poses3D, prior: float, least: float) -> Iterator[Finding]:
    """Projected keypoints outside of their box, farther than others of the data set."""
    shown = poses.projection
    if shown is None or not np.isfinite(poses.boxes).any():
        return
    known = np.isfinite(shown.points).all(axis=-1) & np.isfinite(poses.boxes).all(axis=1)[:, None]
    far = outside_boxes(np.nan_to_num(shown.points), np.nan_to_num(poses.boxes))
    far = np.where(known & poses.seen, far, 0)
    sure, worst, share = far_outside(far, prior)
    for pose in np.flatnonzero(sure >= least).tolist():
        chosen = np.flatnonzero(far[pose] > OUTSIDE)
        about = (
            f"projected, a keypoint lies {worst[pose]:.0%} of the box's longer side outside of it; "
            f"{share[pose]:.1%} of all poses have one as far"
        )
        yield poses.finding(pose, "box cuts", sure[pose], chosen, about)


def _facts(poses: Poses3D) -> dict[str, Any]:
    between = (poses.before >= 0) & (poses.after >= 0)
    facts: dict[str, Any] = {
        "poses": len(poses),
        "videos": len(np.unique(poses.video)),
        "labelled keypoints": int(poses.labelled.sum()),
        "poses with a neighbour before and after": int(between.sum()),
    }
    if not len(poses.links):
        facts["bones"] = "the schema has no links, so no lengths are compared"
    elif len(poses) < LEAST_PEOPLE:
        facts["bones"] = f"not compared: fewer than {LEAST_PEOPLE} poses"
    shown = poses.projection
    if shown is None:
        facts["projection"] = (
            "not compared: there are no 2D labels, or poses are around a root and no camera is "
            "given (--set camera_param_file=FILE)"
        )
    elif np.isnan(shown.median):
        facts["projection"] = f"{shown.about}; there are no 2D labels of their own to compare with"
    else:
        facts["projection"] = (
            f"{shown.about}: {shown.median:.1f} pixels from the 2D labels at the median"
            + ("" if shown.fits else ". That does not fit: another camera, unit or origin?")
        )
    return facts
