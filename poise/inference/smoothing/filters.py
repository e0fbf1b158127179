"""Filters of keypoints over time: what a joint most likely was, given its neighbours in time.

Each looks at a `Window`: several frames of several people side by side. `lag` frames of it lie in
the future of the one that is wanted, so that is how many frames a live picture comes late.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import correct_motion, predict_motion, smooth_motion, start_motion

__all__ = ["Filter", "Gaussian", "Kalman", "LocalPolynomial", "OneEuro", "SavitzkyGolay", "Window"]


@dataclasses.dataclass(frozen=True)
class Window:
    """Frames of N people around the one that is wanted.

    Attributes:
        times: (T,) seconds, rising.
        values: (T, N, K, D) in any space; NaN where nothing is known.
        weights: (T, N, K) trust in 0..1; 0 where nothing is known.
        at: index of the frame that is wanted.
        ids: (N,) of the people.
        sizes: (N,) of the people, in the unit of the values.
        frame_time: seconds from one frame to the next.
    """

    times: Array
    values: Array
    weights: Array
    at: int
    ids: Array
    sizes: Array
    frame_time: float


class Filter(Protocol):
    """Takes windows in the order of time, one for each frame."""

    #: frames before and after the wanted one that it looks at
    before: int
    lag: int
    #: frames that must be there before the first result
    least: int

    def __call__(self, window: Window) -> Array:
        """(N, K, D) values of the wanted frame; NaN where nothing is known."""


class OneEuro:
    """The 1€ filter: still things are held still, moving ones are let go (Casiez et al. 2012).

    An exponential mean whose cutoff frequency rises with the speed. Speeds are measured in body
    sizes a second, so near and far people are treated alike. No frames of lag; a joint at a
    steady speed comes out behind by the time constant of the cutoff frequency at that speed.
    Values that are known count alike, whatever their weights: most of its error is that it comes
    behind, and a mean that waits for surer values comes behind farther.

    Args:
        min_cutoff: Hz of something at rest: lower is calmer.
        beta: Hz by which the cutoff rises per body size a second: higher is faster.
        d_cutoff: Hz for the speed itself.
        unit: "seconds", or "frames": one frame counts as one unit of time, and pixels are
            not divided by the body's size, as in MMPose's `OneEuroFilter`.
    """

    before, lag, least = 0, 0, 1

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 3.0,
        d_cutoff: float = 1.0,
        *,
        unit: str = "seconds",
    ) -> None:
        if min_cutoff <= 0 or d_cutoff <= 0 or beta < 0 or unit not in ("seconds", "frames"):
            raise DataError(
                "1€ needs min_cutoff > 0, d_cutoff > 0, beta >= 0 and a unit 'seconds' or "
                f"'frames', got {min_cutoff}, {d_cutoff}, {beta} and '{unit}'"
            )
        self.min_cutoff, self.beta, self.d_cutoff, self.unit = min_cutoff, beta, d_cutoff, unit
        self._ids: Array = np.zeros(0, np.int64)
        self._past: Array | None = None

    def __call__(self, window: Window) -> Array:
        """(N, K, D) filtered; a joint without a value keeps the last one it had."""
        new = window.values[window.at]
        known = (window.weights[window.at] > 0)[..., None] & np.isfinite(new)
        now = window.times[window.at]
        scale = window.sizes[:, None, None]
        if self.unit == "frames":
            now, scale = now / window.frame_time, np.ones_like(scale)
        # value, speed, time of the last value; NaN before the first
        past = self._of(window.ids, (*new.shape, 3))
        before, speed_before, then = np.moveaxis(past, -1, 0)
        step = np.where(np.isfinite(then), now - then, 1.0)
        step = np.maximum(step, 1e-9)
        first = known & ~np.isfinite(before)
        speed = np.where(first, 0.0, (new - before) / step / scale)
        blend = _blend(self.d_cutoff, step)
        speed = np.where(first, 0.0, blend * speed + (1 - blend) * np.nan_to_num(speed_before))
        blend = _blend(self.min_cutoff + self.beta * np.abs(speed), step)
        value = np.where(first, new, blend * new + (1 - blend) * before)
        value = np.where(known, value, before)
        speed = np.where(known, speed, speed_before)
        then = np.where(known, now, then)
        self._keep(window.ids, np.stack((value, speed, then), -1))
        return value

    def _of(self, ids: Array, shape: tuple[int, ...]) -> Array:
        out = np.full(shape, np.nan)
        if self._past is not None:
            _, here, there = np.intersect1d(ids, self._ids, return_indices=True)
            out[here] = self._past[there]
        return out

    def _keep(self, ids: Array, state: Array) -> None:
        """Remember these people, and those who are away."""
        if self._past is None:
            self._ids, self._past = ids, state
            return
        away = ~np.isin(self._ids, ids)
        # more people than this have not been here for long
        self._ids = np.concatenate((ids, self._ids[away]))[: len(ids) + 256]
        self._past = np.concatenate((state, self._past[away]))[: len(ids) + 256]


class LocalPolynomial:
    """A polynomial fitted to the frames around each frame, by weighted least squares.

    Args:
        window: frames that are looked at, odd; the lag is half of it.
        degree: of the polynomial.
        sigma: frames; nearer frames count more, by a normal curve of this width. None: all
            count the same.
    """

    def __init__(self, window: int, degree: int, sigma: float | None = None) -> None:
        if window < 1 or window % 2 == 0 or not 0 <= degree < window:
            raise DataError(
                f"the window must be odd and longer than the degree, got {window} frames and the "
                f"degree {degree}"
            )
        if sigma is not None and sigma <= 0:
            raise DataError(f"sigma must be above 0 frames, got {sigma}")
        self.window, self.degree, self.sigma = window, degree, sigma
        self.before, self.lag, self.least = window - 1, window // 2, window

    def __call__(self, window: Window) -> Array:
        """(N, K, D): the polynomial at the wanted frame.

        At the ends of a video the window does not reach beyond, but stays within it whole.
        """
        low = int(np.clip(window.at - self.lag, 0, max(len(window.times) - self.window, 0)))
        part = slice(low, low + self.window)
        offset = (window.times[part] - window.times[window.at]) / window.frame_time
        weights = window.weights[part]
        if self.sigma is not None:
            weights = weights * np.exp(-0.5 * (offset / self.sigma) ** 2)[:, None, None]
        values = np.nan_to_num(window.values[part])
        known = (weights > 0).sum(0)
        # powers of numbers up to 1 keep the equations well conditioned
        powers = (offset / max(self.window, 2) * 2)[:, None] ** np.arange(self.degree + 1)
        left = np.einsum("tnk,ti,tj->nkij", weights, powers, powers)
        right = np.einsum("tnk,ti,tnkd->nkid", weights, powers, values)
        total = np.maximum(left[..., 0, 0], 1e-12)[..., None]
        mean = right[..., 0, :] / total
        enough = known > self.degree
        left = np.where(enough[..., None, None], left, np.eye(self.degree + 1))
        fitted = np.linalg.solve(left, right)[..., 0, :]
        return np.where((known > 0)[..., None], np.where(enough[..., None], fitted, mean), np.nan)


class SavitzkyGolay(LocalPolynomial):
    """Savitzky-Golay: keeps the height of peaks. Equal to SciPy's where nothing is missing.

    Args:
        window: frames, odd; half of it is the lag.
        degree: of the polynomial.
    """

    def __init__(self, window: int = 11, degree: int = 2) -> None:
        super().__init__(window, degree)


class Gaussian(LocalPolynomial):
    """A mean weighted by a normal curve: the calmest, and it flattens peaks.

    Args:
        window: frames, odd; half of it is the lag.
        sigma: width of the curve, frames.
    """

    def __init__(self, window: int = 11, sigma: float = 2.0) -> None:
        super().__init__(window, 0, sigma)


class Kalman:
    """A Kalman filter of constant velocity, with a look ahead where a lag is given.

    Args:
        lag: frames of the future that are used (Rauch-Tung-Striebel).
        acceleration: how fast speeds change: spectral density, in body sizes² / s³.
        noise: of a sure keypoint, in body sizes; unsure ones count as noisier.
        history: frames of the past that are used.
    """

    def __init__(
        self,
        lag: int = 0,
        *,
        acceleration: float = 1.0,
        noise: float = 0.01,
        history: int = 20,
    ) -> None:
        if lag < 0 or history < 1 or acceleration <= 0 or noise <= 0:
            raise DataError(
                "Kalman needs lag >= 0, history >= 1, acceleration > 0 and noise > 0, got "
                f"{lag}, {history}, {acceleration} and {noise}"
            )
        self.lag, self.before, self.least = lag, history, 1
        self.acceleration, self.noise = acceleration, noise

    def __call__(self, window: Window) -> Array:
        """(N, K, D): the position of the wanted frame; predicted where it has no value."""
        scale = window.sizes[None, :, None, None]
        values = np.where(window.weights[..., None] > 0, window.values / scale, np.nan)
        variance = self.noise**2 / np.clip(window.weights, 0.05, 1)[..., None]
        steps = np.diff(window.times)
        # the first value that is known stands for those before it
        first = np.isfinite(values).argmax(0)[None]
        begin = np.take_along_axis(values, first, 0)[0]
        mean, cov = start_motion(np.nan_to_num(begin), self.noise**2, 1.0)
        means, covs = [mean], [cov]
        for t in range(1, len(values)):
            mean, cov = predict_motion(mean, cov, steps[t - 1], self.acceleration)
            mean, cov = correct_motion(mean, cov, values[t], variance[t])
            means.append(mean)
            covs.append(cov)
        at = window.at
        after = smooth_motion(
            np.array(means[at:]), np.array(covs[at:]), steps[at:], self.acceleration
        )
        return np.where(np.isfinite(begin), after[0, ..., 0] * scale[0], np.nan)


def _blend(cutoff: Any, step: Array) -> Array:
    """Weight of the new value in an exponential mean with a cutoff frequency."""
    turn = 2 * np.pi * cutoff * step
    return np.asarray(turn / (turn + 1))
