"""Whose keypoints a config speaks of: the schema of its datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poise.registry import DATASETS
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["class_names", "classes_of", "dataset_meta_of"]

#: loaders of a config whose datasets know what the keypoints are called, in this order
_LOADERS = ("test_dataloader", "val_dataloader", "train_dataloader")
#: what configs of detectors say about their classes; no keypoints
_DETECTOR_META = frozenset(("classes", "palette", "CLASSES", "PALETTE"))


def dataset_meta_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Parsed schema of the dataset that a config tests, or else trains on.

    Args:
        config: whole config.

    Returns:
        Schema, or None where no dataset says one.
    """
    for loader in _LOADERS:
        dataset = (config.get(loader) or {}).get("dataset")
        raw = _raw_meta(dataset)
        if raw and not raw.keys() <= _DETECTOR_META:
            return parse_pose_metainfo(raw)
    return None


def classes_of(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of a detector's classes, where the `metainfo` of a dataset of its config says them.

    Args:
        config: whole config.
    """
    for loader in _LOADERS:
        dataset = (config.get(loader) or {}).get("dataset")
        while isinstance(dataset, Mapping):
            found = class_names(dataset.get("metainfo"))
            if found is not None:
                return found
            dataset = dataset.get("dataset")
    return None


def class_names(meta: Any) -> tuple[str, ...] | None:
    """Names of classes in a dataset's meta information, of today's or of older files.

    Example:
        >>> class_names({"CLASSES": ["mouse"]}), class_names({"classes": "fish"}), class_names({})
        (('mouse',), ('fish',), None)
    """
    found = next((meta[k] for k in ("classes", "CLASSES") if meta.get(k)), None) if meta else None
    if found is None:
        return None
    return (found,) if isinstance(found, str) else tuple(map(str, found))


def _raw_meta(dataset: Any) -> Mapping[str, Any] | None:
    """`metainfo` of a dataset config, or its class's `METAINFO`; of the first of several."""
    if isinstance(dataset, (list, tuple)):
        dataset = dataset[0] if dataset else None
    if not isinstance(dataset, Mapping):
        return None
    if dataset.get("metainfo"):
        return dataset["metainfo"]
    kind = dataset.get("type")
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    # DeepFashion's keypoints depend on the kind of clothes
    of_subset = getattr(found, "subset_metainfo", None)
    own = of_subset(dataset.get("subset", "")) if of_subset else getattr(found, "METAINFO", None)
    return own or _raw_meta(dataset.get("dataset") or dataset.get("datasets"))
