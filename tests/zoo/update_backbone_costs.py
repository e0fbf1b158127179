"""Count parameters and multiply-adds of all published backbones and write them down."""

from pathlib import Path

import poise.zoo
from poise.models import backbones
from poise.models.cost import cost
from poise.zoo.backbone_costs import TABLE_SIZE, variant_names
from poise.zoo.variants import SEQUENCES

TABLE = Path(poise.zoo.__file__).parent / "backbones.txt"


def line(family, variant):
    """Row of the table."""
    shape = None if family in SEQUENCES else (1, 3, *TABLE_SIZE)
    found = cost(lambda: getattr(backbones, family).variant(variant), shape)
    work = "-" if found.multiply_adds is None else found.multiply_adds
    return f"{family} {variant} {found.parameters} {work}"


if __name__ == "__main__":
    height, width = TABLE_SIZE
    head = f"# class, variant, parameters, multiply-adds at {height} x {width} (height x width)"
    TABLE.write_text("\n".join([head, *(line(*names) for names in variant_names())]) + "\n")
