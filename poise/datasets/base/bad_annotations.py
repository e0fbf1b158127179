"""Annotations that are wrong: an error that names them, or left out and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from poise._words import counted, shortened
from poise.datasets.coco_file import CocoFile, explained
from poise.datasets.report import LoadReport
from poise.errors import DataError, one_of

__all__ = ["BadAnnotations"]


class BadAnnotations:
    """Mixin of readers of COCO's format: ids that occur twice, numbers that are none.

    They are errors unless `filter_cfg` says `on_bad="skip"`.
    """

    ann_file: str | None
    filter_cfg: dict[str, Any] | None
    report: LoadReport
    coco: CocoFile

    def _open(self, *, need_annotations: bool = True) -> None:
        """Set `coco`, the file, once its images have names and its annotations ids of their own."""
        self.coco = CocoFile(
            self.ann_file or "", owner=type(self).__name__, need_annotations=need_annotations
        )
        self.coco.check_images()
        self.report.total = len(self.coco.annotations)
        self._refuse_duplicates()

    def _annotations_of(self, img_id: Any) -> list[dict[str, Any]]:
        """Annotations of an image; of several with one id the last of the file, and it counts."""
        anns = self.coco.by_image.get(img_id, [])
        earlier = [ann["id"] for ann in anns if ann is not self.coco.anns[ann["id"]]]
        if not earlier:
            return anns
        self.report.drop("with a duplicated id", earlier)
        return [ann for ann in anns if ann is self.coco.anns[ann["id"]]]

    def _refuse_duplicates(self) -> None:
        duplicated = self.coco.duplicated_ids()
        if duplicated and not self._skips_bad():
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: {len(duplicated)} annotation ids occur "
                f"more than once ({shortened(duplicated)}), so results cannot be matched to people"
                '; give every annotation its own id, or set filter_cfg=dict(on_bad="skip") to use '
                "the last of each"
            )

    def _refuse_nan(self, ids: Sequence[Any]) -> None:
        """An error for annotations with NaN, or their count."""
        if ids and not self._skips_bad():
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: NaN, null or infinity in the box or the "
                f"keypoints of {counted(len(ids), 'annotation')} (id {shortened(ids)}); one of "
                "them would "
                'turn the loss into NaN. Correct them, or set filter_cfg=dict(on_bad="skip") to '
                "leave them out"
            )
        self.report.drop("with NaN", ids)

    def _skips_bad(self) -> bool:
        policy = (self.filter_cfg or {}).get("on_bad", "error")
        return one_of(policy, ("error", "skip"), "filter_cfg['on_bad']", DataError) == "skip"

    def _reading(self, ann: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Errors of a field of an annotation name the file and the annotation."""
        return explained(f"{type(self).__name__}: {self.ann_file}: annotation {ann.get('id')}")
