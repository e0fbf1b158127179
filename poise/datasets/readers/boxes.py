"""Boxes and classes of pictures, for detectors, from files in COCO's format."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._options import options_of
from poise._words import counted, shortened
from poise.datasets.base.bad_annotations import BadAnnotations
from poise.datasets.base.dataset import BaseDataset, force_full_init
from poise.datasets.cache import RecordCache
from poise.datasets.columns import RaggedColumn
from poise.datasets.instances import field_of, image_sizes, numbers_of
from poise.datasets.paths import join_path
from poise.datasets.records import Columns, Records
from poise.datasets.report import LoadReport
from poise.errors import DataError, nearest
from poise.geometry.boxes import BOX_MARGIN, bbox_of_keypoints, bbox_xywh2xyxy
from poise.registry import DATASETS

__all__ = ["DetectionCocoDataset"]

logger = logging.getLogger("poise.datasets")

Rows = list[dict[str, Any]]
#: of each record, with a row a thing
_COLUMNS = ("bbox", "bbox_label", "ignore_flag")


@DATASETS.register_module(name="CocoDataset", scope="mmdet")
class DetectionCocoDataset(BadAnnotations, BaseDataset):
    """One record a picture: the boxes of its annotations and their classes.

    MMDetection's `CocoDataset`. Files of boxes and files of keypoints will do: an annotation with
    keypoints and no `bbox` gets a box around those that are labelled.

    Args:
        ann_file: annotation file, below `data_root` if relative.
        metainfo: `dict(classes=(...))`, names of categories; the label of a box is the place of
            its category there. Without it these are all categories, in the order of the file.
        data_prefix: `dict(img=folder of the images)`.
        filter_cfg: while training, `filter_empty_gt=True` leaves out pictures without
            annotations of the classes, and `min_size` those with a shorter side of less pixels;
            `on_bad="skip"`: leave out, and count, annotations with NaN or duplicated ids, which
            are errors otherwise.
        test_mode: keep all pictures, fail on a dropped sample.
        lazy_init: load annotations at the first use; `classes` of the file are known then.
        backend_args: kept for configs; annotations are files of this machine.
        return_classes: put the names of the classes into records, as `text`.

    The others are those of `BaseDataset`.

    Attributes:
        report: counts of the last load, what was left out and why.

    Raises:
        DataError: wrong annotations, a class that is in no file, or nothing is left.
        FileMissingError: the annotation file does not exist.
    """

    @options_of(BaseDataset, positional=True)
    def __init__(
        self,
        ann_file: str = "",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | None = "",
        data_prefix: Mapping[str, str] = {"img": ""},
        *,
        backend_args: dict[str, Any] | None = None,
        return_classes: bool = False,
        **options: Any,
    ) -> None:
        self.report = LoadReport(ann_file)
        self.backend_args = backend_args
        self.return_classes = return_classes
        super().__init__(ann_file, metainfo, data_root, {"img": "", **data_prefix}, **options)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The facts as given, with `classes` as a tuple; `CLASSES` is its old name."""
        merged = super()._load_metainfo(metainfo)
        classes = merged.get("classes", merged.get("CLASSES"))
        if classes is not None:
            merged["classes"] = (classes,) if isinstance(classes, str) else tuple(classes)
        return merged

    # access -------------------------------------------------------------------------------

    @force_full_init
    def prepare_data(self, idx: int) -> Any:
        """Record `idx` after the pipeline, which may draw more records from `dataset`."""
        return self.pipeline(self.get_data_info(idx) | {"dataset": self})

    def complete_record(self, info: dict[str, Any]) -> dict[str, Any]:
        """Things as MMDetection's records have them: a dict each, for `LoadAnnotations`."""
        columns = (info.pop(name).tolist() for name in _COLUMNS)
        info["instances"] = [
            {"bbox": box, "bbox_label": label, "ignore_flag": crowd}
            for box, label, crowd in zip(*columns, strict=True)
        ]
        return info | {"text": self._metainfo["classes"]} if self.return_classes else info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the boxes of record `idx`."""
        return [thing["bbox_label"] for thing in self.get_data_info(idx)["instances"]]

    # loading ------------------------------------------------------------------------------

    def load_data_list(self) -> Sequence[dict[str, Any]]:
        """Records of pictures.

        Returns:
            records with `img_id`, `img_path`, `height`, `width`, and of N things `bbox` (N, 4)
            float32 xyxy, image space, `bbox_label` (N,) int64 and `ignore_flag` (N,), 1 of crowds.
        """
        cache = self._cache()
        stored = None if cache is None else cache.read()
        if stored is not None:
            records, facts = stored
            self.report = LoadReport.from_dict(facts["report"])
            self._metainfo["classes"] = tuple(facts["classes"])
        else:
            self.report = LoadReport(self.ann_file or "")
            records = self._read()
            if cache is not None:
                facts = {"report": self.report.to_dict(), "classes": self._metainfo["classes"]}
                cache.write(records, facts)
        self.report.log()
        return records

    def _cache(self) -> RecordCache | None:
        if type(self) is not DetectionCocoDataset:
            return None
        settings = [self._metainfo.get("classes"), self.data_prefix, self.filter_cfg]
        return RecordCache.of(self.ann_file, [type(self).__name__, self.test_mode, *settings])

    def _read(self) -> Records:
        self._open(need_annotations=not self.test_mode)
        label_of = self._labels()
        several = [a["id"] for a in self.coco.annotations if isinstance(a.get("category_id"), list)]
        if several:
            raise DataError(
                f"{self._source}: `category_id` must be one category, but it is a list in "
                f"{counted(len(several), 'annotation')} (id {shortened(several)})"
            )
        self.report.drop("of an image that is not listed", self.coco.unlisted())
        images = [{**image, "id": key} for key, image in self.coco.imgs.items()]
        sizes = image_sizes(images, self._source)
        chosen = self._chosen(sizes, [image["id"] for image in images], set(label_of))
        images = [images[i] for i in chosen]
        rows = [self._annotations_of(image["id"]) for image in images]
        place = np.repeat(np.arange(len(images)), [len(row) for row in rows])
        anns = [ann for row in rows for ann in row]
        records = self._records(images, sizes[chosen], anns, place, label_of)
        del self.coco
        return records

    @property
    def _source(self) -> str:
        return f"{type(self).__name__}: {self.ann_file}"

    def _labels(self) -> dict[Any, int]:
        """Category id -> label, of the categories that are wanted; sets `classes`."""
        name_of = {key: str(c.get("name", key)) for key, c in self.coco.cats.items()}
        names = list(name_of.values())
        if not names or len(set(names)) < len(names):
            raise DataError(
                f"{self._source}: the classes of boxes are the names in `categories`, one entry "
                f"with its own `name` a class; found: {', '.join(names) or 'no categories'}"
            )
        classes = self._metainfo.setdefault("classes", tuple(names))
        missing = [name for name in classes if name not in names]
        if len(missing) == len(classes):
            raise DataError(
                f"{self._source}: none of the classes ({', '.join(map(str, classes[:5]))}) is a "
                f"category of the file, which has {', '.join(map(str, names[:8]))}"
                f"{nearest(str(classes[0]), names) if classes else ''}; set "
                "metainfo=dict(classes=...) to names of the file, or leave it out"
            )
        if missing:
            logger.warning("%s has no category %s", self._source, ", ".join(map(str, missing)))
        place = {name: label for label, name in enumerate(classes)}
        return {key: place[name] for key, name in name_of.items() if name in place}

    def _chosen(self, sizes: np.ndarray, ids: list[Any], wanted: set[Any]) -> np.ndarray:
        """Places of the pictures to use, as `filter_cfg` says."""
        rule = {} if self.test_mode else self.filter_cfg or {}
        keep = sizes.min(axis=1, initial=np.inf) >= rule.get("min_size", 0)
        small = np.flatnonzero(~keep)
        left = {f"smaller than {rule.get('min_size')} pixels": len(small)}
        for i in small.tolist():
            inside = [ann["id"] for ann in self.coco.by_image.get(ids[i], ())]
            self.report.drop(f"in a picture smaller than {rule['min_size']} pixels", inside)
        if rule.get("filter_empty_gt", False):
            with_classes = {
                ann["image_id"] for ann in self.coco.annotations if ann.get("category_id") in wanted
            }
            empty = np.array([key not in with_classes for key in ids], bool)
            left["without boxes of the classes"] = int((keep & empty).sum())
            for i in np.flatnonzero(keep & empty).tolist():
                others = [ann["id"] for ann in self.coco.by_image.get(ids[i], ())]
                self.report.drop("of another category", others)
            keep &= ~empty
        self.report.images = len(ids)
        told = [f"{count:,} {reason}" for reason, count in left.items() if count]
        if told:
            self.report.note = f"left out of {len(ids):,} images: {', '.join(told)}"
        if not keep.any():
            raise DataError(f"{type(self).__name__}: no picture is left to use: {self.report}")
        return np.flatnonzero(keep)

    def _records(
        self,
        images: Rows,
        sizes: np.ndarray,
        anns: Rows,
        place: np.ndarray,
        label_of: Mapping[Any, int],
    ) -> Records:
        """Records of `images`; annotation i belongs to image `place[i]`, ascending."""
        boxes, areas = self._boxes(anns, sizes[place])
        categories = field_of(anns, "category_id", self._source)
        labels = np.array([label_of.get(c, -1) for c in categories], np.int64)
        keep = np.ones(len(anns), bool)
        for reason, wrong in _reasons(anns, boxes, areas, sizes[place], labels).items():
            ids = [anns[i]["id"] for i in np.flatnonzero(keep & wrong)]
            self._refuse_nan(ids) if reason == "with NaN" else self.report.drop(reason, ids)
            keep &= ~wrong
        self.report.kept = int(keep.sum())
        folder = self.data_prefix["img"]
        facts: Columns = {
            "img_id": [image["id"] for image in images],
            "img_path": [join_path(folder, image["file_name"]) for image in images],
            "width": [image["width"] for image in images],
            "height": [image["height"] for image in images],
        }
        records = Records.of_columns(facts, len(images))
        ends = np.cumsum(np.bincount(place[keep], minlength=len(images)))
        crowd = np.array([bool(ann["iscrowd"]) for ann in anns], np.int64)
        corners = bbox_xywh2xyxy(boxes[keep]).astype(np.float32)
        things: tuple[np.ndarray, ...] = (corners, labels[keep], crowd[keep])
        for name, values in zip(_COLUMNS, things, strict=True):
            records.columns[name] = RaggedColumn(values, ends)
        return records

    def _boxes(self, anns: Rows, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) xywh, of zeros where there is none, and areas (N,) in pixels, float64."""
        values = [ann.get("bbox") or None for ann in anns]
        made = 0
        for i in (i for i, value in enumerate(values) if value is None):
            with self._reading(anns[i]):
                triples = anns[i].get("keypoints") or ()
                values[i] = bbox_of_keypoints(triples, sizes[i])
            made += values[i] is not None
            values[i] = values[i] or [0.0] * 4
        if made:
            drawn = "box is" if made == 1 else "boxes are"
            told = f"{made:,} {drawn} drawn around keypoints, {BOX_MARGIN:.0%} wider each way"
            self.report.note = "; ".join(filter(None, (self.report.note, told)))
        boxes = numbers_of(anns, values, "bbox", self._source)
        of_boxes = boxes[:, 2] * boxes[:, 3]
        given = [
            area if ann.get("area") is None else ann["area"]
            for ann, area in zip(anns, of_boxes.tolist(), strict=True)
        ]
        return boxes, numbers_of(anns, given, "area", self._source)[:, 0]


def _reasons(
    anns: Rows, boxes: np.ndarray, areas: np.ndarray, sizes: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Reason -> (N,) bool, which annotations are left out for it; MMDetection's rule.

    Args:
        anns: N annotations.
        boxes: (N, 4) xywh.
        areas: (N,) pixels.
        sizes: (N, 2) width and height of their pictures.
        labels: (N,), -1 of categories that are not wanted.
    """
    corner, side = boxes[:, :2], boxes[:, 2:]
    inside = np.minimum(corner + side, sizes) - np.maximum(corner, 0)
    return {
        "without box": ~boxes.any(axis=1),
        "with NaN": ~np.isfinite(boxes).all(axis=1) | ~np.isfinite(areas),
        "marked to be ignored": np.array([bool(ann.get("ignore")) for ann in anns], bool),
        "outside of the picture": (inside <= 0).any(axis=1),
        "smaller than a pixel": (areas <= 0) | (side < 1).any(axis=1),
        "of another category": labels < 0,
    }
