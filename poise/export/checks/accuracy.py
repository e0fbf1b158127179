"""A model and its file on the same real pictures: figures of both, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poise.errors import DataError
from poise.export.checks.agreement import nearest_places
from poise.export.checks.looking import BOXES, POSES, Looker, Seen, Things
from poise.export.checks.pictures import Pictures
from poise.export.checks.scoring import box_figures, figures_of, main_figure
from poise.geometry.boxes import AREA_PER_BOX

__all__ = ["LEAST_LIKENESS", "MAX_DROP", "MAX_DROP_INT8", "Accuracy", "Apart", "Trial"]

Array = np.ndarray

#: Points of the figure that a file may lose; with weights and values of 8 bits.
MAX_DROP, MAX_DROP_INT8 = 0.3, 1.0
#: Least likeness of an INT8 file's poses with the model's where nobody knows the right ones.
LEAST_LIKENESS = 0.9
#: Deviation of keypoints whose schema has none, as in `poise.training.own_data`.
_ASSUMED_SIGMA = 0.05


@dataclass(frozen=True)
class Apart:
    """Distances between places by the model and by the file, pixels of the pictures.

    Attributes:
        median, p95, largest: over people.
    """

    median: float
    p95: float
    largest: float

    @classmethod
    def of(cls, distances: Array) -> Apart:
        """Of (M,) distances, infinite ones left out; NaN of none."""
        distances = distances[np.isfinite(distances)]
        if not len(distances):
            return cls(np.nan, np.nan, np.nan)
        return cls(*(float(np.quantile(distances, q)) for q in (0.5, 0.95, 1.0)))


@dataclass(frozen=True)
class Accuracy:
    """What a trial on real pictures gave.

    Attributes:
        pictures, people: how many were looked at, and how many the model found in them.
        figures: figure of the metric -> of the model and of the file; empty without labels.
        main: the figure that counts.
        sign: 1 where a larger one is better, -1 where a smaller one is.
        apart: over the keypoints that are labelled, else over those that the model is sure of.
        keypoints: the same of each keypoint, by name.
        likeness: mean object keypoint similarity of the file's poses with the model's, of
            detectors of the corners of boxes; 0 for people whom the file does not find.
        things: what they are: poses, or a detector's boxes.
    """

    pictures: int
    people: int
    apart: Apart
    keypoints: Mapping[str, Apart]
    likeness: float
    figures: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    main: str = ""
    sign: int = 1
    things: Things = POSES

    @property
    def drop(self) -> float:
        """Points of the figure that the file loses; negative where it gains."""
        if not self.main:
            return 0.0
        model, file = self.figures[self.main]
        return 100 * self.sign * (model - file)

    def refusal(self, max_drop: float | None, *, exact: bool) -> str | None:
        """Why the file is of no use; None where it is.

        Args:
            max_drop: points that it may lose; None: any number.
            exact: whether it should say just what the model says, so that `LEAST_LIKENESS` does
                not count.
        """
        if max_drop is None:
            return None
        if self.main:
            if self.drop <= max_drop:
                return None
            model, file = (100 * value for value in self.figures[self.main])
            return (
                f"the file loses {self.drop:.2f} points of {self.main} on {self.pictures} "
                f"pictures ({model:.2f} -> {file:.2f}), {max_drop:g} are allowed (--max-drop)"
            )
        if exact or self.likeness >= LEAST_LIKENESS:
            return None
        return (
            f"the file's {self.things.name} are not the model's: their likeness (OKS) is "
            f"{self.likeness:.3f} on {self.pictures} pictures, expected at least {LEAST_LIKENESS:g}"
        )


class Trial:
    """What a model finds in pictures, to which its files are compared.

    Args:
        model: it.
        pictures: with people's places where those are given to the model; where nobody knows
            them the model's own are given to the files.
        metrics: configs of metrics, for labelled pictures.

    Raises:
        DataError: nobody was found, or labels of other keypoints.
    """

    def __init__(self, model: Looker, pictures: Pictures, metrics: Any = None) -> None:
        self._model, self._metrics = model, metrics
        mode = "topdown" if model.takes_boxes else "bottomup"
        own = getattr(pictures.dataset, "data_mode", mode)
        if own != mode and metrics:
            raise DataError(
                f"the data set is one of the mode '{own}', and this model takes '{mode}'; open it "
                f"with mode='{mode}'"
            )
        self._expected = model(pictures)
        if model.takes_boxes and pictures.boxes is None:
            pictures = pictures.with_boxes([seen.boxes for seen in self._expected])
        self.pictures = pictures
        self._people = sum(len(seen.places) for seen in self._expected)
        if not self._people:
            raise DataError(
                f"the model finds nobody in {len(pictures)} pictures, so nothing can be compared; "
                "give pictures of what it looks for"
            )
        self._main, self._sign = "", 1
        self._figures = self._figures_of(self._expected)
        if self._figures:
            self._main, self._sign = main_figure(self._figures)

    def _figures_of(self, seen: Sequence[Seen]) -> Mapping[str, float]:
        """Figures of what was found; none without labels."""
        if not self.pictures.labelled:
            return {}
        if hasattr(self._model, "classes"):
            return box_figures(self._model.classes, seen, self.pictures)
        if not self._metrics:
            return {}
        return figures_of(self._model, seen, self.pictures, self._metrics)

    def __call__(self, file: Looker) -> Accuracy:
        """How a file compares."""
        model, found = self._model, file(self.pictures)
        pairs = zip(self._expected, found, strict=True)
        distances = np.concatenate([nearest_places(e.places, f.places)[0] for e, f in pairs])
        counts = _counted(model, self._expected, self.pictures)
        areas = np.concatenate([_areas(seen) for seen in self._expected])
        figures = {}
        if self._main:
            own = self._figures_of(found)
            figures = {name: (value, own[name]) for name, value in self._figures.items()}
        return Accuracy(
            len(self.pictures),
            self._people,
            Apart.of(distances[counts]),
            {
                name: Apart.of(own[mask])
                for name, own, mask in zip(model.names, distances.T, counts.T, strict=True)
            },
            _likeness(distances, counts, areas, model.sigmas),
            figures,
            self._main,
            self._sign,
            BOXES if hasattr(model, "classes") else POSES,
        )


def _counted(model: Looker, seen: Sequence[Seen], pictures: Pictures) -> Array:
    """(N, K) bool: the keypoints that tell something."""
    sure = np.concatenate([one.sure for one in seen])
    if model.takes_boxes and pictures.records is not None:
        records = [record for records in pictures.records for record in records]
        visible = [np.asarray(r["keypoints_visible"]) for r in records if "keypoints_visible" in r]
        if len(visible) == len(sure):
            known = np.stack([v.reshape(sure.shape[1], -1)[:, 0] > 0 for v in visible])
            sure = known if known.any() else sure
    # a model that is sure of nothing is compared all the same
    return sure if sure.any() else np.ones_like(sure)


def _areas(seen: Seen) -> Array:
    """(N,) square pixels of people."""
    sides = np.maximum(seen.boxes[:, 2:4] - seen.boxes[:, :2], 1)
    return sides.prod(1) * AREA_PER_BOX


def _likeness(distances: Array, counts: Array, areas: Array, sigmas: Array | None) -> float:
    """Mean object keypoint similarity of (N, K) distances, over the people with a keypoint."""
    spread = np.full(distances.shape[1], _ASSUMED_SIGMA) if sigmas is None else sigmas
    similar = np.exp(-((distances / (2 * spread)) ** 2) / areas[:, None] / 2)
    own = counts.any(1)
    return float((np.where(counts, similar, 0).sum(1)[own] / counts.sum(1)[own]).mean())
