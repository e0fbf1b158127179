"""Poses of one skeleton as poses of another."""

from __future__ import annotations

import numpy as np
import pytest

from poise.errors import DataError
from poise.structures import InstanceData, convert_instances, convert_keypoints


def test_derived_keypoints_are_weighted_means_with_the_least_score():
    points = np.random.default_rng(0).uniform(0, 99, (3, 17, 2)).astype(np.float32)
    scores = np.linspace(0.1, 0.9, 17, dtype=np.float32)[None].repeat(3, 0)
    moved, sure = convert_keypoints(points, scores, mapping="coco->h36m")
    assert moved.shape == (3, 17, 2)
    assert moved.dtype == sure.dtype == np.float32
    np.testing.assert_allclose(moved[:, 0], points[:, 11:13].mean(1), rtol=1e-6)
    np.testing.assert_allclose(sure[:, 0], scores[:, 11])


def test_missing_keypoints_score_zero_and_are_filled():
    points = np.full((1, 14, 3), 7.0)
    moved, sure = convert_keypoints(points, mapping="aic->coco", fill=np.nan)
    assert np.isnan(moved[0, :5]).all()
    assert sure[0].tolist() == [0.0] * 5 + [1.0] * 12
    assert (moved[0, 5:] == 7).all()


def test_whole_numbers_have_means_with_fractions():
    points = np.arange(34).reshape(1, 17, 2)
    moved, _ = convert_keypoints(points, mapping="coco->h36m")
    assert moved.dtype == np.float64
    assert moved[0, 0].tolist() == [23, 24]
    assert moved[0, 7].tolist() == points[0, [5, 6, 11, 12]].mean(axis=0).tolist()


def test_derived_ones_can_be_left_out():
    moved, sure = convert_keypoints(np.ones((1, 17, 2)), mapping="coco->h36m", derived=False)
    assert sure[0, [0, 7, 8, 9, 10]].tolist() == [0] * 5
    assert moved[0, 0].tolist() == [0, 0]


def test_a_derived_keypoint_of_nan_is_nan_alone():
    points = np.ones((1, 17, 2))
    points[0, 11] = np.nan
    moved, _ = convert_keypoints(points, mapping="coco->h36m")
    assert np.isnan(moved[0, [0, 4, 7]]).all()
    assert np.isfinite(moved[0, [1, 2, 3, 5, 6, *range(8, 17)]]).all()


def test_instances_keep_what_is_not_a_keypoint():
    people = InstanceData(
        keypoints=np.ones((2, 17, 2)),
        keypoint_scores=np.full((2, 17), 0.5),
        bboxes=np.zeros((2, 4)),
        keypoints_visible=np.ones((2, 17)),
    )
    changed = convert_instances(people, "coco", "crowdpose")
    assert changed.keypoints.shape == (2, 14, 2)
    assert changed.keypoint_scores[0].tolist() == [0.5] * 12 + [0.0, 0.5]
    assert changed.keypoints_visible.shape == (2, 14)
    assert changed.bboxes is people.bboxes
    assert people.keypoints.shape == (2, 17, 2)


def test_another_number_of_keypoints_is_an_error():
    for shape in ((1, 14, 2), (2,)):
        with pytest.raises(DataError, match="takes the 17 keypoints of coco") as caught:
            convert_keypoints(np.ones(shape), mapping="coco->h36m")
        assert f"got the shape {shape}" in str(caught.value)
    with pytest.raises(DataError, match=r"have scores \(17,\), not \(16,\)"):
        convert_keypoints(np.ones((17, 2)), np.ones(16), mapping="coco->h36m")
