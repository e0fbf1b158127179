"""LogProcessor: means of a run's scalars over a window, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poise.errors import ConfigError
from poise.registry import LOG_PROCESSORS
from poise.training.logs.message_hub import HISTORY_LENGTH, MessageHub

__all__ = ["LogProcessor"]

#: Keys of a training line that are not losses, in the order in which they are shown.
_LEADING = ("lr", "time", "data_time", "grad_norm")
_FORMATS = {"lr": "{:.4e}", "time": "{:.4f}", "data_time": "{:.4f}", "memory": "{}"}


@LOG_PROCESSORS.register_module(scope="mmengine")
class LogProcessor:
    """Turns histories of scalars into one line.

    Args:
        window_size: values that a mean is taken over.
        by_epoch: kept for configs; the loop knows.
        custom_cfg: settings for single scalars: `dict(data_src="loss", method_name="mean",
            window_size=10, log_name="loss_10")`; `method_name` is mean, max, min or current,
            `window_size` a number or "global".
        num_digits: digits after the point.
        log_with_hierarchy, mean_pattern: kept for configs.

    Raises:
        ConfigError: an unknown `method_name`.
    """

    methods = ("mean", "max", "min", "current")

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = "",
    ) -> None:
        self.window_size = max(1, min(int(window_size), HISTORY_LENGTH))
        self.num_digits = num_digits
        self.custom_cfg = list(custom_cfg or ())
        for cfg in self.custom_cfg:
            if cfg.get("method_name", "mean") not in self.methods:
                raise ConfigError(
                    f"custom_cfg of LogProcessor: method_name must be one of "
                    f"{', '.join(self.methods)}, got {cfg.get('method_name')!r}"
                )

    def means(self, hub: MessageHub, mode: str, window: int | None = None) -> dict[str, float]:
        """Means of the scalars of a mode ("train", "val", "test"); `lr` is the current one."""
        found = {
            key.removeprefix(f"{mode}/"): history
            for key, history in hub.log_scalars.items()
            if key.startswith(f"{mode}/") and len(history)
        }
        size = window or self.window_size
        out = {k: h.current() if k == "lr" else h.mean(size) for k, h in found.items()}
        for cfg in self.custom_cfg:
            if cfg["data_src"] in found:
                history, method = found[cfg["data_src"]], cfg.get("method_name", "mean")
                span = cfg.get("window_size", size)
                args = [None if span == "global" else span] if method == "mean" else []
                name = cfg.get("log_name", cfg["data_src"])
                out[name] = getattr(history, method)(*args)
        first = [k for k in _LEADING if k in out]
        return {k: out[k] for k in [*first, *(k for k in out if k not in first)]}

    def text(self, values: Mapping[str, Any]) -> str:
        """Names and values on one line."""
        plain = f"{{:.{self.num_digits}f}}"
        return "  ".join(
            f"{k}: {_FORMATS.get(k, plain).format(v)}" if hasattr(v, "__float__") else f"{k}: {v}"
            for k, v in values.items()
        )
