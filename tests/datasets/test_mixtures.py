"""Several data sets as one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from poise.datasets import (
    ClassBalancedDataset,
    CocoDataset,
    CombinedDataset,
    ConcatDataset,
    RepeatDataset,
)
from poise.errors import ArgumentError, DataError


@pytest.fixture
def two(coco: Any, person: Any) -> tuple[CocoDataset, CocoDataset]:
    """Data sets of the people 1, 2 and 11, 12, 13."""
    return (
        coco([person(i) for i in (1, 2)]),
        coco([person(i) for i in (11, 12, 13)]),
    )


def ids(dataset: Any) -> list[int]:
    return [dataset.get_data_info(i)["id"] for i in range(len(dataset))]


def test_concatenation_is_end_to_end(two: Any) -> None:
    whole = ConcatDataset(two)
    assert ids(whole) == [1, 2, 11, 12, 13]
    assert whole[-1]["id"] == 13
    assert whole[3]["id"] == 12
    assert [sample["id"] for sample in whole] == ids(whole)


@pytest.mark.parametrize("index", [5, -6])
def test_an_index_outside_a_concatenation_is_refused(two: Any, index: int) -> None:
    with pytest.raises(ValueError, match=rf"index\({index}\) is out of bounds.*length\(5\)"):
        ConcatDataset(two)[index]


def test_concatenated_data_sets_must_agree(coco: Any, person: Any, schema: Any) -> None:
    one = coco([person(1)])
    other = coco([person(2)], metainfo=schema(3, name="other"))
    with pytest.raises(ValueError, match="`dataset_name` of data set 1 differs"):
        ConcatDataset([one, other])
    assert len(ConcatDataset([one, other], ignore_keys="dataset_name")) == 2
    other._metainfo["extra"] = 1
    with pytest.raises(ValueError, match="data set 0 has no `extra`"):
        ConcatDataset([one, other], ignore_keys=["dataset_name"])


def test_concatenated_data_sets_may_have_statistics(two: Any) -> None:
    for part in two:
        part._metainfo["stats_info"] = {"mean": np.arange(3.0)}
    assert len(ConcatDataset(two)) == 5
    two[1]._metainfo["stats_info"]["mean"][0] = 7
    with pytest.raises(ValueError, match="`stats_info` of data set 1 differs"):
        ConcatDataset(two)


def test_a_concatenation_of_nothing_or_of_other_things_is_refused(two: Any) -> None:
    with pytest.raises(DataError, match="`datasets` is empty"):
        ConcatDataset([])
    with pytest.raises(ArgumentError, match="expected data sets or their configs, got int"):
        ConcatDataset([3])
    with pytest.raises(ArgumentError, match="`ignore_keys` must be a name"):
        ConcatDataset(two, ignore_keys=3)


def test_parts_may_be_configs(write: Any, person: Any, schema: Any) -> None:
    part = {"type": "CocoDataset", "ann_file": write([person(4)]), "metainfo": schema()}
    assert ids(ConcatDataset([part, part])) == [4, 4]
    assert ids(RepeatDataset(part, 3)) == [4, 4, 4]
    assert ids(CombinedDataset(schema(), [part])) == [4]


def test_repetition(two: Any) -> None:
    repeated = RepeatDataset(two[0], times=2)
    assert ids(repeated) == [1, 2, 1, 2]
    assert repeated[3]["id"] == 2
    assert repeated.metainfo["num_keypoints"] == 3


@pytest.mark.parametrize("make", [ConcatDataset, lambda d: RepeatDataset(d[0], 2)])
def test_mixtures_have_no_subsets(two: Any, make: Any) -> None:
    with pytest.raises(NotImplementedError, match="no subsets of its own"):
        make(two).get_subset(1)


def test_rare_categories_are_repeated(coco: Any, person: Any) -> None:
    class WithCategories(CocoDataset):
        def get_cat_ids(self, idx: int) -> list[int]:
            return [int(self.get_data_info(idx)["category_id"])]

    people = [person(i, category_id=1) for i in range(1, 9)] + [person(9, category_id=2)]
    balanced = ClassBalancedDataset(coco(people, cls=WithCategories), oversample_thr=0.5)
    # f(2) = 1/9: sqrt(0.5 * 9) = 2.1, so three times
    assert Counter(ids(balanced))[9] == 3
    assert len(balanced) == 11


def test_combination_has_the_schema_of_the_whole(two: Any, schema: Any) -> None:
    whole = CombinedDataset(schema(2, name="all"), two)
    assert ids(whole) == [1, 2, 11, 12, 13]
    assert whole.lens == [2, 3]
    assert whole.metainfo["dataset_name"] == "all"
    sample = whole[2]
    assert sample["flip_indices"] == [1, 0]
    assert sample["dataset"] is whole
    assert sample["dataset_name"] == "toy"


def test_pipelines_of_the_parts_run_before_that_of_the_whole(
    coco: Any, person: Any, schema: Any
) -> None:
    part = coco([person(1)], pipeline=[lambda r: {**r, "trace": ["part"]}])
    whole = CombinedDataset(
        schema(), [part], pipeline=[lambda r: {**r, "trace": [*r["trace"], "whole"]}]
    )
    assert whole[0]["trace"] == ["part", "whole"]


@pytest.mark.parametrize(
    ("factors", "lens"), [([1, 1], [2, 3]), ([0.5, 2], [1, 6]), ([0, 1], [0, 3])]
)
def test_ratios_change_the_size_of_parts(
    two: Any, schema: Any, factors: list[float], lens: list[int]
) -> None:
    whole = CombinedDataset(schema(), two, sample_ratio_factor=factors)
    assert whole.lens == lens
    assert len(whole) == sum(lens)
    drawn = ids(whole)
    assert sum(i < 10 for i in drawn) == lens[0]


def test_oversampled_parts_show_every_sample(two: Any, schema: Any) -> None:
    np.random.seed(0)
    whole = CombinedDataset(schema(), two, sample_ratio_factor=[1, 4])
    assert set(ids(whole)) == {1, 2, 11, 12, 13}


@pytest.mark.parametrize(
    ("factors", "text"),
    [([1], "`sample_ratio_factor` 1 does not match"), ([1, -1], "should not be negative")],
)
def test_wrong_ratios_are_refused(two: Any, schema: Any, factors: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        CombinedDataset(schema(), two, sample_ratio_factor=factors)


def test_an_unreadable_image_of_a_combination_is_skipped(
    coco: Any, person: Any, schema: Any, pictures: Any
) -> None:
    import cv2

    def load(results: dict[str, Any]) -> dict[str, Any]:
        image = cv2.imread(results["img_path"])
        return {**results, "shape": image.shape}

    (pictures / "1.png").unlink()
    prefix = {"img": str(pictures)}
    part = coco([person(i, image=i) for i in (1, 2)], data_prefix=prefix)
    whole = CombinedDataset(schema(), [part], pipeline=[load])
    assert whole[0]["id"] == 2
    assert list(whole.unreadable.paths) == [f"{pictures}/1.png"]
