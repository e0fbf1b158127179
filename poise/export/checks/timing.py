"""How long a model and its files take, in turn on the same inputs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

__all__ = ["times_of"]

#: Rounds, of which the median counts.
_ROUNDS = 7


def times_of(
    runs: Mapping[str, Callable[[np.ndarray], Any]], inputs: Sequence[np.ndarray], batch: int
) -> dict[str, float]:
    """Milliseconds an input, by name.

    Args:
        runs: name -> what runs a batch.
        inputs: each (1, ...); those of the first one's size make the batch.
        batch: most inputs per call.
    """
    alike = [one for one in inputs if one.shape == inputs[0].shape][:batch]
    sample = np.concatenate(alike)
    for run in runs.values():
        run(sample)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            start = perf_counter()
            run(sample)
            times[name].append(1000 * (perf_counter() - start) / len(sample))
    return {name: statistics.median(own) for name, own in times.items()}
