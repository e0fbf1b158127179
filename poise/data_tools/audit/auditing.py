"""An audit from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.audit.against_model import Comparison, compare, label_findings
from poise.data_tools.audit.evidence import AGREES, PRIOR
from poise.data_tools.audit.findings import Audit, Finding
from poise.data_tools.audit.geometry import LEAST_PAIRS, geometry_findings
from poise.data_tools.audit.people import People, gather_people
from poise.data_tools.audit.poses3d import gather_poses, is_spatial
from poise.data_tools.audit.predictions import Predictions, predict_people, read_poses
from poise.data_tools.audit.shapes import measure_shapes
from poise.data_tools.audit.spatial import audit_poses
from poise.data_tools.audit.unlabelled import cut_boxes, missing_people
from poise.errors import ArgumentError

__all__ = ["audit_labels", "audit_people"]

#: findings that are less sure are not listed
LEAST = 0.1
#: a finding as sure as that is none
_NEVER = 1e-4


def audit_labels(
    dataset: Any,
    *,
    model: Any = None,
    weights: str | None = None,
    predictions: str | Path | None = None,
    detector: Any = "auto",
    device: str = "auto",
    prior: float = PRIOR,
    least: float = LEAST,
    progress: Any = iter,
) -> Audit:
    """Labels that are most likely wrong, the likeliest first.

    Without a model, labels are compared with one another: lengths of limbs, crossed sides, boxes,
    twins, flags. With one, they are compared with its poses, too; how far it can be trusted is
    measured on the labels.

    Args:
        dataset: of `open_dataset`, with 2D or 3D keypoints; 3D ones take no model.
        model: name, config or whatever `poise.Inferencer` takes; it need not have all of the
            keypoints, which are compared by name.
        weights: checkpoint of the model.
        predictions: file of poses instead of a model: a COCO result file, or the .jsonl of
            `poise predict` or `poise test --dump`.
        detector: who looks for people without a label; None does not look for them.
        device: where the model runs.
        prior: share of labels that are wrong, before anything is known.
        least: findings that are less sure are left out.
        progress: wraps the iteration over pictures.

    Raises:
        ArgumentError: both a model and a file, a model for 3D labels, or a prior that is no share.
        DataError: nobody is in the data, or the poses do not fit the labels.
    """
    if model is not None and predictions is not None:
        raise ArgumentError("give --model or --predictions, not both")
    if is_spatial(dataset):
        if model is not None or predictions is not None:
            raise ArgumentError(
                "--model and --predictions are compared with 2D labels; 3D ones are compared with "
                "their 2D labels, with the camera and over time, without a model"
            )
        _check_shares(prior, least)
        return audit_poses(gather_poses(dataset), prior=prior, least=max(least, _NEVER))
    people = gather_people(dataset)
    poses = None
    if model is not None:
        poses = predict_people(
            people, model, weights=weights, detector=detector, device=device, progress=progress
        )
    elif predictions is not None:
        poses = read_poses(people, Path(predictions))
    return audit_people(people, poses, prior=prior, least=least)


def audit_people(
    people: People,
    poses: Predictions | None = None,
    *,
    prior: float = PRIOR,
    least: float = LEAST,
) -> Audit:
    """The same for labels and poses that are arrays already.

    Raises:
        ArgumentError: a prior that is no share.
    """
    _check_shares(prior, least)
    least = max(least, _NEVER)
    found = compare(people, poses) if poses is not None else None
    audit = Audit.ranked(
        _findings(people, poses, found, prior, least), _facts(people, poses, found)
    )
    audit.people, audit.poses = people, poses
    return audit


def _check_shares(prior: float, least: float) -> None:
    if not 0 < prior < 1 or not 0 <= least <= 1:
        raise ArgumentError(
            f"--prior is a share above 0 and below 1, --least one from 0 to 1, got {prior} and "
            f"{least}"
        )


def _findings(
    people: People,
    poses: Predictions | None,
    found: Comparison | None,
    prior: float,
    least: float,
) -> Iterator[Finding]:
    shapes = measure_shapes(people, prior)
    if poses is not None and found is not None:
        yield from label_findings(people, found, shapes, prior=prior, least=least)
        yield from missing_people(people, poses, prior=prior, least=least)
        yield from cut_boxes(people, poses, found, prior=prior, least=least)
        # where the model saw both sides of a pair it has had its say
        judged = found.known[:, people.pairs].all(axis=-1)
        shapes.exchanged[judged] = 0
        shapes.turned[judged.sum(axis=1) >= LEAST_PAIRS] = 0
    yield from geometry_findings(people, shapes, prior=prior, least=least)


def _facts(people: People, poses: Predictions | None, found: Comparison | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "people": len(people),
        "pictures": len(people.pictures),
        "labelled keypoints": int(people.seen.sum()),
    }
    if not people.sigmas_known:
        facts["sigmas"] = "unknown to the schema; one for all keypoints is taken"
    if poses is not None and found is not None:
        compared = [people.names[k] for k in np.flatnonzero(found.known.any(axis=0))]
        facts |= {
            "model": poses.title,
            **({"pictures that could not be read": len(poses.unread)} if poses.unread else {}),
            "people with a pose": int(found.known.any(axis=1).sum()),
            "keypoints compared": ", ".join(compared),
            "labels that the model agrees with": _share(found),
            "mean OKS of labels and model": round(float(found.oks.mean()), 3),
        }
    return facts


def _share(found: Comparison) -> str:
    close = (found.distance < AGREES * found.trust.spread) & found.known
    return f"{close.sum() / max(found.known.sum(), 1):.0%}"
