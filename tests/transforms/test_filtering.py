from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError
from poise.transforms import FilterAnnotations


@pytest.fixture
def three(person):
    results = person(3)
    results["bbox"] = np.array([[0, 0, 10, 10], [0, 0, 50, 5], [0, 0, 50, 50.0]])
    results["area"] = np.array([100.0, 250, 2500])
    results["keypoints_visible"] = np.array([[1.0] * 5, [1, 0, 0, 0, 0], [0] * 5])
    return results


@pytest.mark.parametrize(
    ("kwargs", "left"),
    [
        (dict(), 2),
        (dict(min_kpt_vis=2), 1),
        (dict(by_kpt=False, by_box=True, min_gt_bbox_wh=(9, 5)), 2),
        (dict(by_kpt=False, by_box=True, min_gt_bbox_wh=(9, 4)), 3),
        (dict(by_kpt=False, by_area=True, min_gt_area=250), 2),
        (dict(by_area=True, by_box=True, min_gt_area=200, min_gt_bbox_wh=(20, 1)), 1),
    ],
)
def test_people_must_pass_all_tests(three, kwargs, left):
    after = FilterAnnotations(**kwargs)(three)
    for key in ("bbox", "bbox_score", "category_id", "keypoints", "keypoints_visible", "area"):
        assert len(after[key]) == left, key


def test_two_channels_of_visibility_count_the_first(three):
    three["keypoints_visible"] = np.stack([three["keypoints_visible"], np.ones((3, 5))], 2)
    assert len(FilterAnnotations()(three)["bbox"]) == 2


@pytest.mark.parametrize("keep_empty", [True, False])
def test_nobody_left(three, keep_empty):
    after = FilterAnnotations(min_kpt_vis=9, keep_empty=keep_empty)(three)
    assert after is None if keep_empty else len(after["keypoints"]) == 0


def test_nobody_there_from_the_start(three):
    three["keypoints"] = three["keypoints"][:0]
    assert FilterAnnotations()(three) is three


def test_no_test_at_all_is_refused():
    with pytest.raises(ArgumentError, match="at least one of by_box, by_area, by_kpt"):
        FilterAnnotations(by_kpt=False)
