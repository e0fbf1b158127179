"""Angles between vectors, and over time."""

import numpy as np
import pytest
from scipy.signal import savgol_filter

from poise.geometry import (
    angle_between,
    angle_rates,
    body_axes,
    continuous_angles,
    turn_between,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("degrees", [0, 1e-6, 30, 90, 179.999999, 180])
def test_angles_are_exact_also_where_cosines_are_flat(degrees):
    a = np.radians(degrees)
    one, other = np.array([2.0, 0, 0]), 5 * np.array([np.cos(a), np.sin(a), 0])
    assert angle_between(one, other) == pytest.approx(degrees, abs=1e-12)
    assert turn_between(one[:2], other[:2]) == pytest.approx(degrees, abs=1e-12)
    back = turn_between(other[:2], one[:2])
    assert abs(back) == pytest.approx(degrees, abs=1e-12)
    assert back <= 0 or degrees == 180


def test_what_has_no_length_has_no_angle():
    nothing, some = np.zeros((1, 2)), np.ones((1, 2))
    assert np.isnan(angle_between(nothing, some)).all()
    assert np.isnan(turn_between(some, nothing)).all()
    assert np.isnan(turn_between(np.full((1, 2), np.nan), some)).all()


@pytest.mark.parametrize("keep", ["right", "up"])
def test_axes_of_bodies_are_square_and_right_handed(keep):
    right, up = RNG.normal(size=(2, 10, 3))
    axes = body_axes(right, up, keep=keep)
    np.testing.assert_allclose(
        axes @ axes.swapaxes(-1, -2), np.tile(np.eye(3), (10, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(axes), 1)
    held, row = (right, 2) if keep == "right" else (up, 1)
    np.testing.assert_allclose(angle_between(axes[:, row], held), 0, atol=1e-6)
    assert (np.einsum("td,td->t", axes[:, 3 - row], up if keep == "right" else right) > 0).all()


def test_angles_go_on_across_gaps_and_begin_near_nought():
    true = np.linspace(-500, 900, 300)[:, None] * [1, -1]
    wrapped = (true + 180) % 360 - 180
    wrapped[:5] = wrapped[100:110, 0] = np.nan
    found = continuous_angles(np.column_stack((wrapped, np.full(300, np.nan))))
    known = np.isfinite(wrapped)
    assert (np.isfinite(found[:, :2]) == known).all()
    assert np.isnan(found[:, 2]).all()
    for column in (0, 1):
        off = (found[:, column] - true[:, column])[known[:, column]]
        assert np.ptp(off) < 1e-9
        assert off[0] % 360 == pytest.approx(0, abs=1e-9) or off[0] % 360 == pytest.approx(360)
    assert (np.abs(np.nanmedian(found[:, :2], axis=0)) <= 180).all()


def test_rates_are_those_of_savitzky_and_golay():
    angles = RNG.normal(size=(5000, 3)).cumsum(0)
    found = angle_rates(angles, np.arange(5000) / 30, window=7)
    np.testing.assert_allclose(
        found, savgol_filter(angles, 7, 2, deriv=1, delta=1 / 30, axis=0), atol=1e-8
    )


def test_rates_take_uneven_times_and_gaps():
    times = np.cumsum(RNG.uniform(0.01, 0.05, 400))
    angles = (3 * times**2 - 40 * times)[:, None].copy()
    angles[50:60] = np.nan
    found = angle_rates(angles, times, window=9)
    known = np.isfinite(angles)
    assert (np.isfinite(found) == known).all()
    np.testing.assert_allclose(found[known], (6 * times - 40)[:, None][known], atol=1e-6)
    assert np.isnan(angle_rates(angles[:2], times[:2], window=9)).all()
    assert np.isnan(angle_rates(np.array([[1.0], [np.nan], [2]]), times[:3], window=3)).all()
