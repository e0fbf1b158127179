"""Filters of position and speed against the textbook's matrices."""

import numpy as np

from poise.geometry import correct_motion, predict_motion, smooth_motion, start_motion


def filtered_with_matrices(measured, steps, variance, noise, speed_variance):
    """The same by full matrices, one coordinate at a time."""
    x, P = np.array([measured[0], 0.0]), np.diag([variance, speed_variance])
    means, covs, ahead = [x], [P], []
    for z, dt in zip(measured[1:], steps, strict=True):
        F = np.array([[1, dt], [0, 1]])
        Q = noise * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        x, P = F @ x, F @ P @ F.T + Q
        ahead.append((F, x, P))
        if np.isfinite(z):
            K = P[:, 0] / (P[0, 0] + variance)
            x, P = x + K * (z - x[0]), P - np.outer(K, P[0])
        means.append(x)
        covs.append(P)
    smooth = [means[-1]]
    for t in range(len(means) - 2, -1, -1):
        F, x1, P1 = ahead[t]
        C = covs[t] @ F.T @ np.linalg.inv(P1)
        smooth.append(means[t] + C @ (smooth[-1] - x1))
    return np.array(means), np.array(smooth[::-1])


def test_many_coordinates_at_once_equal_the_matrix_form_with_gaps_and_uneven_steps():
    rng = np.random.default_rng(0)
    series = rng.normal(size=(12, 3, 2)).cumsum(0)
    series[4:6, 1, 0] = np.nan
    steps = rng.uniform(0.2, 2, 11)
    mean, cov = start_motion(series[0], 0.3, 4.0)
    means, covs = [mean], [cov]
    for z, step in zip(series[1:], steps, strict=True):
        mean, cov = correct_motion(*predict_motion(mean, cov, step, 0.7), z, 0.3)
        means.append(mean)
        covs.append(cov)
    smooth = smooth_motion(np.array(means), np.array(covs), steps, 0.7)
    for n in range(3):
        for d in range(2):
            expected = filtered_with_matrices(series[:, n, d], steps, 0.3, 0.7, 4.0)
            np.testing.assert_allclose(np.array(means)[:, n, d], expected[0], atol=1e-9)
            np.testing.assert_allclose(smooth[:, n, d], expected[1], atol=1e-9)
