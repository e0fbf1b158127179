"""Where networks run and with which numbers, and how many cores there are for the rest."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from poise.errors import ArgumentError
from poise.runtimes import available_cores

__all__ = ["codec_threads", "computing", "half_type", "pick_device"]

#: With so few cores the stages of the pipeline keep them all busy.
_FEW_CORES = 2
#: Letters of a reason of torch's that still help.
_LONGEST_REASON = 150


def pick_device(device: Any) -> Any:
    """Torch device of "auto" (or None), a name or a device.

    Raises:
        ArgumentError: a device that torch does not know, or that is not there.
    """
    import torch

    if device is not None and device != "auto":
        return _checked_device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _checked_device(device: Any) -> Any:
    """Torch device of a name, once it has been seen to work."""
    import torch

    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch goes on with lists of all kinds of devices and operators
        reason = str(error).partition("\n")[0].partition(". ")[0]
        if not 0 < len(reason) <= _LONGEST_REASON:
            reason = "torch does not know it"
        raise ArgumentError(
            f"device '{device}' cannot be used; expected auto, cpu, cuda, cuda:1 or mps, where "
            f"torch was built for it and sees it: {reason}"
        ) from error
    return found


def codec_threads() -> int:
    """Threads for FFmpeg to decode or encode a video with; 0: as many as it likes.

    One where there are few cores: the pictures would only travel between them.
    """
    return 1 if available_cores() <= _FEW_CORES else 0


def half_type(device: Any) -> Any:
    """The 16-bit type in which a device computes faster than in 32 bits, or None."""
    import torch

    if device.type == "cuda":
        return torch.float16
    able = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if device.type == "cpu" and able() else None


def computing(device: Any, half: Any) -> AbstractContextManager[Any]:
    """In which networks on a device compute with a type of 16 bits; None: as they are."""
    import torch

    return nullcontext() if half is None else torch.autocast(device.type, half)
