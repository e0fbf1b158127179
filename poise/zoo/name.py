"""The name of a released model says most of its recipe: method, network, batch, data, size."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poise.errors import UnknownNameError

__all__ = ["Name", "matched", "parse"]

_PATTERN = re.compile(
    r"(?P<method>[^_]+)_((?P<network>.+?)[_-])?(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<epochs>\d+)e"
    r"_(?P<data>.+?)-(?P<height>\d+)x(?P<width>\d+)(?P<suffix>[-\w]*)"
)


@dataclass(frozen=True)
class Name:
    """Parts of a name such as "td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192".

    Attributes:
        stem: the whole name.
        method: "td-hm"; "rtmpose-m" where the method has a size of its own.
        network: "hrnet-w32"; empty where the method says it.
        variant: "dark", "udp", "fp16", "awing" ...; empty for the plain recipe.
        gpus: number of devices the recipe was made for.
        batch: training samples on each device.
        epochs: length of training.
        data: "coco", "coco-wholebody-hand" ...
        size: input width and height in pixels.
        suffix: what follows the size, such as "merge".
    """

    stem: str
    method: str
    network: str
    variant: str
    gpus: int
    batch: int
    epochs: int
    data: str
    size: tuple[int, int]
    suffix: str


def matched(pattern: str | re.Pattern[str], stem: str) -> re.Match[str]:
    """What a pattern finds in the whole of a name.

    Raises:
        UnknownNameError: the name does not follow it.
    """
    found = re.fullmatch(pattern, stem)
    if found is None:
        raise UnknownNameError(
            f"'{stem}' is not a model name such as td-hm_res50_8xb64-210e_coco-256x192"
        )
    return found


def parse(stem: str) -> Name:
    """Parts of a name that follows the usual scheme.

    Raises:
        UnknownNameError: the name does not follow it.

    Example:
        >>> parse("td-hm_res50_dark-8xb64-210e_coco-256x192").variant
        'dark'
    """
    found = matched(_PATTERN, stem).groupdict(default="")
    network, _, variant = found["network"].partition("_")
    return Name(
        stem=stem,
        method=found["method"],
        network=network,
        variant=variant,
        gpus=int(found["gpus"]),
        batch=int(found["batch"]),
        epochs=int(found["epochs"]),
        data=found["data"],
        size=(int(found["width"]), int(found["height"])),
        suffix=found["suffix"].strip("-"),
    )
