"""The schema of keypoints in a data set and in each of its records."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from poise.errors import ArgumentError, DataError
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["PoseMetainfo"]


class PoseMetainfo:
    """Mixin: metainfo is a pose schema, parsed; records carry what the pipeline needs of it."""

    METAINFO: dict[str, Any] = {}
    _metainfo: dict[str, Any]
    RECORD_METAINFO: ClassVar[tuple[str, ...]] = (
        "upper_body_ids",
        "lower_body_ids",
        "flip_pairs",
        "dataset_keypoint_weights",
        "flip_indices",
        "skeleton_links",
    )

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Parse `metainfo`, or the class's `METAINFO` where none is given."""
        if metainfo is None:
            metainfo = copy.deepcopy(cls.METAINFO)
        if not isinstance(metainfo, Mapping):
            raise ArgumentError(
                f"{cls.__name__}: `metainfo` must be a dict, got {type(metainfo).__name__}"
            )
        return parse_pose_metainfo(metainfo) if metainfo else dict(metainfo)

    def complete_record(self, info: dict[str, Any]) -> dict[str, Any]:
        """Put the schema's keys into a record."""
        return self.add_metainfo(info, self._metainfo)

    def add_metainfo(self, info: dict[str, Any], metainfo: Mapping[str, Any]) -> dict[str, Any]:
        """Put the schema's keys into a record.

        Raises:
            DataError: the record has such a key already, or the schema lacks one.
        """
        for key in self.RECORD_METAINFO:
            if key in info:
                raise DataError(
                    f"{type(self).__name__}: a record has the key `{key}`, which is reserved for "
                    "the schema; name it otherwise in `parse_data_info`"
                )
            if key not in metainfo:
                raise DataError(
                    f"{type(self).__name__} has no schema (`{key}` is missing): give `metainfo`, "
                    'such as dict(from_file="configs/_base_/datasets/coco.py"), or set METAINFO'
                )
            value = metainfo[key]
            # one level: the pairs and links inside are never changed in place
            info[key] = copy.copy(value) if isinstance(value, list | np.ndarray) else value
        return info
