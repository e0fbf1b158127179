"""Rules of schedules: how a learning rate or a momentum goes on from one step to the next.

The rules are chainable: each multiplies or moves the value that it finds, so a warm-up by
iterations and a decay by epochs act together. The recurrences are those of
`torch.optim.lr_scheduler` (closed forms would differ in the last digits and could not be
combined).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from poise.errors import ConfigError, one_of

__all__ = [
    "FOREVER",
    "Constant",
    "CosineAnnealing",
    "CosineRestart",
    "Exponential",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Poly",
    "QuadraticWarmup",
    "Rule",
    "Step",
]

#: A parameter group of an optimizer.
Group = Mapping[str, Any]

#: `end` of a schedule that nothing ends, in steps.
FOREVER = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a value goes on: `next(step, value, base, group)`.

    `begin` and `end` are the bounds between which the scheduler asks. `in_steps` names the
    fields that count steps; they are multiplied where epochs become iterations.
    """

    begin: int = 0
    end: int = FOREVER
    in_steps: ClassVar[tuple[str, ...]] = ()

    @property
    def span(self) -> int:
        """Steps between the first and the last value."""
        return self.end - self.begin - 1

    def prepare(self, groups: Sequence[dict[str, Any]]) -> None:
        """Write what the rule needs into the optimizer's groups."""

    def next(self, step: int, value: float, base: float, group: Group) -> float:
        """Value in effect from `step` on (0 is the first), from the one before."""
        raise NotImplementedError(f"{type(self).__name__} does not define `next`")

    def in_iterations(self, epoch_length: int) -> Self:
        """The same rule with its step counts in iterations instead of epochs."""
        scaled: dict[str, Any] = {"begin": int(self.begin * epoch_length)}
        if self.end != FOREVER:
            scaled["end"] = int(self.end * epoch_length)
        for name in self.in_steps:
            value = getattr(self, name)
            if isinstance(value, (list, tuple)):
                scaled[name] = [v * epoch_length for v in value]
            elif value is not None:
                scaled[name] = value * epoch_length
        return replace(self, **scaled)


@dataclass(frozen=True, kw_only=True)
class Constant(Rule):
    """`factor` times the value until the last step, which divides it out again."""

    factor: float = 1.0 / 3

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        if step == 0:
            return value * self.factor
        return value * (1.0 / self.factor) if step == self.span else value


@dataclass(frozen=True, kw_only=True)
class Linear(Rule):
    """A straight line from `start_factor` to `end_factor` times the value."""

    start_factor: float = 1.0 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("start_factor", "end_factor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} of a linear schedule must lie between 0 and 1, "
                    f"got {getattr(self, name)}"
                )
        if self.start_factor == 0 and self.span > 0:
            raise ConfigError(
                "start_factor of a linear schedule is what its later values are multiples of, and "
                "cannot be 0; give a small one, such as 0.001"
            )

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        if step == 0:
            return value * self.start_factor
        rise = self.end_factor - self.start_factor
        return value * (1.0 + rise / (self.span * self.start_factor + (step - 1) * rise))


@dataclass(frozen=True, kw_only=True)
class Step(Rule):
    """`gamma` times the value every `step_size` steps."""

    step_size: int
    gamma: float = 0.1
    in_steps: ClassVar[tuple[str, ...]] = ("step_size",)

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        return value * self.gamma if step and step % self.step_size == 0 else value


@dataclass(frozen=True, kw_only=True)
class MultiStep(Rule):
    """`gamma` times the value at each milestone, counted from `begin`; twice named, squared."""

    milestones: Sequence[int]
    gamma: float = 0.1
    in_steps: ClassVar[tuple[str, ...]] = ("milestones",)

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        return value * self.gamma ** list(self.milestones).count(step)


@dataclass(frozen=True, kw_only=True)
class Exponential(Rule):
    """`gamma` times the value at every step."""

    gamma: float

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        return value * self.gamma if step else value


@dataclass(frozen=True, kw_only=True)
class CosineAnnealing(Rule):
    """Half a cosine down to `eta_min` (or `eta_min_ratio` times the base) in `T_max` steps.

    SGDR, Loshchilov and Hutter 2017, eq. 5, without restarts.
    """

    T_max: int | None = None
    eta_min: float | None = None
    eta_min_ratio: float | None = None
    in_steps: ClassVar[tuple[str, ...]] = ("T_max",)

    def __post_init__(self) -> None:
        _only_one_floor(self)

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        if step == 0:
            return value
        period = self.T_max or self.end - self.begin
        low = _floor(self, base)
        if (step - 1 - period) % (2 * period) == 0:
            # the value stands at the floor, where the ratio below is 0 / 0
            return value + (base - low) * (1 - math.cos(math.pi / period)) / 2
        return low + (value - low) * _cosine_ratio(step, period)


@dataclass(frozen=True, kw_only=True)
class CosineRestart(Rule):
    """Cosines that start again, period after period (SGDR), each from its restart weight."""

    periods: Sequence[int]
    restart_weights: Sequence[float] = (1,)
    eta_min: float | None = None
    eta_min_ratio: float | None = None
    in_steps: ClassVar[tuple[str, ...]] = ("periods",)

    def __post_init__(self) -> None:
        _only_one_floor(self)
        if len(self.periods) != len(self.restart_weights):
            raise ConfigError(
                f"periods and restart_weights must have the same length, got "
                f"{len(self.periods)} and {len(self.restart_weights)}"
            )

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        ends = list(itertools.accumulate(self.periods))
        at = bisect.bisect_right(ends, step)
        if at == len(ends):
            return value
        since = step - (ends[at] - self.periods[at])
        if since == 0:
            return base * self.restart_weights[at]
        low = _floor(self, base)
        return low + (value - low) * _cosine_ratio(since, self.periods[at])


@dataclass(frozen=True, kw_only=True)
class Poly(Rule):
    """(1 - t / T) ** `power`, down to `eta_min`."""

    eta_min: float = 0
    power: float = 1.0

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        if step == 0:
            return value
        left = 1 - 1 / (self.span - step + 1)
        return (value - self.eta_min) * left**self.power + self.eta_min


@dataclass(frozen=True, kw_only=True)
class QuadraticWarmup(Rule):
    """From nothing up to the base along a parabola (YOLOX); `end` must be given."""

    def __post_init__(self) -> None:
        if self.end >= FOREVER:
            raise ConfigError("a quadratic warm-up needs 'end', the step at which it is over")

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        more = base * (2 * step + 1) / (self.end - self.begin) ** 2
        return value + more if step else more


@dataclass(frozen=True, kw_only=True)
class OneCycle(Rule):
    """Up to `eta_max` and far down again (Smith and Topin 2018, as in torch)."""

    eta_max: float | Sequence[float] = 0
    total_steps: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    in_steps: ClassVar[tuple[str, ...]] = ("total_steps",)

    def __post_init__(self) -> None:
        one_of(self.anneal_strategy, ("cos", "linear"), "anneal_strategy")
        if not 0 <= self.pct_start <= 1:
            raise ConfigError(f"pct_start must lie between 0 and 1, got {self.pct_start}")

    def prepare(self, groups: Sequence[dict[str, Any]]) -> None:
        """Set first, highest and last rate of each group; the group's own rate is not used."""
        given = self.eta_max
        peaks = [given] * len(groups) if isinstance(given, (int, float)) else list(given)
        if len(peaks) != len(groups):
            raise ConfigError(
                f"eta_max has {len(peaks)} values, the optimizer {len(groups)} parameter groups"
            )
        for group, peak in zip(groups, peaks, strict=True):
            first = peak / self.div_factor
            group.update(initial_lr=first, max_lr=peak, min_lr=first / self.final_div_factor)

    def next(self, step: int, value: float, base: float, group: Group) -> float:  # noqa: D102
        total = self.total_steps or self.end - self.begin
        if step > total:
            raise ConfigError(f"the one-cycle schedule has {total} steps, step {step} was asked")
        rise = self.pct_start * total
        marks = [(0, "initial_lr"), (rise - 1, "max_lr"), (total - 1, "min_lr")]
        if self.three_phase:
            marks[2:2] = [(2 * rise - 2, "initial_lr")]
        legs = list(itertools.pairwise(marks))
        (t0, a), (t1, b) = next((leg for leg in legs if step <= leg[1][0]), legs[-1])
        part, low, high = (step - t0) / (t1 - t0), group[b], group[a]
        if self.anneal_strategy == "linear":
            return high + (low - high) * part
        return low + (high - low) / 2.0 * (math.cos(math.pi * part) + 1)


def _cosine_ratio(step: int, period: float) -> float:
    now, before = (1 + math.cos(math.pi * s / period) for s in (step, step - 1))
    return now / before


def _floor(rule: CosineAnnealing | CosineRestart, base: float) -> float:
    if rule.eta_min_ratio is not None:
        return base * rule.eta_min_ratio
    return rule.eta_min or 0.0


def _only_one_floor(rule: CosineAnnealing | CosineRestart) -> None:
    if rule.eta_min is not None and rule.eta_min_ratio is not None:
        raise ConfigError("give eta_min or eta_min_ratio, not both")
