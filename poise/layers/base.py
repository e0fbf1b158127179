"""Modules that know how their weights start: BaseModule and its containers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from poise.layers.initializers import initialize
from poise.registry import WEIGHT_INITIALIZERS

__all__ = ["BaseModule", "ModuleDict", "ModuleList", "Sequential"]

_LOG = logging.getLogger(__name__)


def _loads_weights(cfg: Mapping[str, Any]) -> bool:
    """Whether an init_cfg reads a file (`Pretrained`) instead of drawing numbers."""
    kind = cfg.get("type")
    if isinstance(kind, str):
        kind = WEIGHT_INITIALIZERS.get(kind)
    return getattr(kind, "loads_weights", False)


class BaseModule(nn.Module):
    """`nn.Module` with `init_cfg`: how the weights start, said as data.

    Building a module leaves torch's own start values; `init_weights()` applies `init_cfg`, so
    that reading a checkpoint need not pay for random numbers. All modules take it; where it means
    nothing else than here, they do not say so again.

    Args:
        init_cfg: dict or list of dicts for `poise.layers.initialize`, or None.
    """

    def __init__(self, init_cfg: Mapping[str, Any] | list[Any] | None = None) -> None:
        super().__init__()
        # a copy: one dict is often shared by all blocks of a network
        self.init_cfg = copy.deepcopy(init_cfg)
        self._is_init = False

    @property
    def is_init(self) -> bool:
        """Whether `init_weights` has run."""
        return self._is_init

    @is_init.setter
    def is_init(self, value: bool) -> None:
        self._is_init = value

    def init_weights(self) -> None:
        """Apply `init_cfg`, then let direct children apply theirs; a second call does nothing.

        A child's own setting wins over its parent's, and weights from a file win over both.
        """
        if self._is_init:
            _LOG.warning("init_weights of %s has been called before", type(self).__name__)
            return
        cfgs = self.init_cfg or []
        cfgs = [cfgs] if isinstance(cfgs, Mapping) else list(cfgs)
        files = [c for c in cfgs if _loads_weights(c)]
        initialize(self, [c for c in cfgs if c not in files])
        for child in self.children():
            # a wrapper such as DistributedDataParallel holds the real one as `module`
            inner = child if hasattr(child, "init_weights") else getattr(child, "module", child)
            start = getattr(inner, "init_weights", None)
            if start is not None and not getattr(inner, "is_init", False):
                start()
        initialize(self, files)
        self._is_init = True

    def __repr__(self) -> str:
        """The tree of layers, with `init_cfg` where there is one."""
        text = super().__repr__()
        return f"{text}\ninit_cfg={self.init_cfg}" if self.init_cfg else text


class Sequential(BaseModule, nn.Sequential):
    """`nn.Sequential` with an `init_cfg` of its own."""

    def __init__(self, *args: Any, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """`nn.ModuleList` with an `init_cfg` of its own."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """`nn.ModuleDict` with an `init_cfg` of its own."""

    def __init__(
        self, modules: Mapping[str, nn.Module] | None = None, init_cfg: Any = None
    ) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
