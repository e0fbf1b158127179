"""DeepFashion: landmarks of clothes, in three subsets with different keypoints."""

from __future__ import annotations

from typing import Any

from poise._options import options_of
from poise.datasets.base.coco_style import BaseCocoStyleDataset
from poise.errors import DataError, nearest
from poise.registry import DATASETS

__all__ = ["DeepFashionDataset"]

SUBSETS = ("full", "upper", "lower")


@DATASETS.register_module()
class DeepFashionDataset(BaseCocoStyleDataset):
    """DeepFashion, 8 keypoints of full clothes, 6 of upper, 4 of lower (Liu et al., CVPR 2016).

    Args:
        subset: `full` (also the empty string), `upper` or `lower`; decides on the schema.

    The others are those of `BaseCocoStyleDataset`.

    Raises:
        DataError: there is no such subset.
    """

    @options_of(BaseCocoStyleDataset)
    def __init__(
        self,
        ann_file: str = "",
        subset: str = "",
        *,
        metainfo: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if metainfo is None:
            # not by setting METAINFO, or one subset would change the schema of the others
            metainfo = self.subset_metainfo(subset)
        super().__init__(ann_file=ann_file, metainfo=metainfo, **options)

    def _cache_facts(self) -> list[Any] | None:
        # the subset is known by its schema
        return []

    @classmethod
    def subset_metainfo(cls, subset: str = "") -> dict[str, Any]:
        """`metainfo` of a subset, without reading any annotation."""
        name = subset or SUBSETS[0]
        if name not in SUBSETS:
            raise DataError(
                f'{cls.__name__} got invalid subset: {subset}. Should be "full", "lower" or '
                f'"upper"{nearest(subset, SUBSETS)}'
            )
        return {"from_file": f"configs/_base_/datasets/deepfashion_{name}.py"}
