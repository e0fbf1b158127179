"""What transformers with tokens of one width share: sizes by name, chosen layers, depths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from poise.errors import ConfigError, nearest

__all__ = ["LayerDepths", "arch_settings", "arch_table", "layer_indices"]

_KEYS = ("embed_dims", "num_layers", "num_heads", "feedforward_channels")


def arch_table(rows: Iterable[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    """Settings by name.

    Args:
        rows: names separated by spaces, then channels, layers, heads and channels of feed-forwards.

    Example:
        >>> arch_table([("s small", 768, 8, 8, 2304)])["small"]["num_layers"]
        8
    """
    return {
        name: dict(zip(_KEYS, values, strict=True))
        for names, *values in rows
        for name in names.split()
    }


def arch_settings(
    arch: str | Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Settings of a name, or a dict that has them.

    Raises:
        ConfigError: an unknown name, or a dict without one of the settings.
    """
    if isinstance(arch, Mapping):
        lacking = [key for key in _KEYS if key not in arch]
        if lacking:
            raise ConfigError(f"an arch given as a dict needs {lacking}, too; got {dict(arch)}")
        return arch
    name = str(arch).lower()
    if name not in known:
        raise ConfigError(
            f"Arch {arch} is not in default archs {list(known)}{nearest(name, known)}"
        )
    return known[name]


def layer_indices(out_indices: int | Sequence[int], layers: int) -> list[int]:
    """Numbers of layers whose output is wanted; negative ones count from the end.

    Raises:
        ConfigError: there is no such layer.
    """
    asked = [out_indices] if isinstance(out_indices, int) else list(out_indices)
    found = [layers + i if i < 0 else i for i in asked]
    if not all(0 <= i < layers for i in found):
        raise ConfigError(
            f"Invalid out_indices {asked}: there are layers 0 to {layers - 1}, and -1 is the last"
        )
    return found


class LayerDepths:
    """Networks that are a row of layers, whose learning rates may fall with depth."""

    #: name of the layers' list, and starts of the names of what comes before it
    stack: ClassVar[str]
    first: ClassVar[tuple[str, ...]]
    num_layers: int

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """(depth of a parameter, number of depths).

        Args:
            param_name: name of the parameter.
            prefix: of this backbone's parameters.
        """
        count = self.num_layers + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix):
            return count - 1, count
        if name.startswith(self.first):
            return 0, count
        if name.startswith(f"{self.stack}."):
            return int(name.split(".")[1]) + 1, count
        return count - 1, count
