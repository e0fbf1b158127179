"""A file beside the model that it was made of: raw outputs, poses, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from poise.errors import ConfigError
from poise.export.checks.accuracy import Accuracy
from poise.export.checks.agreement import Agreement, agreement, shaken, trial_pictures
from poise.export.plans.plan import Arrays, Plan
from poise.runtimes import open_session, runtime_of

__all__ = ["TOLERANCE", "TOLERANCE_HALF", "Difference", "Report", "compare"]

#: Largest difference between file and model, in parts of the largest output.
TOLERANCE = 1e-3
#: The same where weights have 16 bits.
TOLERANCE_HALF = 2e-2
#: Share of the keypoints that may be elsewhere: where two places have nearly the same score, the
#: last digits decide.
_JUMPED = 0.05


@dataclass(frozen=True)
class Difference:
    """How far one output of the file is from the model's.

    Attributes:
        name: of the output.
        shape: of it, for one input.
        largest: absolute.
        share: `largest` in parts of the model's largest value.
    """

    name: str
    shape: tuple[int, ...]
    largest: float
    share: float


@dataclass(frozen=True)
class Report:
    """What a comparison gave; empty where none was asked for.

    Attributes:
        outputs: for each output the largest difference, of a batch of one and of three.
        poses: of the model and of the file, on made pictures; None where no picture makes poses.
        speed: processor time of the model over that of the file, for one input.
        accuracy: of both on real pictures.
        times: milliseconds an input, on real pictures, of "model" and "file", with INT8 also of the
            file with 32 bits, "file32"; empty where they were not taken.
        parts, kept_parts: of an INT8 network, and how many of them keep 32 bits.
    """

    outputs: tuple[Difference, ...] = ()
    poses: Agreement | None = None
    speed: float | None = None
    accuracy: Accuracy | None = None
    times: Mapping[str, float] = field(default_factory=dict)
    parts: int = 0
    kept_parts: int = 0


def compare(
    plan: Plan,
    path: Path,
    runtime: str | None = None,
    *,
    tolerance: float = TOLERANCE,
    poses: bool = True,
) -> Report:
    """Run a file beside the model.

    Args:
        plan: what was written.
        path: the file.
        runtime: that runs it; None: by its ending.
        tolerance: largest difference of an output, in parts of its largest value.
        poses: also compare poses, and measure how fast both are.

    Raises:
        ConfigError: it says something else.
    """
    session, names = open_session(path, runtime or runtime_of(path)), plan.output_names()
    differences: dict[str, Difference] = {}
    for sample in (plan.sample[:1], plan.sample, *plan.others):
        expected: Arrays = [output.numpy() for output in plan.answers(sample)]
        try:
            found: Arrays = session(sample.numpy())
        # runtimes have no common base for what they raise
        except Exception as error:
            raise ConfigError(
                f"the exported file of {plan.title()} cannot be run with a batch of {len(sample)}: "
                f"{str(error).splitlines()[0][:160]}; try another form, such as .pt2"
            ) from error
        if plan.comparable is not None:
            found, expected = plan.comparable(found, expected)
        for name, one, other in zip(names, found, expected, strict=True):
            own = _difference(name, one, other)
            if not own.share <= tolerance:
                raise ConfigError(
                    f"the exported network gives another '{name}' than the model for a batch of "
                    f"{len(sample)}: off by {own.share:.2g} of its range, {tolerance:g} is allowed"
                )
            before = differences.get(name)
            differences[name] = own if before is None or own.share > before.share else before
    if not poses:
        return Report(tuple(differences.values()))
    found_poses = None if plan.model is None else _compare_poses(plan.model, path, runtime)
    return Report(tuple(differences.values()), found_poses, _speed(plan, session))


def _compare_poses(model: Any, path: Path, runtime: str | None) -> Agreement:
    pictures = trial_pictures()
    found = agreement(model, path, pictures, runtime)
    apart = found.same < 1 - _JUMPED or abs(found.model - found.file) > _JUMPED * found.model
    # made-up weights give poses that hang on the last digits, in the model itself, too
    if apart and found.same < agreement(model, shaken(model), pictures).same - _JUMPED:
        raise ConfigError(
            f"the exported file finds other {found.things.name} than the model: {found.file} "
            f"in place of {found.model}, {1 - found.same:.1%} of the "
            f"{found.things.place}s are elsewhere and {_JUMPED:.0%} may be"
        )
    return found


def _difference(name: str, found: np.ndarray, expected: np.ndarray) -> Difference:
    if found.shape != expected.shape:
        raise ConfigError(
            f"the exported network gives '{name}' of the shape {found.shape}, the model "
            f"{expected.shape}"
        )
    if not expected.size:
        return Difference(name, found.shape[1:], 0.0, 0.0)
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - expected)
    # made-up weights give infinite boxes: the same in both is no difference
    largest = float(np.where(found == expected, 0, apart).max())
    finite = np.abs(expected[np.isfinite(expected)])
    share = largest / max(float(finite.max(initial=0)), 1e-6)
    return Difference(name, found.shape[1:], largest, share)


def _speed(plan: Plan, session: Any) -> float:
    """How many times faster the file is, by the better of two runs."""
    sample = plan.sample[:1]
    model = _best_time(lambda: plan.answers(sample))
    return model / max(_best_time(lambda: session(sample.numpy())), 1e-9)


def _best_time(run: Any) -> float:
    times: list[float] = []
    for _ in range(2):
        start = process_time()
        run()
        times.append(process_time() - start)
    return min(times)
