"""From the covariances that a model tells to errors: fitted to labelled pictures.

The width of a peak is what a network makes of its training, not an error in pixels. Three things
are learnt, few enough for some hundred labelled keypoints:

- a factor for each keypoint, by which half of the labels lie within the ellipse that should hold
  half of them (a robust scale: the gross errors of poses, such as swapped sides, do not move it);
- one power of the score, which knows more of an error than the width alone: deviations are
  multiplied by score**power, the power by least squares of the logarithms of distances
  (Harvey 1976, "Estimating regression models with multiplicative heteroscedasticity");
- the distances within which shares of the labels lie. Poses are wrong by more, and more often, than
  a normal distribution allows, so an ellipse of 95 % is larger than 2.4 deviations. These are
  quantiles of labels, as split conformal prediction takes them (Vovk 2005; Lei 2018), and so hold
  for pictures like those they were taken from, whatever the distribution.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from poise.errors import DataError
from poise.geometry.covariances import ellipse_radius, mahalanobis_distances

__all__ = [
    "CovarianceCalibration",
    "CovarianceReport",
    "KeypointErrors",
    "fit_covariances",
    "report_covariances",
]

#: Shares of labels whose distances are kept.
LEVELS = (0.25, 0.5, 0.68, 0.8, 0.9, 0.95, 0.98)
#: Labels without which nothing is fitted, and those a keypoint needs for a factor of its own.
_LEAST, _PER_KEYPOINT = 100, 30
#: Scores below count as this one: a power of 0 has no size.
_LOWEST_SCORE = 0.01
#: Distances below count as this one, in deviations: they say more of the label than of the pose.
_NEAREST = 0.01


class KeypointErrors(NamedTuple):
    """Labelled keypoints of predictions, M of them.

    Attributes:
        offsets: (M, 2) from label to prediction, pixels of the picture.
        covariances: (M, 2, 2) that the model told, pixels².
        scores: (M,).
        kinds: (M,) int, which of the K keypoints.
        people: (M,) int, whose.
        total: K.
    """

    offsets: np.ndarray
    covariances: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray
    people: np.ndarray
    total: int

    def part(self, chosen: np.ndarray) -> KeypointErrors:
        """Those (M,) that are chosen."""
        return KeypointErrors(
            self.offsets[chosen],
            self.covariances[chosen],
            self.scores[chosen],
            self.kinds[chosen],
            self.people[chosen],
            self.total,
        )


@dataclasses.dataclass(frozen=True)
class CovarianceCalibration:
    """How the covariances of a model become those of errors.

    Args:
        factors: (K,) of the deviations, above 0.
        power: of the score, by which deviations are multiplied, 0 or below.
        levels: shares of labels, rising, between 0 and 1.
        distances: within which they lie, in deviations, rising.
    """

    factors: tuple[float, ...]
    power: float = 0.0
    levels: tuple[float, ...] = ()
    distances: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        factors, levels, distances = (
            np.asarray(values, float) for values in (self.factors, self.levels, self.distances)
        )
        fits = (
            factors.ndim == 1
            and len(factors) > 0
            and (factors > 0).all()
            and np.isfinite(factors).all()
            and levels.shape == distances.shape
            and (np.diff(levels, prepend=0, append=1) > 0).all()
            and (np.diff(distances, prepend=0) >= 0).all()
            and np.isfinite(distances).all()
            and -10 < self.power <= 0
        )
        if not fits:
            raise DataError(
                "a calibration of covariances has factors above 0, a power of the score from -10 "
                "to 0, and as many levels, rising between 0 and 1, as distances, rising; got "
                f"{dataclasses.asdict(self)}"
            )

    @classmethod
    def of(cls, content: Any) -> CovarianceCalibration:
        """The calibration of what `dataclasses.asdict` made of one, and JSON of that.

        Raises:
            KeyError, TypeError, AttributeError, DataError: it is something else.
        """
        lists = (tuple(content.get(key, ())) for key in ("levels", "distances"))
        return cls(tuple(content["factors"]), float(content.get("power", 0)), *lists)

    def __call__(self, covariances: Any, scores: Any) -> np.ndarray:
        """Calibrated covariances.

        Args:
            covariances: (..., K, 2, 2), as the model tells them.
            scores: (..., K); those that are no number count as 0.

        Returns:
            (..., K, 2, 2) float32.

        Raises:
            DataError: another number of keypoints.
        """
        values = np.asarray(covariances, np.float64)
        if values.shape[-3] != len(self.factors):
            raise DataError(
                f"the calibration of covariances is for {len(self.factors)} keypoints, the model "
                f"has {values.shape[-3]}; it was fitted to another model"
            )
        return self._scaled(values, scores, np.asarray(self.factors)).astype(np.float32)

    def of_kinds(self, errors: KeypointErrors) -> np.ndarray:
        """Calibrated covariances (M, 2, 2) of labelled keypoints."""
        return self._scaled(errors.covariances, errors.scores, np.array(self.factors)[errors.kinds])

    def _scaled(self, covariances: np.ndarray, scores: Any, factors: np.ndarray) -> np.ndarray:
        scale = factors * _of_scores(scores, self.power)
        return covariances * scale[..., None, None] ** 2

    def radius(self, level: float) -> float:
        """Deviations of the calibrated covariances within which a share of the labels lies.

        Straight between the levels that were fitted, over the radii of a normal distribution;
        beyond the last one, as many times the normal one's as there.

        Raises:
            DataError: a level that is not between 0 and 1.
        """
        normal = ellipse_radius(level)
        if not self.levels:
            return normal
        known = [ellipse_radius(own) for own in self.levels]
        if level > self.levels[-1]:
            return self.distances[-1] * normal / known[-1]
        return float(np.interp(normal, [0, *known], [0, *self.distances]))


class CovarianceReport(NamedTuple):
    """What covariances are worth, on labels that nothing was fitted to.

    Attributes:
        levels: shares of the labels that ellipses should hold.
        raw: (L,) shares that the model's own ellipses hold.
        normal: (L,) those of calibrated covariances, with the radii of a normal distribution.
        fitted: (L,) the same with fitted radii.
        rank_raw: rank correlation (Spearman) of told deviations and errors in pixels.
        rank_score: of falling scores and errors.
        rank_fitted: of calibrated deviations and errors.
        keypoints: number of labels.
    """

    levels: tuple[float, ...]
    raw: tuple[float, ...]
    normal: tuple[float, ...]
    fitted: tuple[float, ...]
    rank_raw: float
    rank_score: float
    rank_fitted: float
    keypoints: int


def fit_covariances(errors: KeypointErrors) -> CovarianceCalibration:
    """The calibration under which half of the labels lie within the ellipses of half of them.

    Raises:
        DataError: too few labels to say anything.
    """
    distances = mahalanobis_distances(errors.offsets, errors.covariances)
    usable = np.isfinite(distances)
    if usable.sum() < _LEAST:
        raise DataError(
            f"covariances are calibrated by at least {_LEAST} labelled keypoints that have some, "
            f"got {int(usable.sum())}"
        )
    distances, scores, kinds = distances[usable], errors.scores[usable], errors.kinds[usable]
    power = _power(distances, scores, kinds, errors.total)
    distances = distances / _of_scores(scores, power)
    half = ellipse_radius(0.5)
    pooled = max(float(np.median(distances)), _NEAREST) / half
    own = [distances[kinds == kind] for kind in range(errors.total)]
    factors = [
        max(float(np.median(part)), _NEAREST) / half if len(part) >= _PER_KEYPOINT else pooled
        for part in own
    ]
    within = distances / np.array(factors)[kinds]
    quantiles = np.quantile(within, LEVELS)
    return CovarianceCalibration(
        tuple(float(f"{factor:.4g}") for factor in factors),
        round(power, 4),
        LEVELS,
        tuple(quantiles.round(4).tolist()),
    )


def report_covariances(
    errors: KeypointErrors, levels: tuple[float, ...] = (0.5, 0.9, 0.95)
) -> CovarianceReport:
    """Coverage and rank correlations, each half of the people by what the other half taught.

    Raises:
        DataError: too few labels to fit anything to a half of them.
    """
    # slow to import, and only needed here
    from scipy.stats import spearmanr

    even = errors.people % 2 == 0
    calibrated = np.full(errors.covariances.shape, np.nan)
    normal, fitted = np.full((2, len(levels), len(even)), np.nan)
    for part in (even, ~even):
        calibration = fit_covariances(errors.part(~part))
        whole = calibration.of_kinds(errors)
        calibrated[part] = whole[part]
        distances = mahalanobis_distances(errors.offsets, whole)[part]
        normal[:, part] = [distances <= ellipse_radius(level) for level in levels]
        fitted[:, part] = [distances <= calibration.radius(level) for level in levels]
    raw = mahalanobis_distances(errors.offsets, errors.covariances)
    known = np.isfinite(raw)
    size = np.linalg.norm(errors.offsets, axis=1)[known]
    rank_raw, rank_score, rank_fitted = (
        float(spearmanr(values[known], size)[0])
        for values in (_deviations(errors.covariances), -errors.scores, _deviations(calibrated))
    )
    return CovarianceReport(
        levels,
        tuple(float((raw[known] <= ellipse_radius(level)).mean()) for level in levels),
        tuple(normal[:, known].mean(1).tolist()),
        tuple(fitted[:, known].mean(1).tolist()),
        rank_raw,
        rank_score,
        rank_fitted,
        int(known.sum()),
    )


def _of_scores(scores: Any, power: float) -> np.ndarray:
    """Factors of deviations of scores of any shape."""
    plain = np.nan_to_num(np.asarray(scores, np.float64), nan=0.0)
    return np.asarray(np.maximum(plain, _LOWEST_SCORE) ** power)


def _power(distances: np.ndarray, scores: np.ndarray, kinds: np.ndarray, count: int) -> float:
    """Slope of the logarithm of distances over that of scores, within keypoints; at most 0."""
    far = np.log(np.maximum(distances, _NEAREST))
    sure = np.log(_of_scores(scores, 1.0))
    members = np.maximum(np.bincount(kinds, minlength=count), 1)
    far, sure = (
        values - (np.bincount(kinds, values, count) / members)[kinds] for values in (far, sure)
    )
    spread = float((sure**2).sum())
    return min(float((far * sure).sum()) / spread, 0.0) if spread > 0 else 0.0


def _deviations(covariances: np.ndarray) -> np.ndarray:
    """Geometric mean (M,) of the deviations along both axes of the ellipses."""
    return np.asarray(np.linalg.det(covariances).clip(0) ** 0.25)
