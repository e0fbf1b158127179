"""Ellipses about keypoints."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.visualization import Palette, draw_covariances

PALETTE = Palette.of(None, 2, point_color=["red", "#0000ff"], order="rgb")


@pytest.fixture
def image():
    return np.full((100, 120, 3), 100, np.uint8)


def drawn(image, covariances, points=((40.0, 50.0), (90.0, 50.0)), **options):
    before = image.copy()
    out = draw_covariances(image, np.array([points]), np.array([covariances]), PALETTE, **options)
    assert out is image
    return (image != before).any(-1)


def test_ellipses_are_as_wide_as_their_deviations_and_as_turned(image):
    slant = np.array([[50.0, 45.0], [45.0, 50.0]])
    changed = drawn(image, [np.diag([225.0, 25.0]), slant], radius=2.0)
    rows, columns = np.nonzero(changed[:, :70])
    assert columns.min() == pytest.approx(40 - 30, abs=2)
    assert columns.max() == pytest.approx(40 + 30, abs=2)
    assert rows.min() == pytest.approx(50 - 10, abs=2)
    assert rows.max() == pytest.approx(50 + 10, abs=2)
    # the second one points down to the right
    assert changed[58, 98]
    assert not changed[42, 98]
    # in the colours of their keypoints, which the picture shines through
    assert image[50, 40, 0] > image[50, 40, 1] > 0
    assert image[50, 90, 2] > image[50, 90, 1] > 0


def test_what_is_none_or_unsure_is_left_out(image):
    some = np.eye(2) * 25
    assert not drawn(image, [np.full((2, 2), np.nan), -some]).any()
    assert not drawn(image, [some, some], scores=np.array([[0.1, np.nan]])).any()
    assert not drawn(image, [some * 1e12, some], points=((40, 50), (np.nan, 50))).any()
    assert drawn(image, [some, some], scores=np.array([[0.1, 0.9]]))[50, 90]
    empty = np.zeros((0, 2, 2))
    draw_covariances(image, empty, np.zeros((0, 2, 2, 2)), PALETTE)


def test_shapes_that_do_not_fit_are_told(image):
    with pytest.raises(DataError, match=r"covariances \(N, K, 2, 2\), got \(1, 2, 2\) and \(1, 2"):
        draw_covariances(image, np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), PALETTE)
