"""Pipelines within pipelines: one of several, or only sometimes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from poise.errors import ArgumentError
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.compose import Compose
from poise.transforms.randomness import cache_randomness

__all__ = ["RandomApply", "RandomChoice"]


@TRANSFORMS.register_module(scope="mmcv")
class RandomChoice(BaseTransform):
    """Run one of several pipelines, drawn for each sample.

    Args:
        transforms: the pipelines; each a transform (config) or a list of them.
        prob: their probabilities, summing to 1; equal ones unless given.

    Raises:
        ArgumentError: no pipelines, or probabilities that do not suit them.
    """

    def __init__(self, transforms: Sequence[Any], prob: Sequence[float] | None = None) -> None:
        if not transforms:
            raise ArgumentError("RandomChoice needs at least one pipeline to choose from, got none")
        if prob is not None and (len(prob) != len(transforms) or abs(sum(prob) - 1) > 1e-6):
            raise ArgumentError(
                f"prob of RandomChoice needs one number for each of the {len(transforms)} "
                f"pipelines, summing to 1, got {list(prob)}"
            )
        self.prob = prob
        self.transforms = [Compose(pipeline) for pipeline in transforms]

    def __iter__(self) -> Iterator[Compose]:
        return iter(self.transforms)

    @cache_randomness
    def random_pipeline_index(self) -> int:
        """Draw which pipeline runs."""
        return int(np.random.choice(len(self.transforms), p=self.prob))

    def transform(self, results: dict[str, Any]) -> Any:
        """What the drawn pipeline gives."""
        return self.transforms[self.random_pipeline_index()](results)


@TRANSFORMS.register_module(scope="mmcv")
class RandomApply(BaseTransform):
    """Run a pipeline for some of the samples only.

    Args:
        transforms: a transform (config) or a list of them.
        prob: how often it runs.
    """

    def __init__(self, transforms: Any, prob: float = 0.5) -> None:
        self.prob = prob
        self.transforms = Compose(transforms)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.transforms)

    @cache_randomness
    def random_apply(self) -> bool:
        """Draw whether the pipeline runs."""
        return bool(np.random.rand() < self.prob)

    def transform(self, results: dict[str, Any]) -> Any:
        """What the pipeline gives, or `results` as they are."""
        return self.transforms(results) if self.random_apply() else results
