"""From a list of samples to a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from poise.errors import DataError
from poise.registry import FUNCTIONS

__all__ = ["default_collate", "pseudo_collate"]

Leaf = Callable[[Sequence[Any]], Any]


@FUNCTIONS.register_module(scope="mmengine")
def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Turn a list of dicts into a dict of lists; nothing is stacked.

    Images of one batch may differ in size; the data preprocessor stacks them.

    Example:
        >>> pseudo_collate([{"inputs": 1, "id": "a"}, {"inputs": 2, "id": "b"}])
        {'inputs': [1, 2], 'id': ['a', 'b']}
    """
    return _transposed(data_batch, lambda samples: samples)


@FUNCTIONS.register_module(scope="mmengine")
def default_collate(data_batch: Sequence[Any]) -> Any:
    """Turn a list of dicts into a dict of stacked tensors; data samples stay a list."""
    return _transposed(data_batch, _stacked)


def _stacked(samples: Sequence[Any]) -> Any:
    from torch.utils.data import default_collate as stack

    # PoseDataSample and other elements carry their metainfo; there is no stack of them
    if isinstance(samples[0], str | bytes) or hasattr(samples[0], "metainfo"):
        return samples
    return stack(list(samples))


def _transposed(samples: Sequence[Any], leaf: Leaf) -> Any:
    first = samples[0]
    if isinstance(first, str | bytes):
        return leaf(samples)
    if isinstance(first, Mapping):
        lacking = [key for key in first for s in samples if key not in s]
        if lacking:
            raise DataError(
                f"samples of a batch need the same keys; one has no `{lacking[0]}`, which the "
                "first one has"
            )
        columns = {key: _transposed([s[key] for s in samples], leaf) for key in first}
        return type(first)(columns)  # type: ignore[call-arg]
    if not isinstance(first, Sequence):
        return leaf(samples)
    sizes = {len(s) for s in samples}
    if len(sizes) != 1:
        raise DataError(
            f"the samples of a batch hold sequences of different lengths ({sorted(sizes)}), "
            "which cannot be put side by side; pack them with PackPoseInputs"
        )
    parts = [_transposed(list(part), leaf) for part in zip(*samples, strict=True)]
    if hasattr(first, "_fields"):
        return type(first)(*parts)
    # tuples become lists, as torch's collate does it
    return parts if isinstance(first, tuple) else _like(first, parts)


def _like(first: Sequence[Any], parts: list[Any]) -> Any:
    try:
        return type(first)(parts)  # type: ignore[call-arg]
    except TypeError:
        # a `range`, say, is a sequence that cannot be made from one
        return parts
