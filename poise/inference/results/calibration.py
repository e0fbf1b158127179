"""How often a keypoint of some score is right, and by how much, learnt from labelled pictures.

A keypoint counts as right where its object keypoint similarity with the label is at least 0.5:
nearer than 1.18 of the deviation that COCO gives labellers of that joint. The map from scores to
chances is the rising one that fits best (isotonic regression, Zadrozny and Elkan 2002), with few
knots, so it reorders nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import DataError, FileMissingError
from poise.geometry.boxes import AREA_PER_BOX
from poise.inference.results.covariances import LEVELS, CovarianceCalibration
from poise.inference.results.labelled import labelled_people
from poise.structures import InstanceData

__all__ = [
    "FITTED",
    "Calibration",
    "calibrate_covariances",
    "calibration_error",
    "fit_calibration",
    "held_out_error",
    "rated_keypoints",
]

#: Similarity from which on a keypoint is right.
LEAST_SIMILARITY = 0.5
#: Knots of a map, keypoints that each needs, and keypoints without which nothing is fitted.
_KNOTS, _PER_KNOT, _LEAST = 12, 50, 100


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A rising map from scores to chances, straight between its knots.

    Args:
        scores: of the knots, rising.
        chances: 0..1 that a keypoint of such a score is right, rising.
        source: what it was learnt from, in words.
        covariances: what makes the covariances of the model those of errors; None: not known.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]
    source: str = ""
    covariances: CovarianceCalibration | None = None

    def __post_init__(self) -> None:
        scores, chances = np.asarray(self.scores, float), np.asarray(self.chances, float)
        fits = scores.ndim == 1 and scores.shape == chances.shape and len(scores) > 0
        # not finite numbers fail both comparisons
        if not (
            fits
            and (np.diff(scores) > 0).all()
            and (np.diff(chances, prepend=0, append=1) >= 0).all()
            and np.isfinite(scores).all()
        ):
            raise DataError(
                "a calibration has as many scores as chances, the scores rising and the chances "
                f"rising from 0 to 1; got {list(self.scores)} and {list(self.chances)}"
            )

    def __call__(self, scores: Any) -> np.ndarray:
        """Chances of scores of any shape, float32; NaN counts as 0."""
        plain = np.nan_to_num(np.asarray(scores, float), nan=0.0)
        return np.interp(plain, self.scores, self.chances).astype(np.float32)

    def plain(self) -> dict[str, Any]:
        """Values that JSON can hold, for `of`."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Calibration:
        """The one that `plain` gave.

        Raises:
            DataError: numbers that are no calibration.
            KeyError, TypeError, AttributeError, ValueError: something else.
        """
        spread = content.get("covariances")
        return cls(
            tuple(content["scores"]),
            tuple(content["chances"]),
            str(content.get("source", "")),
            None if spread is None else CovarianceCalibration.of(spread),
        )

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(self.plain(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a file that `save` wrote.

        Raises:
            FileMissingError: there is no such file.
            DataError: it is another kind of file.
        """
        try:
            return cls.of(json.loads(Path(path).read_text(encoding="utf-8-sig")))
        except FileNotFoundError as error:
            raise FileMissingError(f"there is no calibration file {path}") from error
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise DataError(
                f"{path} is no calibration, as `poise analyze calibration` writes it: {error}"
            ) from error


def calibrate_covariances(instances: InstanceData, calibration: Calibration) -> None:
    """Make the `keypoint_covariances` of people those of errors, in place, where that is known.

    Raises:
        DataError: the calibration is for another number of keypoints.
    """
    known = calibration.covariances
    if known is not None and "keypoint_covariances" in instances:
        spread = known(instances.keypoint_covariances, instances.keypoint_scores)
        instances.set_field(spread, "keypoint_covariances")


_LSPET = (
    "1,000 people of LSPET's validation set, given boxes (benchmarks/calibration.py and "
    "benchmarks/covariances.py); LSPET has no eyes, ears and noses, whose covariances take what "
    "the others have in common"
)
#: Model inside the package -> its map.
FITTED: Mapping[str, Calibration] = {
    "movenet-lightning": Calibration(
        (0.0, 0.1075, 0.208, 0.2862, 0.3535, 0.4169, 0.4741, 0.5298, 0.5833, 0.6349, 0.6895, 0.832),
        (0.0, 0.23, 0.4817, 0.6247, 0.6816, 0.7755, 0.7869, 0.8488, 0.8717, 0.8832, 0.9084, 0.9301),
        _LSPET,
        CovarianceCalibration(
            (0.6238,) * 5
            + (0.6741, 0.6881, 0.5193, 0.496, 0.5291, 0.5131)
            + (0.7964, 0.812, 0.6236, 0.5957, 0.6398, 0.6018),
            -0.32,
            LEVELS,
            (0.6832, 1.1774, 1.7488, 2.6112, 5.5499, 10.8091, 18.2189),
        ),
    ),
    "movenet-thunder": Calibration(
        (0.0, 0.1094, 0.237, 0.3375, 0.4177, 0.5496, 0.6067, 0.6586, 0.7064, 0.7548, 0.8067),
        (0.0, 0.3398, 0.5858, 0.6911, 0.795, 0.8603, 0.8729, 0.8912, 0.9107, 0.9244, 0.9404),
        _LSPET,
        CovarianceCalibration(
            (0.6415,) * 5
            + (0.7464, 0.6598, 0.5525, 0.4953, 0.5635, 0.5357)
            + (0.9435, 0.941, 0.646, 0.5801, 0.5977, 0.5988),
            -0.3992,
            LEVELS,
            (0.6746, 1.1774, 1.7529, 2.6109, 6.1412, 13.5173, 22.8052),
        ),
    ),
}


def rated_keypoints(
    samples: Iterable[Mapping[str, Any]], sigmas: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the labelled keypoints of predictions, and which of them are right.

    Args:
        samples: as for `labelled_people`.
        sigmas: (K,) deviations of the keypoints' labels, of the schema.

    Returns:
        scores (M,) float and right (M,) bool.

    Raises:
        DataError: a sample of several people, or one without labels; unknown deviations.
    """
    if sigmas is None or not len(sigmas):
        raise DataError(
            "the schema of these keypoints has no sigmas, the deviations of their labels, so "
            "nobody knows how near is right; give the data set a metainfo with sigmas"
        )
    found, truth, labelled, scores, areas = [], [], [], [], []
    for person, label, seen in labelled_people(samples):
        found.append(person["keypoints"][0][..., :2])
        scores.append(person["keypoint_scores"][0])
        truth.append(label["keypoints"][0][..., :2])
        labelled.append(seen)
        x1, y1, x2, y2 = np.asarray(label["bboxes"][0], float)
        areas.append((x2 - x1) * (y2 - y1) * AREA_PER_BOX)
    if not found:
        return np.zeros(0), np.zeros(0, bool)
    known = np.array(labelled)
    distance = ((np.array(found, float) - np.array(truth, float)) ** 2).sum(-1)
    spread = 2 * np.maximum(np.array(areas), 1.0)[:, None] * (2 * np.asarray(sigmas, float)) ** 2
    right = np.exp(-distance / spread) >= LEAST_SIMILARITY
    return np.array(scores, float)[known], right[known]


def fit_calibration(scores: np.ndarray, right: np.ndarray, source: str = "") -> Calibration:
    """The map under which keypoints (M,) are as often right as it says.

    Args:
        scores: (M,) as the model gives them; those that are not finite are left out.
        right: (M,) bool.
        source: what they come from, in words.

    Raises:
        DataError: too few keypoints to say anything.
    """
    # slow to import, and only needed here
    from scipy.optimize import isotonic_regression

    usable = np.isfinite(scores)
    scores, right = np.asarray(scores, float)[usable], np.asarray(right, float)[usable]
    if len(scores) < _LEAST:
        raise DataError(
            f"a calibration needs at least {_LEAST} labelled keypoints, got {len(scores)}"
        )
    order = np.argsort(scores, kind="stable")
    groups = np.array_split(order, max(2, min(_KNOTS, len(scores) // _PER_KNOT)))
    knots = np.array([scores[group].mean() for group in groups])
    means = np.array([right[group].mean() for group in groups])
    # groups of scores that are equal as written are one knot
    knots, first = np.unique(knots.round(4), return_inverse=True)
    counts = np.bincount(first)
    chances = isotonic_regression(np.bincount(first, means) / counts, weights=counts).x
    if knots[0] > 0:
        # below what was seen, scores of 0 are keypoints that are not there
        knots, chances = np.append(0, knots), np.append(0, chances)
    return Calibration(tuple(knots.tolist()), tuple(chances.clip(0, 1).round(4).tolist()), source)


def calibration_error(chances: np.ndarray, right: np.ndarray, bins: int = 12) -> float:
    """Mean distance of chances (M,) from how often (M,) were right, over bins of equal counts.

    The expected calibration error (Naeini 2015); NaN of no keypoints.
    """
    if len(chances) == 0:
        return float("nan")
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    off = [abs(chances[part].mean() - right[part].mean()) * len(part) for part in parts]
    return float(sum(off) / len(chances))


def held_out_error(scores: np.ndarray, right: np.ndarray) -> float:
    """Calibration error of each half of keypoints (M,) by the map of the other; NaN of few."""
    if len(scores) < 2 * _LEAST:
        return float("nan")
    even = np.arange(len(scores)) % 2 == 0
    errors = [
        calibration_error(fit_calibration(scores[~part], right[~part])(scores[part]), right[part])
        for part in (even, ~even)
    ]
    return sum(errors) / 2
