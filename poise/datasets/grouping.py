"""The people of a picture as one record, for bottom-up models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np

__all__ = ["group_by_image", "join_values"]


def group_by_image(
    instances: Sequence[dict[str, Any]], is_valid: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """One record for each run of instances of the same picture.

    Args:
        instances: people, those of one picture next to one another.
        is_valid: which of them one can learn from; the masks of the others are collected in
            `invalid_segs`, so the loss can leave out these regions.

    Returns:
        dicts with `img_id`, `img_path`, every key of the people joined (`join_values`), and
        `invalid_segs`.
    """
    records = []
    for img_id, run in groupby(instances, key=lambda person: person["img_id"]):
        people = list(run)
        record = {"img_id": img_id, "img_path": people[0]["img_path"]}
        for key in people[0]:
            if key not in record:
                record[key] = join_values([person[key] for person in people])
        record["invalid_segs"] = [
            person["segmentation"]
            for person in people
            if "segmentation" in person and not is_valid(person)
        ]
        records.append(record)
    return records


def join_values(values: list[Any]) -> Any:
    """Values of several people as one: arrays end to end, lists too, others as a list.

    Example:
        >>> join_values([np.zeros((1, 4)), np.ones((1, 4))]).shape, join_values([3, 5])
        ((2, 4), [3, 5])
    """
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values) if first.ndim else np.stack(values)
    if isinstance(first, list | tuple):
        return list(chain.from_iterable(v for v in values if v is not None))
    return values
