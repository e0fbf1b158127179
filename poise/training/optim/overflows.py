"""Steps of float16 training that are left out, since their gradients are no finite numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from poise.errors import DataError

__all__ = ["MOST_IN_A_ROW", "Overflows"]

logger = logging.getLogger("poise")

#: A loss scale that is too large by far is right again after some twenty steps.
MOST_IN_A_ROW = 100


class Overflows:
    """Counts the steps that a loss scale leaves out; without one it does nothing.

    float16 ends at 65504, so now and then a loss or a gradient is infinite. The scaler then makes
    no step and halves its scale, as in MMEngine, whose fixed scales stay.

    Args:
        scaler: `torch.amp.GradScaler`, or None where numbers are not scaled.
        fixed: the scale that does not move, or None.
    """

    def __init__(self, scaler: Any, fixed: float | None = None) -> None:
        self._scaler, self._fixed = scaler, fixed
        self.steps = self.left_out = self.in_a_row = 0
        self._why: Callable[[], Exception] | None = None

    @property
    def expected(self) -> bool:
        """Whether a loss that is not finite may happen, and leaves a step out."""
        return self._scaler is not None

    def lost(self, why: Callable[[], Exception]) -> None:
        """Note a loss that is not finite; `why` gives the error, should it not stay alone."""
        self._why = why

    def step(self, step: Callable[[], Any], *, where: str) -> float | None:
        """Make a step, and see whether the scaler left it out.

        Args:
            step: of the optimizer.
            where: epoch and iteration, for texts.

        Returns:
            The loss scale after it; None where there is none.

        Raises:
            DataError: `MOST_IN_A_ROW` steps in a row had no finite gradients; with what the last
                `lost` said.
        """
        if self._scaler is None:
            step()
            return None
        before = self._scaler.get_scale()
        step()
        after = self._scaler.get_scale()
        if self._fixed is not None and after != self._fixed:
            self._scaler.update(self._fixed)
        self.steps += 1
        if after >= before:
            self.in_a_row, self._why = 0, None
        else:
            self._leave_out(where, before, after if self._fixed is None else self._fixed)
        return after if self._fixed is None else self._fixed

    def _leave_out(self, where: str, before: float, after: float) -> None:
        self.left_out += 1
        self.in_a_row += 1
        if self.in_a_row >= MOST_IN_A_ROW:
            last = "" if self._why is None else f". At the last one {self._why()}"
            raise DataError(f"{self._endless(where)}{last}")
        # the first ones, then fewer and fewer
        if self.left_out & (self.left_out - 1) == 0:
            what = "the loss is" if self._why is not None else "gradients are"
            logger.warning(
                "float16: no step at %s, as %s not finite; loss scale %g -> %g; %d of %d steps of "
                "this run are left out so far",
                where,
                what,
                before,
                after,
                self.left_out,
                self.steps,
            )
        self._why = None

    def report(self) -> None:
        """Say at the end of a run how many steps were left out."""
        if self.left_out:
            logger.info(
                "float16: %d of %d steps were left out, as their gradients were not finite",
                self.left_out,
                self.steps,
            )

    def _endless(self, where: str) -> str:
        return (
            f"{self.in_a_row} steps in a row had gradients that are not finite in float16, the "
            f"last at {where}; train with --amp bf16 or in float32, lower the learning rate, or "
            "limit gradients with optim_wrapper.clip_grad=dict(max_norm=1)"
        )
