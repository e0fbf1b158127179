"""What a run tells its hooks: histories of scalars, and named facts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from poise._named import Named

__all__ = ["MessageHub", "ScalarHistory"]

#: Values that a history keeps; the longest window a log line averages over.
HISTORY_LENGTH = 10_000


class ScalarHistory:
    """The latest values of one scalar, with means over windows.

    Example:
        >>> h = ScalarHistory()
        >>> for v in (1.0, 2.0, 4.0): h.update(v)
        >>> h.mean(2), h.current(), h.mean()
        (3.0, 4.0, 2.3333333333333335)
    """

    def __init__(self, length: int = HISTORY_LENGTH) -> None:
        self._values: deque[tuple[Any, int]] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._values)

    def update(self, value: Any, count: int = 1) -> None:
        """Append a value, or the sum of `count` values.

        A tensor on a GPU is kept and read only when a mean is asked for, so that logging does
        not make the GPU wait; of one on the CPU the number is kept, which is smaller.
        """
        if hasattr(value, "detach"):
            value = value.item() if value.device.type == "cpu" else value.detach()
        self._values.append((value, count))

    def current(self, window_size: int | None = None) -> float:
        """The latest value."""
        return float(self._values[-1][0])

    def mean(self, window_size: int | None = None) -> float:
        """Mean of the latest `window_size` values, or of all that are kept."""
        values, counts = self._latest(window_size)
        return sum(values) / sum(counts)

    def max(self, window_size: int | None = None) -> float:
        """Largest of the latest `window_size` values, or of all that are kept."""
        return max(self._latest(window_size)[0])

    def min(self, window_size: int | None = None) -> float:
        """Smallest of the latest `window_size` values, or of all that are kept."""
        return min(self._latest(window_size)[0])

    @property
    def data(self) -> tuple[list[float], list[int]]:
        """Values and counts."""
        return self._latest(None)

    def _latest(self, window_size: int | None) -> tuple[list[float], list[int]]:
        # from the end: a whole history is long, and asked for at each batch
        rows = list(islice(reversed(self._values), window_size))[::-1]
        return [float(v) for v, _ in rows], [c for _, c in rows]


class MessageHub(Named):
    """Shared notes of one run: `log_scalars` and `runtime_info`, as hooks know them.

    Code without a run at hand finds the latest one's by `MessageHub.get_current_instance()`.
    """

    _always_there = True

    def __init__(self, name: str = "poise") -> None:
        super().__init__(name)
        self.log_scalars: dict[str, ScalarHistory] = {}
        self.runtime_info: dict[str, Any] = {}

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Append to the history `key`, such as "train/loss"."""
        self.log_scalars.setdefault(key, ScalarHistory()).update(value, count)

    def update_scalars(self, scalars: Mapping[str, Any], resumed: bool = True) -> None:
        """Append one value to each of several histories."""
        for key, value in scalars.items():
            if isinstance(value, Mapping):
                self.update_scalar(key, value["value"], value.get("count", 1))
            else:
                self.update_scalar(key, value)

    def get_scalar(self, key: str) -> ScalarHistory:
        """History of a scalar."""
        return self.log_scalars[key]

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Set a named fact."""
        self.runtime_info[key] = value

    def update_info_dict(self, info: Mapping[str, Any], resumed: bool = True) -> None:
        """Set several named facts."""
        self.runtime_info.update(info)

    def get_info(self, key: str, default: Any = None) -> Any:
        """A named fact."""
        return self.runtime_info.get(key, default)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """Take a named fact away."""
        return self.runtime_info.pop(key, default)

    def state_dict(self) -> dict[str, Any]:
        """The facts that are plain values; histories start anew after a resume."""
        plain = {k: v for k, v in self.runtime_info.items() if _is_plain(v)}
        # MMEngine asks for all three when it resumes from the file
        return {
            "log_scalars": {},
            "runtime_info": plain,
            "resumed_keys": dict.fromkeys(plain, True),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the facts of a checkpoint."""
        info = getattr(state_dict, "runtime_info", None) or dict(state_dict).get("runtime_info")
        self.runtime_info.update({k: v for k, v in dict(info or {}).items() if _is_plain(v)})


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float, bool))
