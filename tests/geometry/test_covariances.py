"""Covariances through affine maps, as ellipses and as distances."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import (
    ellipse_outlines,
    ellipse_radius,
    get_warp_matrix,
    mahalanobis_distances,
    scale_covariances,
    warp_covariances,
    warp_points,
)


@pytest.fixture
def covariances(rng):
    roots = rng.normal(size=(5, 3, 2, 2))
    return roots @ roots.swapaxes(-1, -2) + 0.1 * np.eye(2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_warped_covariances_are_those_of_warped_points(rng):
    cov = np.array([[4.0, 1.5], [1.5, 1.0]])
    points = rng.multivariate_normal([30, 40], cov, 200_000)
    matrix = get_warp_matrix((50, 40), (60, 80), 25, (192, 256))
    wanted = np.cov(warp_points(points, matrix).T)
    np.testing.assert_allclose(warp_covariances(cov, matrix), wanted, rtol=0.03)


def test_a_map_and_its_inverse_change_nothing(covariances):
    forward = get_warp_matrix((50, 40), (60, 80), 25, (192, 256))
    back = get_warp_matrix((50, 40), (60, 80), 25, (192, 256), inv=True)
    there = warp_covariances(covariances, forward)
    np.testing.assert_allclose(warp_covariances(there, back), covariances, rtol=1e-4, atol=1e-4)


def test_scaling_is_a_diagonal_map(covariances):
    factors = np.array([3.0, 0.5])
    np.testing.assert_allclose(
        scale_covariances(covariances, factors), warp_covariances(covariances, np.diag(factors))
    )
    each = np.stack([factors, 2 * factors, factors, factors, factors])[:, None]
    scaled = scale_covariances(covariances, each)
    np.testing.assert_allclose(scaled[1], 4 * scale_covariances(covariances[1], factors))


def test_outlines_lie_at_their_radius_and_hold_their_share(covariances, rng):
    centers = rng.normal(size=(5, 3, 2)) * 20
    outlines = ellipse_outlines(centers, covariances, 2.5)
    assert outlines.shape == (5, 3, 32, 2)
    distances = mahalanobis_distances(
        outlines - centers[..., None, :], covariances[..., None, :, :]
    )
    np.testing.assert_allclose(distances, 2.5)
    points = rng.multivariate_normal([0, 0], covariances[0, 0], 100_000)
    for level in (0.5, 0.9, 0.95):
        share = (mahalanobis_distances(points, covariances[0, 0]) <= ellipse_radius(level)).mean()
        assert share == pytest.approx(level, abs=0.01)


def test_what_is_no_covariance_has_no_distance_and_no_outline():
    broken = np.array([np.full((2, 2), np.nan), [[1, 2], [2, 1]], -np.eye(2), np.zeros((2, 2))])
    assert np.isnan(mahalanobis_distances(np.ones((4, 2)), broken)).all()
    outlines = ellipse_outlines(np.zeros((3, 2)), broken[:3], 1.0)
    assert np.isnan(outlines).any((1, 2)).all()


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_levels_are_shares(level):
    with pytest.raises(DataError, match=r"share between 0 and 1, such as 0\.95; got"):
        ellipse_radius(level)
