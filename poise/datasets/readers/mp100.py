"""MP-100 (Xu 2022): objects of a hundred categories, in episodes of labelled ones and one more."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._options import options_of
from poise.datasets.base.bad_annotations import BadAnnotations
from poise.datasets.base.dataset import BaseDataset, force_full_init
from poise.datasets.paths import join_path
from poise.datasets.report import LoadReport
from poise.errors import DataError
from poise.registry import DATASETS

__all__ = ["TestPoseDataset", "TransformerPoseDataset"]

#: which episodes are tested, whatever the seed of the run
_TEST_SEED = 1


@DATASETS.register_module()
class TransformerPoseDataset(BadAnnotations, BaseDataset):
    """Episodes: `num_shots` labelled objects of a category, and one in which to find the same.

    A sample has `inputs`, the crop and those of the labelled objects, and `data_samples` of the
    crop, with the labelled objects' `support_heatmaps` (S, K, h, w), `support_weights` (S, K, 1)
    and `gt_instances.support_visible` (1, K), and `skeleton` in its metainfo.

    In training episodes are drawn anew each time, as many of each category as the largest has
    objects; in `test_mode` they are the same in each run, and the authors'.

    Args:
        ann_file: COCO-style file whose categories have a `skeleton` that counts from 0.
        img_prefix: folder of its pictures.
        data_cfg: accepted; the pipeline says all that.
        pipeline: steps for each object; `GenerateTarget` is one of them.
        valid_class_ids: categories to take; None: all.
        max_kpt_num: K, to which all are filled up, so that categories share a batch; None: as
            many as the category has.
        num_shots: S.
        num_queries, num_episodes: of each category in `test_mode`: objects to find for each draw
            of labelled ones, and draws.
        test_mode: as said.
        **options: those of `BaseDataset`.

    Raises:
        DataError: a category with too few objects, or more than `max_kpt_num` keypoints.
    """

    def __init__(
        self,
        ann_file: str,
        img_prefix: str = "",
        data_cfg: Mapping[str, Any] | None = None,
        pipeline: Sequence[Any] = (),
        valid_class_ids: Sequence[Any] | None = None,
        max_kpt_num: int | None = None,
        num_shots: int = 1,
        num_queries: int = 100,
        num_episodes: int = 1,
        test_mode: bool = False,
        **options: Any,
    ) -> None:
        self.report = LoadReport(ann_file)
        self.valid_class_ids, self.max_kpt_num = valid_class_ids, max_kpt_num
        self.num_shots, self.num_queries = num_shots, num_queries
        self.num_episodes = num_episodes
        options.setdefault("data_prefix", {"img": img_prefix})
        super().__init__(ann_file, pipeline=pipeline, test_mode=test_mode, **options)

    # loading ------------------------------------------------------------------------------

    def load_data_list(self) -> list[dict[str, Any]]:
        """Records of objects, in the order of the file's images."""
        self.report = LoadReport(self.ann_file or "")
        self._open()
        self._skeletons = {i: self._skeleton(c) for i, c in self.coco.cats.items()}
        records = []
        for img_id, image in self.coco.imgs.items():
            path = join_path(self.data_prefix["img"], image["file_name"])
            for annotation in self._annotations_of(img_id):
                with self._reading(annotation):
                    reason, record = self._record(annotation, image)
                if record is None:
                    self.report.drop(reason, [annotation["id"]])
                else:
                    records.append(record | {"img_id": img_id, "img_path": path})
        self.report.kept = len(records)
        self._refuse_nan([r["id"] for r in records if not np.isfinite(r["keypoints"]).all()])
        return records

    def _skeleton(self, category: Mapping[str, Any]) -> list[tuple[int, int]]:
        """Links of a category, pairs of indices."""
        links = [(int(a), int(b)) for a, b in category.get("skeleton") or ()]
        count = len(category.get("keypoints") or ()) or self.max_kpt_num
        if count and any(not 0 <= end < count for link in links for end in link):
            raise DataError(
                f"{type(self).__name__}: {self.ann_file}: the skeleton of category "
                f"'{category.get('name')}' leads to none of its {count} keypoints; MP-100 counts "
                "from 0, COCO from 1"
            )
        return links

    def _record(
        self, annotation: Mapping[str, Any], image: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any] | None]:
        """Why an annotation is left out, or its record."""
        triples = np.array(annotation.get("keypoints") or (), np.float32).reshape(-1, 3)
        if annotation.get("iscrowd"):
            return "crowd", None
        if not triples.any() or annotation.get("num_keypoints", 1) == 0:
            return "without keypoints", None
        if "bbox" not in annotation:
            return "without a box", None
        x, y, width, height = annotation["bbox"]
        x1, y1 = max(0, x), max(0, y)
        # 0.x: the last pixel, not the end of it
        x2 = min(image["width"] - 1, x1 + max(0, width - 1))
        y2 = min(image["height"] - 1, y1 + max(0, height - 1))
        if annotation.get("area", 1) <= 0 or x2 <= x1 or y2 <= y1:
            return "with a wrong box", None
        if self.max_kpt_num is not None and len(triples) > self.max_kpt_num:
            raise DataError(
                f"annotation {annotation['id']} has {len(triples)} keypoints, more than "
                f"max_kpt_num={self.max_kpt_num}"
            )
        return "", {
            "id": annotation["id"],
            "category_id": annotation["category_id"],
            "bbox": np.array([[x1, y1, x2, y2]], np.float32),
            "bbox_score": np.ones(1, np.float32),
            "keypoints": triples[None, :, :2],
            "keypoints_visible": np.minimum(1, triples[None, :, 2]),
        }

    def full_init(self) -> None:
        """Load records, and see which of them are of one category."""
        if self._fully_initialized:
            return
        super().full_init()
        self._own: dict[Any, list[int]] = {}
        for place in range(len(self.data_list)):
            self._own.setdefault(self.data_list[place]["category_id"], []).append(place)
        chosen = self.valid_class_ids
        self._categories = list(self.coco.cats) if chosen is None else list(chosen)
        needed = self.num_shots + (self.num_queries if self.test_mode else 1)
        for category in self._categories:
            there = len(self._own.get(category, ()))
            if there < needed:
                name = self.coco.cats.get(category, {}).get("name", category)
                raise DataError(
                    f"{type(self).__name__}: {self.ann_file} has {there} usable objects of "
                    f"category '{name}', expected {needed} at least ({self.num_shots} labelled and "
                    f"{needed - self.num_shots} to find); choose others by valid_class_ids, or "
                    "lower num_queries"
                )
        self._episodes = self._tested() if self.test_mode else None

    def _tested(self) -> list[list[int]]:
        """Labelled objects and the one to find, of each episode."""
        draw = random.Random(_TEST_SEED)
        episodes = []
        for category in self._categories:
            for _ in range(self.num_episodes):
                drawn = draw.sample(self._own[category], self.num_shots + self.num_queries)
                shots, queries = drawn[: self.num_shots], drawn[self.num_shots :]
                episodes += [[*shots, query] for query in queries]
        return episodes

    # access -------------------------------------------------------------------------------

    @force_full_init
    def __len__(self) -> int:
        if self._episodes is not None:
            return len(self._episodes)
        return len(self._categories) * self._most

    @property
    def _most(self) -> int:
        """Objects of the largest category."""
        return max(len(self._own[category]) for category in self._categories)

    def members(self, idx: int) -> list[int]:
        """Records of an episode, the one to find last; in training drawn by `random`."""
        if self._episodes is not None:
            return self._episodes[idx]
        category = self._categories[idx // self._most]
        return random.sample(self._own[category], self.num_shots + 1)

    def complete_record(self, info: dict[str, Any]) -> dict[str, Any]:
        """Fill keypoints up with ones that nobody sees."""
        info["skeleton"] = self._skeletons[info["category_id"]]
        more = (self.max_kpt_num or 0) - info["keypoints"].shape[1]
        if more > 0:
            for key in ("keypoints", "keypoints_visible"):
                values = info[key]
                info[key] = np.pad(values, [(0, 0), (0, more), (0, 0)][: values.ndim])
        return info

    def prepare_data(self, idx: int) -> Any:
        """An episode; None where the pipeline drops one of its objects."""
        infos = [self.get_data_info(place) for place in self.members(idx)]
        visible = [info["keypoints_visible"] > 0 for info in infos[:-1]]
        skeleton = infos[-1]["skeleton"]
        *shots, query = (self.pipeline(info) for info in infos)
        if query is None or any(shot is None for shot in shots):
            return None
        return _together(query, shots, np.logical_and.reduce(visible), skeleton)


def _together(
    query: dict[str, Any], shots: Sequence[dict[str, Any]], visible: np.ndarray, skeleton: Any
) -> dict[str, Any]:
    """One sample of an episode's objects."""
    import torch

    sample = query["data_samples"]
    try:
        maps = [shot["data_samples"].gt_fields.heatmaps for shot in shots]
        weights = [shot["data_samples"].gt_instance_labels.keypoint_weights.T for shot in shots]
    except AttributeError as error:
        raise DataError(
            "the pipeline of an episode needs GenerateTarget with a codec of heatmaps, which say "
            f"where the labelled keypoints are: {error}"
        ) from error
    sample.support_heatmaps, sample.support_weights = torch.stack(maps), torch.stack(weights)
    sample.gt_instances.support_visible = visible
    sample.set_metainfo({"skeleton": skeleton})
    return {"inputs": [query["inputs"], *(s["inputs"] for s in shots)], "data_samples": sample}


@DATASETS.register_module()
class TestPoseDataset(TransformerPoseDataset):
    """The same for tests: `test_mode` unless said otherwise.

    Args:
        pck_threshold_list: accepted; thresholds are the metric's.
        **options: those of `TransformerPoseDataset`.
    """

    #: no test of pytest's
    __test__ = False

    @options_of(TransformerPoseDataset, positional=True)
    def __init__(
        self, *, pck_threshold_list: Sequence[float] = (), test_mode: bool = True, **options: Any
    ) -> None:
        super().__init__(test_mode=test_mode, **options)
