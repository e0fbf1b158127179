"""Parameters and multiply-adds of published backbones, counted once and kept beside this file."""

from __future__ import annotations

import functools
from pathlib import Path

from poise.zoo.variants import VARIANTS

__all__ = ["TABLE_SIZE", "known_costs", "variant_names"]

#: height and width that the table was counted at
TABLE_SIZE = (256, 192)
_TABLE = Path(__file__).parent / "backbones.txt"


def variant_names() -> list[tuple[str, str]]:
    """Class and variant of every published backbone."""
    return [(family, variant) for family, row in VARIANTS.items() for variant in row]


@functools.cache
def known_costs() -> dict[tuple[str, str], tuple[int, int | None]]:
    """(class, variant) -> parameters, and multiply-adds at `TABLE_SIZE` or None.

    None stands for networks that refuse that size or take no pictures.
    """
    found: dict[tuple[str, str], tuple[int, int | None]] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        family, variant, parameters, work = line.split()
        found[family, variant] = int(parameters), None if work == "-" else int(work)
    return found
