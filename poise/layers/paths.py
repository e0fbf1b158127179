"""Path aggregation: a pyramid of maps down, then up again (Liu 2018, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from poise.errors import DataError

__all__ = ["aggregate_paths", "check_halves", "check_maps"]


def check_maps(neck: nn.Module, maps: Sequence[Tensor], count: int) -> None:
    """Check that a backbone gives as many maps as a neck has input channels for.

    Raises:
        DataError: it gives more or fewer.
    """
    if len(maps) != count:
        raise DataError(
            f"{type(neck).__name__} expects {count} maps, got {len(maps)}; the backbone's "
            "out_indices and the neck's in_channels should name the same ones"
        )


def aggregate_paths(
    maps: Sequence[Tensor],
    laterals: Iterable[nn.Module],
    downward: Iterable[nn.Module],
    downsamples: Iterable[nn.Module],
    upward: Iterable[nn.Module],
    enlarge: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """Maps of the same sizes that have all seen one another.

    Args:
        maps: (B, C, H, W) each, finest first, each half as large as the one before.
        laterals: one for each step to a finer map, before it is enlarged.
        downward: what joins an enlarged map and the finer one, both stacked.
        downsamples: one for each step to a coarser map.
        upward: what joins a shrunk map and the lateral one, both stacked.
        enlarge: doubles the sides of a map.

    Raises:
        DataError: a map is not half as large as the one before.
    """
    top = maps[-1]
    sideways = []
    for lateral, block, finer in zip(laterals, downward, maps[-2::-1], strict=True):
        sideways.append(lateral(top))
        enlarged = enlarge(sideways[-1])
        check_halves(enlarged, finer)
        top = block(torch.cat((enlarged, finer), dim=1))
    outs = [top]
    for shrink, block, coarser in zip(downsamples, upward, sideways[::-1], strict=True):
        outs.append(block(torch.cat((shrink(outs[-1]), coarser), dim=1)))
    return outs


def check_halves(enlarged: Tensor, finer: Tensor) -> None:
    """Check that a coarser map, when doubled, is as large as the finer one.

    Args:
        enlarged, finer: (B, C, H, W).

    Raises:
        DataError: another size.
    """
    # a trace holds for one size, which was checked when its example ran
    if torch.jit.is_tracing() or enlarged.shape[2:] == finer.shape[2:]:
        return
    have, want = (" x ".join(map(str, x.shape[2:])) for x in (finer, enlarged))
    raise DataError(
        f"maps of a pyramid must halve from one to the next; one of {have} cannot join a coarser "
        f"one that is doubled to {want} (height x width). Use pictures whose sides are multiples "
        "of the coarsest stride, mostly 32: set another input_size, or pad by "
        "data_preprocessor=dict(pad_size_divisor=32)"
    )
