"""Keys of state dicts: what wrappers put before them, and parts of a network."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from poise.errors import CheckpointError, nearest

__all__ = ["strip_prefix", "unwrap", "with_versions"]

#: attributes under which wrappers hold the model, even where no key fits
_WRAPPERS = {"module", "_orig_mod"}
#: attributes deep that a model may stand in what was saved
MAX_DEPTH = 3


def with_versions(state: OrderedDict[str, Tensor], metadata: Any) -> OrderedDict[str, Tensor]:
    """Attach module versions to a state dict, as torch does."""
    state._metadata = dict(metadata or {})  # type: ignore[attr-defined]
    return state


def strip_prefix(
    state: Mapping[str, Tensor], prefix: str, *, only: bool = True
) -> OrderedDict[str, Tensor]:
    """Weights whose key starts with a prefix, without it.

    Args:
        state: state dict.
        prefix: "backbone" or "backbone.".
        only: drop the others; else they stay as they are.

    Raises:
        CheckpointError: no key starts with it.
    """
    head = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
    if not any(k.startswith(head) for k in state):
        tops = sorted({k.partition(".")[0] for k in state})
        raise CheckpointError(
            f"{head} is not in the pretrained model; its keys start with {', '.join(tops[:8])}"
            f"{nearest(prefix.rstrip('.'), tops)}"
        )
    metadata = getattr(state, "_metadata", {})
    versions = {k[len(head) :]: v for k, v in metadata.items() if f"{k}.".startswith(head)}
    kept = OrderedDict(
        (k[len(head) :] if k.startswith(head) else k, v)
        for k, v in state.items()
        if k.startswith(head) or not only
    )
    return with_versions(kept, versions)


def unwrap(state: Mapping[str, Tensor], expected: Iterable[str]) -> Mapping[str, Tensor]:
    """State dict without what wrappers put before every key.

    DistributedDataParallel adds `module.`, Lightning `model.` or another attribute's name,
    torch.compile `_orig_mod.`. The wrapper is found by comparing with the model.

    Args:
        state: state dict.
        expected: keys of the model.
    """
    wanted = set(expected)
    while (tops := {k.partition(".")[0] for k in state}) and len(tops) == 1:
        # nothing else begins with these, so they go even where old names below do not fit yet
        if not tops <= _WRAPPERS or any(k.startswith(f"{min(tops)}.") for k in wanted):
            break
        state = strip_prefix(state, tops.pop())
    fits = Counter(
        ".".join(parts[:depth])
        for parts in (k.split(".") for k in state)
        for depth in range(MAX_DEPTH + 1)
        if ".".join(parts[depth:]) in wanted
    )
    most = max(fits.values(), default=0)
    best = [prefix for prefix, count in fits.items() if count == most]
    # two candidates, such as teacher and student, are for the caller to choose from
    unique = len(best) == 1 and best[0] and most > len(wanted) // 2
    return strip_prefix(state, best[0]) if unique else state
