"""When a batch does not fit into memory: which one would."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from poise._words import counted
from poise.errors import PoiseError

__all__ = ["BatchTooLargeError", "explain_out_of_memory", "is_out_of_memory", "largest_that_fits"]

#: Texts of torch's errors that are no `OutOfMemoryError`.
_TEXTS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
#: Share of the batch that fits which is advised: sizes of pictures and people vary.
_CAREFUL = 0.9


class BatchTooLargeError(PoiseError, RuntimeError):
    """A batch did not fit into memory; the text says which would."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a GPU or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(t in str(error) for t in _TEXTS)


def largest_that_fits(size: int, fits: Callable[[int], bool]) -> int:
    """Largest batch below `size` that fits, by halving and then narrowing down; 0 for none.

    Example:
        >>> largest_that_fits(64, lambda n: n <= 21)
        21
    """
    too_large, found = size, 0
    while too_large > 1 and not found:
        middle = too_large // 2
        found, too_large = (middle, too_large) if fits(middle) else (0, middle)
    while too_large - found > max(1, found // 16) and found:
        middle = (found + too_large) // 2
        found, too_large = (middle, too_large) if fits(middle) else (found, middle)
    return found


def explain_out_of_memory(
    batch: Any, attempt: Callable[[Any], None], *, accumulative_counts: int = 1
) -> BatchTooLargeError:
    """Measure which batch fits, and put it into words.

    Args:
        batch: what did not fit: `inputs` and `data_samples`.
        attempt: computes loss and gradients of a batch; raises where memory runs out.
        accumulative_counts: batches that make one step now.
    """
    size = len(batch["data_samples"])

    def fits(count: int) -> bool:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(_first(batch, count))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    found = largest_that_fits(size, fits)
    text = f"memory ran out with {counted(size, 'sample')} in the batch"
    if not found:
        return BatchTooLargeError(
            f"{text}, and one sample does not fit either; train with mixed precision (--amp), "
            "with --set speed.checkpointing=True, or with a smaller input or model"
        )
    advised = max(1, int(found * _CAREFUL))
    steps = accumulative_counts * math.ceil(size / advised)
    return BatchTooLargeError(
        f"{text}; {found} fit. Go on with --batch-size {advised} --resume auto and, for steps of "
        f"as many samples as now, --set optim_wrapper.accumulative_counts={steps}; --amp and "
        "--set speed.checkpointing=True make more fit"
    )


def _first(batch: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The first samples of a batch, whose parts are lists or stacked tensors."""
    return {k: v[:count] if hasattr(v, "__getitem__") else v for k, v in batch.items()}
