"""Old names of weights: state dicts of the 0.x age are renamed while they load.

More than half of the released checkpoints were written before MMPose 1.0. A module that had
other names then declares a table; torch's `_version` in the metadata of a state dict says
whether it applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn

__all__ = ["Rename", "rename_old_keys", "renamed"]

#: (pattern, replacement): the key below the module's prefix, and what `re.sub` makes of it.
#: A replacement of None drops the entry.
Rename = tuple[str, str | None]


def renamed(key: str, table: Iterable[Rename]) -> str | None:
    """The key by the first row whose pattern matches its start; None drops the entry."""
    for pattern, replacement in table:
        if re.match(pattern, key):
            return None if replacement is None else re.sub(pattern, replacement, key, count=1)
    return key


def rename_old_keys(
    module: nn.Module, table: Iterable[Rename], *, always: Iterable[Rename] = ()
) -> None:
    r"""Let `module` rename entries of old state dicts before it loads them.

    Args:
        module: its `_version` is the first that needs no renaming.
        table: renames for state dicts that are older, or of unknown age. The first pattern
            that matches the start of a key decides.
        always: renames for state dicts of any age.

    Example:
        >>> import torch
        >>> class Head(torch.nn.Module):
        ...     _version = 2
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = torch.nn.Linear(1, 1)
        ...         rename_old_keys(self, [(r"linear\.", "fc.")])
        >>> old = {"linear.weight": torch.ones(1, 1), "linear.bias": torch.zeros(1)}
        >>> Head().load_state_dict(old)
        <All keys matched successfully>
    """
    module._register_load_state_dict_pre_hook(
        partial(_rename, module._version, list(table), list(always))
    )


# of the module's top level and bound to no module, so that models can be pickled and copied
def _rename(
    today: int,
    old_only: list[Rename],
    every_age: list[Rename],
    state_dict: dict[str, Any],
    prefix: str,
    local_meta: dict[str, Any],
    *_: Any,
) -> None:
    """Rename what stands below `prefix`, in place."""
    version = local_meta.get("version")
    rows = every_age + (old_only if not version or version < today else [])
    if not rows:
        return
    # all entries are taken out and put back, which keeps their order
    for key in [k for k in state_dict if k.startswith(prefix)]:
        value = state_dict.pop(key)
        new = renamed(key[len(prefix) :], rows)
        if new is not None:
            state_dict[prefix + new] = value
