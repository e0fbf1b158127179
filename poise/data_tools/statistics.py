"""What is in a data set, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from poise.datasets.people import iterate_people, parsed_metainfo

__all__ = ["data_statistics"]

#: COCO's limits of small and medium people, square pixels
SMALL, MEDIUM = 32**2, 96**2
_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


def data_statistics(dataset: Any) -> dict[str, Any]:
    """Counts and sizes.

    Returns:
        `records`, `people`, `images`, `people_per_image` (number -> images), `keypoints` (name ->
        labelled, share), `labelled_per_person` and `box_size` (quantiles; square root of the
        area, pixels), `sizes` (small, medium, large people by COCO's limits), `kept`, `total` and
        `dropped` (reason -> number).
    """
    per_image: Counter[Any] = Counter()
    labelled: np.ndarray | None = None
    counts: list[np.ndarray] = []
    areas: list[np.ndarray] = []
    people = 0
    for record, points, seen, boxes in iterate_people(dataset):
        people += len(points)
        place = record.get("img_path") or record.get("img_id")
        per_image[str(place)] += len(points)
        labelled = seen.sum(axis=0) if labelled is None else labelled + seen.sum(axis=0)
        counts.append(seen.sum(axis=1))
        if boxes is not None:
            sides = boxes[:, 2:] - boxes[:, :2]
            areas.append(sides.clip(0).prod(axis=1))
    area = np.concatenate(areas) if areas else np.zeros(0)
    stats: dict[str, Any] = {
        "records": len(dataset),
        "people": people,
        "images": len(per_image),
        "people_per_image": dict(sorted(Counter(per_image.values()).items())),
        "keypoints": _by_keypoint(dataset, labelled, people),
        "labelled_per_person": _quantiles(np.concatenate(counts) if counts else np.zeros(0)),
        "box_size": _quantiles(np.sqrt(area)),
        "sizes": {
            "small": int((area < SMALL).sum()),
            "medium": int(((area >= SMALL) & (area < MEDIUM)).sum()),
            "large": int((area >= MEDIUM).sum()),
        },
    }
    report = getattr(dataset, "report", None)
    if report is not None:
        stats |= {"total": report.total, "kept": report.kept, "dropped": dict(report.dropped)}
    return stats


def _by_keypoint(dataset: Any, labelled: np.ndarray | None, people: int) -> dict[str, Any]:
    if labelled is None:
        return {}
    known = parsed_metainfo(dataset)["keypoint_id2name"]
    names = [known.get(i, str(i)) for i in range(len(labelled))]
    return {
        name: {"labelled": int(n), "share": round(float(n) / max(people, 1), 4)}
        for name, n in zip(names, labelled.tolist(), strict=True)
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.quantile(values, list(_QUANTILES.values()))
    return {name: round(float(v), 2) for name, v in zip(_QUANTILES, found, strict=True)}
