from __future__ import annotations

import numpy as np
import pytest

from poise.errors import DataError
from poise.transforms import GetBBoxCenterScale, RandomBBoxTransform, RandomHalfBody


def with_box(results):
    return GetBBoxCenterScale()(results)


def test_center_and_scale_of_a_box():
    results = GetBBoxCenterScale(padding=1.5)({"bbox": np.array([[10.0, 20, 30, 60]])})
    assert results["bbox_center"].tolist() == [[20, 40]]
    assert results["bbox_scale"].tolist() == [[30, 60]]


def test_an_existing_scale_is_padded_with_a_warning():
    given = {"bbox_center": np.ones((1, 2)), "bbox_scale": np.ones((1, 2))}
    with pytest.warns(UserWarning, match="there already"):
        results = GetBBoxCenterScale(padding=2.0)(given)
    assert results["bbox_scale"].tolist() == [[2, 2]]


@pytest.mark.parametrize(("preference", "half"), [(1.0, [0, 1, 2]), (0.0, [3, 4])])
def test_half_body_frames_the_chosen_half(person, preference, half):
    step = RandomHalfBody(
        min_total_keypoints=3, min_lower_keypoints=2, prob=1.0, upper_prioritized_prob=preference
    )
    results = step(with_box(person()))
    points = results["keypoints"][0, half]
    np.testing.assert_allclose(results["bbox_center"][0], points.mean(0), rtol=1e-6)
    extent = points.max(0) - points.min(0)
    np.testing.assert_allclose(results["bbox_scale"][0], extent * 1.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ([1, 1, 1, 1, 0], [0, 1, 2]),  # lower half too small
        ([1, 0, 0, 1, 1], [3, 4]),  # upper half too small
        ([1, 0, 0, 1, 0], None),  # both too small
        ([1, 0, 1, 1, 1], [0, 2]),  # hidden ones do not count
    ],
)
def test_half_body_needs_enough_keypoints(visible, expected):
    step = RandomHalfBody(
        min_total_keypoints=2, min_lower_keypoints=2, prob=1.0, upper_prioritized_prob=1.0
    )
    (chosen,) = step._random_select_half_body(np.array([visible]), [0, 1, 2], [3, 4])
    assert (chosen if chosen is None else chosen.tolist()) == expected


def test_half_body_leaves_people_with_few_keypoints_alone(person):
    results = with_box(person(2))
    before = results["bbox_scale"]
    assert RandomHalfBody(prob=1.0)(results)["bbox_scale"] is before


def test_half_body_reads_the_first_channel_of_visibility(person):
    results = with_box(person())
    results["keypoints_visible"] = np.stack([np.zeros((1, 5)), np.ones((1, 5))], 2)
    before = results["bbox_scale"].copy()
    after = RandomHalfBody(min_total_keypoints=1, prob=1.0)(results)["bbox_scale"]
    np.testing.assert_array_equal(before, after)


def test_half_body_ids_outside_of_the_keypoints_are_explained(person):
    step = RandomHalfBody(min_total_keypoints=1, prob=1.0)
    with pytest.raises(DataError, match="below the number of keypoints 5, got 12"):
        step(with_box(person(lower_body_ids=[3, 12])))


def test_bbox_transform_applies_what_was_drawn(person, monkeypatch):
    step = RandomBBoxTransform()
    drawn = (np.array([[0.1, -0.2]]), np.array([[1.5]]), np.array([30.0]))
    monkeypatch.setattr(step, "_get_transform_params", lambda n: drawn)
    before = with_box(person())
    center, scale = before["bbox_center"], before["bbox_scale"]
    after = step(dict(before))
    np.testing.assert_allclose(after["bbox_center"], center + [[0.1, -0.2]] * scale)
    np.testing.assert_allclose(after["bbox_scale"], scale * 1.5)
    assert after["bbox_rotation"].tolist() == [30.0]


def test_bbox_transform_stays_within_its_factors():
    step = RandomBBoxTransform(shift_factor=0.2, scale_factor=(0.7, 1.1), rotate_factor=45)
    shift, scale, rotation = step._get_transform_params(2000)
    assert np.abs(shift).max() <= 0.2
    assert scale.min() >= 0.7
    assert scale.max() <= 1.1
    assert np.abs(rotation).max() <= 45
    assert {a.dtype for a in (shift, scale, rotation)} == {np.dtype("f4")}
    # default probabilities
    assert (shift[:, 0] != 0).mean() == pytest.approx(0.3, abs=0.05)
    assert (rotation != 0).mean() == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("off", [{"shift_prob": 0, "scale_prob": 0, "rotate_prob": 0}])
def test_bbox_transform_with_probability_zero_changes_nothing(person, off):
    before = with_box(person(3))
    after = RandomBBoxTransform(**off)(dict(before))
    np.testing.assert_array_equal(after["bbox_center"], before["bbox_center"])
    np.testing.assert_array_equal(after["bbox_scale"], before["bbox_scale"])
    assert after["bbox_rotation"].tolist() == [0, 0, 0]
