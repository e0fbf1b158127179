"""LogProcessor: means of a run's scalars over a window, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from poise.errors import one_of
from poise.registry import LOG_PROCESSORS
from poise.training.logs.message_hub import HISTORY_LENGTH, MessageHub

__all__ = ["LogProcessor"]

#: Keys of a training line that are not losses, in the order in which they are shown.
_LEADING = ("base_lr", "lr", "time", "data_time", "grad_norm")
#: What `window_size` may be beside a number.
_WINDOWS = ("epoch", "global")
_RATE, _SECONDS = "{:.4e}", "{:.4f}"
_FORMATS = {"base_lr": _RATE, "lr": _RATE, "time": _SECONDS, "data_time": _SECONDS, "memory": "{}"}


@LOG_PROCESSORS.register_module(scope="mmengine")
class LogProcessor:
    """Turns histories of scalars into one line.

    Args:
        window_size: values that a mean is taken over.
        by_epoch: kept for configs; the loop knows.
        custom_cfg: settings for single scalars: `dict(data_src="loss", method_name="mean",
            window_size=10, log_name="loss_10")`; `method_name` is mean, max, min or current,
            `window_size` a number, "epoch" or "global" (the default).
        num_digits: digits after the point.
        log_with_hierarchy: kept for configs.
        mean_pattern: regular expression of the scalars that are averaged; of others the latest
            value counts.

    Raises:
        ConfigError: an unknown `method_name` or `window_size`.
    """

    methods = ("mean", "max", "min", "current")

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = r"loss|time|data_time|grad_norm",
    ) -> None:
        self.window_size = max(1, min(int(window_size), HISTORY_LENGTH))
        self.num_digits = num_digits
        self.mean_pattern = re.compile(mean_pattern)
        self.custom_cfg = list(custom_cfg or ())
        for cfg in self.custom_cfg:
            one_of(cfg.get("method_name", "mean"), self.methods, "method_name of custom_cfg")
            if not isinstance(cfg.get("window_size"), int | None):
                one_of(cfg["window_size"], _WINDOWS, "window_size of custom_cfg, unless a number,")

    def means(
        self, hub: MessageHub, mode: str, window: int | None = None, *, batches: int | None = None
    ) -> dict[str, float]:
        """Figures of a mode ("train", "val", "test"): means of losses and times, others of now.

        Args:
            hub: has the histories.
            mode: whose.
            window: values that means are taken over; None for those of the config.
            batches: of the epoch that are done, for windows of an epoch.
        """
        found = {
            key.removeprefix(f"{mode}/"): history
            for key, history in hub.log_scalars.items()
            if key.startswith(f"{mode}/") and len(history)
        }
        size = window or self.window_size
        averaged = self.mean_pattern.search
        out = {k: h.mean(size) if averaged(k) else h.current() for k, h in found.items()}
        for cfg in self.custom_cfg:
            if cfg["data_src"] in found:
                span = cfg.get("window_size")
                if span in _WINDOWS:
                    span = batches if span == "epoch" else None
                figure = getattr(found[cfg["data_src"]], cfg.get("method_name", "mean"))
                out[cfg.get("log_name", cfg["data_src"])] = figure(span)
        first = [k for k in _LEADING if k in out]
        return {k: out[k] for k in [*first, *(k for k in out if k not in first)]}

    def text(self, values: Mapping[str, Any]) -> str:
        """Names and values on one line."""
        plain = f"{{:.{self.num_digits}f}}"
        return "  ".join(
            f"{k}: {_FORMATS.get(k, plain).format(v)}" if hasattr(v, "__float__") else f"{k}: {v}"
            for k, v in values.items()
        )
