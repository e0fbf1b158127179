"""COCO-style data sets: one record a person (top-down) or a picture (bottom-up)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from poise.datasets.base.bad_annotations import BadAnnotations
from poise.datasets.base.dataset import BaseDataset, force_full_init
from poise.datasets.base.detections import PERSON_CATEGORY, detection_columns, read_detections
from poise.datasets.base.metainfo import PoseMetainfo
from poise.datasets.base.modes import check_data_mode, check_topdown_test
from poise.datasets.cache import RecordCache
from poise.datasets.coco_file import CocoFile
from poise.datasets.grouping import group_by_image
from poise.datasets.instances import (
    InstanceRule,
    invalid_reason,
    invalid_reasons,
    nan_instances,
    nan_people,
    read_instances,
    row,
    select_columns,
)
from poise.datasets.paths import join_path
from poise.datasets.records import Columns, Records
from poise.datasets.report import LoadReport
from poise.errors import DataError
from poise.registry import DATASETS

__all__ = ["BaseCocoStyleDataset"]

# what COCO, and the readers without a rule of their own, hand on
COCO_RULE = InstanceRule(
    needs=("bbox", "keypoints"),
    count="field or counted",
    extras=("area", "segmentation", "category_array", "raw_ann_info", "crowd_index"),
)


@DATASETS.register_module()
class BaseCocoStyleDataset(PoseMetainfo, BadAnnotations, BaseDataset):
    """Reader of COCO's keypoint format, and base of those of your own.

    A subclass sets `METAINFO`, and `rule` where its annotations differ from COCO's; or it
    overrides `_load_annotations` (its own file format), `parse_data_info` (one annotation) or
    `_is_valid_instance`.

    Args:
        ann_file: annotation file, below `data_root` if relative.
        bbox_file: boxes of a detector, a list of `{image_id, category_id, bbox, score}`, used
            instead of annotated people; top-down tests only.
        data_mode: `topdown`, a record for each person; `bottomup`, one for each picture.
        metainfo: schema, instead of the class's `METAINFO`.
        data_root: folder of `ann_file` and `data_prefix`.
        data_prefix: `dict(img=folder of the images)`.
        filter_cfg: `bbox_score_thr`: least score of the boxes of `bbox_file`; `on_bad="skip"`:
            leave out, and count, annotations with NaN or duplicated ids, which are errors
            otherwise.
        indices: keep only the first (negative: last) so many records, or those listed.
        serialize_data: hold records in buffers that workers share.
        pipeline: transforms or their configs.
        test_mode: keep pictures without people (bottom-up), fail on a dropped sample.
        lazy_init: load annotations at the first use.
        max_refetch: while training, draws of another record for a dropped one.
        sample_interval: use only images whose id is a multiple of this.

    Attributes:
        rule: class attribute, how annotations are written.
        report: counts of the last load, what was left out and why.

    Raises:
        DataError: unknown `data_mode`; `bbox_file` in bottom-up mode or while training; wrong
            annotations.
        FileMissingError: an annotation file does not exist.
    """

    METAINFO: dict[str, Any] = {}
    RECORD_METAINFO = ("dataset_name", *PoseMetainfo.RECORD_METAINFO)
    rule: ClassVar[InstanceRule] = COCO_RULE

    def __init__(
        self,
        ann_file: str = "",
        bbox_file: str | None = None,
        data_mode: str = "topdown",
        metainfo: dict[str, Any] | None = None,
        data_root: str | None = None,
        data_prefix: Mapping[str, str] = {"img": ""},
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        sample_interval: int = 1,
    ) -> None:
        check_data_mode(data_mode, type(self).__name__)
        if bbox_file:
            check_topdown_test("bbox_file", data_mode, test_mode, type(self).__name__)
        if sample_interval < 1:
            raise DataError(
                f"{type(self).__name__}: sample_interval is at least 1, got {sample_interval}"
            )
        self.data_mode = data_mode
        self.bbox_file = bbox_file
        self.sample_interval = sample_interval
        self.report = LoadReport(ann_file)
        super().__init__(
            ann_file,
            metainfo,
            data_root,
            data_prefix,
            filter_cfg,
            indices,
            test_mode=test_mode,
            pipeline=pipeline,
            lazy_init=lazy_init,
            serialize_data=serialize_data,
            max_refetch=max_refetch,
        )

    # access -------------------------------------------------------------------------------

    @force_full_init
    def prepare_data(self, idx: int) -> Any:
        """Record `idx` after the pipeline, which may draw more records from `dataset`."""
        info = self.get_data_info(idx)
        # set here and not in get_data_info, or mixing transforms would pass it on without end
        info["dataset"] = self
        return self.pipeline(info)

    # loading ------------------------------------------------------------------------------

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Records of people or pictures, from annotations or from a detector's boxes."""
        self.report = LoadReport(self.ann_file or "")
        cache = self._cache()
        stored = None if cache is None else cache.read()
        if stored is not None:
            return self._restored(*stored)
        records = self._load_records()
        if not len(records):
            advice = "" if self.report.total else "; the file lists no people (or detections)"
            raise DataError(f"{type(self).__name__}: nothing is left to use: {self.report}{advice}")
        self._log_report()
        if cache is not None:
            records = Records.pack(records)
            facts = {"report": self.report.to_dict(), "CLASSES": self._metainfo.get("CLASSES")}
            cache.write(records, facts)
        return records

    def _cache(self) -> RecordCache | None:
        """Where the records of this file are kept, for classes whose code is Poise's own."""
        own = self._cache_facts()
        if self.bbox_file or own is None or type(self).__module__.partition(".")[0] != "poise":
            return None
        settings = [self.data_mode, self.test_mode, self.sample_interval, self._skips_bad()]
        facts = [type(self).__name__, repr(self.rule), self.data_prefix, self.metainfo_size()]
        return RecordCache.of(self.ann_file, settings + facts + own)

    def _cache_facts(self) -> list[Any] | None:
        """What a subclass's records depend on beside this class's arguments.

        `None`: records are not kept, as with arguments that the subclass does not name here.
        """
        return [] if type(self).__init__ is BaseCocoStyleDataset.__init__ else None

    def metainfo_size(self) -> int | None:
        """Number of keypoints of the schema, `None` without one."""
        return self._metainfo.get("num_keypoints")

    def _restored(self, records: Records, facts: dict[str, Any]) -> Records:
        self.report = LoadReport.from_dict(facts["report"])
        self._log_report()
        if facts["CLASSES"] is not None:
            self._metainfo["CLASSES"] = facts["CLASSES"]
        return records

    def _log_report(self) -> None:
        """Log the counts, unless `filter_data` will have more of them."""
        if "bbox_score_thr" not in (self.filter_cfg or {}):
            self.report.log()

    def _load_records(self) -> Sequence[dict[str, Any]]:
        if self.bbox_file:
            records: Sequence[dict[str, Any]] = self._load_detection_results()
        elif self._reads_columns():
            records = self._load_columns()
        else:
            instances, images = self._load_annotations()
            if self.data_mode == "topdown":
                records = self._without_nan(self._get_topdown_data_infos(instances))
                self.report.kept = len(records)
            else:
                records = self._get_bottomup_data_infos(self._without_nan(instances), images)
        if hasattr(self, "coco"):
            del self.coco
        return records

    def _reads_columns(self) -> bool:
        """Whether all steps from file to person are ours, so that they can be taken at once."""
        steps = (
            "_load_annotations",
            "parse_data_info",
            "_is_valid_instance",
            "_get_topdown_data_infos",
        )
        own = all(getattr(type(self), s) is getattr(BaseCocoStyleDataset, s) for s in steps)
        return own and self.data_mode == "topdown"

    def _load_columns(self) -> Records:
        anns, images, _ = self._select_annotations()
        if not anns:
            return Records({}, 0)
        columns = self._read_instances(anns, images)
        keep = np.ones(len(anns), dtype=bool)
        for reason, found in invalid_reasons(columns).items():
            self.report.drop(reason, _ids(columns, found))
            keep &= ~found
        wrong = nan_instances(columns) & keep
        self._refuse_nan(_ids(columns, wrong))
        chosen = np.flatnonzero(keep & ~wrong)
        self.report.kept = len(chosen)
        self._count_images({columns["img_id"][i] for i in chosen})
        return Records.of_columns(select_columns(columns, chosen), len(chosen))

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Read `ann_file`.

        Returns:
            people, each as `parse_data_info` gives it, in the order of their pictures; and the
            pictures, with `img_id` and `img_path`.
        """
        anns, images, pictures = self._select_annotations()
        if not anns:
            return [], pictures
        if type(self).parse_data_info is BaseCocoStyleDataset.parse_data_info:
            columns = self._read_instances(anns, images)
            instances = [row(columns, i) for i in range(len(anns))]
        else:
            parsed = [
                self.parse_data_info({"raw_ann_info": ann, "raw_img_info": image})
                for ann, image in zip(anns, images, strict=True)
            ]
            instances = [p for p in parsed if p]
            for ann in (a for a, p in zip(anns, parsed, strict=True) if not p):
                reason = self.rule.refusal(ann) or "left out by parse_data_info"
                self.report.drop(reason, [ann["id"]])
        return instances, pictures

    def _select_annotations(
        self,
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """Annotations that can be parsed, the image of each, and all images."""
        may_lack = self.test_mode and self.data_mode == "bottomup"
        self._open(need_annotations=not may_lack)
        if "categories" in self.coco.dataset:
            self._metainfo["CLASSES"] = list(self.coco.cats.values())
        unchecked = type(self).parse_data_info is not BaseCocoStyleDataset.parse_data_info
        anns, images, pictures = [], [], []
        for img_id, image in self.coco.imgs.items():
            if self.sample_interval != 1 and self._image_number(img_id) % self.sample_interval:
                self._drop_outside_interval(img_id)
                continue
            pictures.append(self._picture(img_id, image))
            for ann in self._annotations_of(img_id):
                refusal = None if unchecked else self.rule.refusal(ann)
                if refusal is not None:
                    self.report.drop(refusal, [ann["id"]])
                    continue
                anns.append(ann)
                images.append(image)
        self.report.drop("of an image that is not listed", self.coco.unlisted())
        self._need_keypoints(anns)
        self.report.images = len(pictures)
        return anns, images, pictures

    def _picture(self, img_id: Any, image: dict[str, Any]) -> dict[str, Any]:
        """An image of the file with its id and path under the names that records have."""
        image["img_id"] = img_id
        image["img_path"] = join_path(self._image_root(), image["file_name"])
        return image

    def _image_root(self) -> str:
        if "img" not in self.data_prefix:
            raise DataError(
                f"{type(self).__name__}: `data_prefix` needs `img`, the folder of the images, and "
                f"has {', '.join(self.data_prefix) or 'nothing'}"
            )
        return self.data_prefix["img"]

    def _image_number(self, img_id: Any) -> float:
        if isinstance(img_id, str):
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: sample_interval="
                f"{self.sample_interval} takes images whose id is a multiple of it, and the id "
                f"'{img_id}' is no number; use `indices` instead"
            )
        return img_id

    def _drop_outside_interval(self, img_id: Any) -> None:
        outside = [ann["id"] for ann in self.coco.by_image.get(img_id, ())]
        self.report.drop(f"outside sample_interval={self.sample_interval}", outside)

    def _check_keypoints(self, who: str, found: int, what: str = "keypoints") -> None:
        """Refuse another number of keypoints than the schema's."""
        expected = self.metainfo_size()
        if expected not in (None, found):
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: {who} has {found} {what}, expected "
                f"{expected} of the schema; is `metainfo` that of this file?"
            )

    def _need_keypoints(self, anns: Sequence[dict[str, Any]]) -> None:
        if anns or not self.report.total:
            return
        without = self.report.dropped.get("without keypoints", 0)
        if without == self.report.total:
            has = ", ".join(self.coco.annotations[0])
            fields = " + ".join(f"`{k}`" for k in self.rule.keypoints)
            raise DataError(
                f"{type(self).__name__}: no annotation of {self.ann_file} has {fields} (the first "
                f"one has: {has}); is it a file of boxes? COCO's keypoints are in "
                "person_keypoints_*.json"
            )

    def _read_instances(
        self, anns: Sequence[dict[str, Any]], images: Sequence[dict[str, Any]]
    ) -> Columns:
        return read_instances(
            anns,
            images,
            self.rule,
            num_keypoints=self.metainfo_size(),
            image_root=self.data_prefix.get("img", ""),
            test_mode=self.test_mode,
            source=f"{type(self).__name__}: {self.ann_file}",
        )

    def _without_nan(self, people: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """The people without NaN; the others are an error, or counted."""
        wrong = nan_people(people)
        if not wrong.any():
            return people
        self._refuse_nan([people[i].get("id", i) for i in np.flatnonzero(wrong).tolist()])
        return [person for person, bad in zip(people, wrong, strict=True) if not bad]

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
        """One annotation as a record.

        Args:
            raw_data_info: `raw_ann_info`, the annotation, and `raw_img_info`, its image.

        Returns:
            dict of the person, or `None` where the annotation cannot be used.
        """
        ann = raw_data_info["raw_ann_info"]
        if self.rule.refusal(ann) is not None:
            return None
        return copy.deepcopy(row(self._read_instances([ann], [raw_data_info["raw_img_info"]]), 0))

    @staticmethod
    def _is_valid_instance(data_info: dict[str, Any]) -> bool:
        """Whether one can learn from a person: no crowd, a box, a keypoint in the picture."""
        return invalid_reason(data_info) is None

    def _get_topdown_data_infos(
        self, instance_list: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """The people one can learn from."""
        kept = []
        for person in instance_list:
            if self._is_valid_instance(person):
                kept.append(person)
            else:
                reason = invalid_reason(person) or "left out by _is_valid_instance"
                self.report.drop(reason, [person.get("id")])
        self.report.total = self.report.total or len(instance_list)
        self.report.kept = len(kept)
        return kept

    def _get_bottomup_data_infos(
        self, instance_list: Sequence[dict[str, Any]], image_list: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """One record a picture, with all its people; in test mode also pictures without any."""
        records = group_by_image(instance_list, self._is_valid_instance)
        self.report.total = self.report.total or len(instance_list)
        self.report.kept = len(instance_list)
        used = {record["img_id"] for record in records}
        self._count_images(used)
        if self.test_mode:
            records += [
                {
                    "img_id": image["img_id"],
                    "img_path": image["img_path"],
                    "id": [],
                    "raw_ann_info": None,
                }
                for image in image_list
                if image["img_id"] not in used
            ]
        return records

    def _count_images(self, used: set[Any]) -> None:
        self.report.images_without = max(self.report.images - len(used), 0)

    def _load_detection_results(self) -> Sequence[dict[str, Any]]:
        """People as a detector found them, with keypoints to be filled in."""
        found = read_detections(self.bbox_file or "", type(self).__name__)
        self.coco = CocoFile(self.ann_file or "", owner=type(self).__name__, need_annotations=False)
        self._metainfo["CLASSES"] = list(self.coco.cats.values())
        self.report = LoadReport(self.bbox_file or "", total=len(found))
        people = self._people_of(found)
        if not people:
            return []
        self.report.kept = len(people)
        columns = detection_columns(
            people,
            [self._image_of(d) for d in people],
            num_keypoints=self._metainfo["num_keypoints"],
            image_root=self._image_root(),
            source=f"{type(self).__name__}: {self.ann_file}",
        )
        return Records.of_columns(columns, len(people))

    def _people_of(self, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Boxes of the category person."""
        others = [i for i, d in enumerate(found) if d["category_id"] != PERSON_CATEGORY]
        self.report.drop("of another category than person", others)
        return [d for d in found if d["category_id"] == PERSON_CATEGORY]

    def _image_of(self, detection: dict[str, Any]) -> dict[str, Any]:
        image = self.coco.imgs.get(detection["image_id"])
        if image is None:
            raise DataError(
                f"{type(self).__name__}: {self.bbox_file} has a box for image "
                f"{detection['image_id']}, which {self.ann_file} does not list; do both files "
                "belong to the same images?"
            )
        return image

    def filter_data(self) -> Sequence[dict[str, Any]]:
        """Leave out boxes of a detector whose score is below `filter_cfg['bbox_score_thr']`."""
        if not self.filter_cfg or "bbox_score_thr" not in self.filter_cfg:
            return self.data_list
        if self.data_mode != "topdown":
            raise DataError(
                f"{type(self).__name__}: filter_cfg has `bbox_score_thr`, which works in topdown "
                f"mode only, and data_mode is {self.data_mode!r}"
            )
        records = Records.pack(self.data_list)
        scores = records.array("bbox_score")
        if scores is None:
            scores = np.array([np.min(r["bbox_score"]) for r in records])
        keep = ~(scores.reshape(len(records), -1) < self.filter_cfg["bbox_score_thr"]).any(axis=1)
        places = np.flatnonzero(~keep).tolist()
        limit = f"scoring below bbox_score_thr={self.filter_cfg['bbox_score_thr']}"
        self.report.drop(limit, [records[i].get("id", i) for i in places])
        self.report.kept = int(keep.sum())
        if not keep.any():
            raise DataError(f"{type(self).__name__}: nothing is left to use: {self.report}")
        self.report.log()
        return records.select(np.flatnonzero(keep))


def _ids(columns: Columns, found: np.ndarray) -> list[Any]:
    return [columns["id"][i] for i in np.flatnonzero(found).tolist()]
