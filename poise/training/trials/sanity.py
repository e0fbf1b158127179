"""A minute's check that data, codec, head and loss fit together: overfit a few samples."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from poise._words import counted
from poise.check.network import without_pretrained
from poise.datasets.loader import spread_batch
from poise.errors import DataError
from poise.models.base_model import parse_losses
from poise.registry import use_scope
from poise.training.build import build_dataloader, build_model
from poise.training.runner import Runner

__all__ = ["SanityReport", "check_by_overfitting"]

#: Samples of the batch, and most steps that are made.
_SAMPLES, _MAX_STEPS = 8, 300
#: A network that can learn the samples loses more than this share of its loss.
_FALL = 0.3
#: Below this share nothing more is to be learned from going on.
_ENOUGH = 0.05
_LEARNING_RATE = 1e-3
_MAX_NORM = 5.0
#: Losses at the start and at the end that are averaged, in shares of all steps.
_WINDOW = 0.1


@dataclass(frozen=True)
class SanityReport:
    """What overfitting a few samples showed.

    Attributes:
        steps: optimizer steps made.
        first, last: means of each loss and accuracy over the first and last tenth of the steps.
        seconds: how long it took.
    """

    steps: int
    first: Mapping[str, float]
    last: Mapping[str, float]
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the loss fell as it does where everything fits together."""
        return self.last["loss"] < (1 - _FALL) * self.first["loss"]

    def __str__(self) -> str:
        lines = [f"{name}: {self.first[name]:.4g} -> {self.last[name]:.4g}" for name in self.first]
        if self.fits:
            verdict = "the network learns these samples: data, codec and head fit together"
        elif self.steps < 30:
            verdict = (
                f"only {counted(self.steps, 'step')} fitted into the time, too few to tell; give "
                "more with "
                "--sanity-seconds"
            )
        else:
            verdict = (
                "the loss does not fall: look whether the codec's input_size and the crop's "
                "agree, whether keypoints are labelled as visible (weights above 0), and at the "
                "pictures with `poise data browse`"
            )
        return "\n".join(
            [*lines, f"{counted(self.steps, 'step')} in {self.seconds:.0f} s: {verdict}"]
        )


def check_by_overfitting(cfg: Any, *, seconds: float = 60.0) -> SanityReport:
    """Train a config's model, from random weights, on one batch over and over.

    The samples are spread over the data set. Augmentation stays as the config has it, but each
    sample is made once.

    Args:
        cfg: whole config.
        seconds: after which no new step is begun.

    Raises:
        DataError: the loss is not finite.
    """
    cfg = copy.deepcopy(cfg)
    loader_cfg = {
        **cfg["train_dataloader"],
        "batch_size": _SAMPLES,
        "num_workers": 0,
        "drop_last": False,
    }
    runner = Runner(cfg)
    with use_scope(runner.scope):
        torch.manual_seed(runner.seed)
        batch = spread_batch(build_dataloader(loader_cfg, "train_dataloader", runner), _SAMPLES)
        model = build_model({"model": without_pretrained(cfg["model"])}, init=True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return _overfit(model.to(device).train(), batch, seconds)


def _overfit(model: Any, batch: Any, seconds: float) -> SanityReport:
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=_LEARNING_RATE)
    rows: list[dict[str, float]] = []
    start = time.monotonic()
    while len(rows) < _MAX_STEPS and (not rows or time.monotonic() - start < seconds):
        # the preprocessor may write into what it is given
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        loss, shown = parse_losses(model(**data, mode="loss"))
        rows.append({k: float(v.detach()) for k, v in shown.items()})
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss of step {len(rows)} is not a finite number: {rows[-1]}; look at the "
                "annotations of the first samples"
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, _MAX_NORM)
        optimizer.step()
        if rows[-1]["loss"] < _ENOUGH * rows[0]["loss"]:
            break
    window = max(1, int(_WINDOW * len(rows)))
    return SanityReport(
        len(rows), _mean(rows[:window]), _mean(rows[-window:]), time.monotonic() - start
    )


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {k: sum(r.get(k, 0.0) for r in rows) / len(rows) for k in rows[0]}
