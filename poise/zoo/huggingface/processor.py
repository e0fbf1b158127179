"""Pictures on their way into a network of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poise.errors import ConfigError
from poise.zoo.hub import CONFIG
from poise.zoo.parts.assembly import Tree

__all__ = ["PADDING", "Processor", "sides"]

#: how far a box is made larger, if `normalize_factor` is the usual one
PADDING, _FACTOR = 1.25, 200.0
_RESCALE = 1 / 255


class Processor:
    """What `preprocessor_config.json` says about pictures on their way in.

    Args:
        settings: of the file.
        path: the file, for error texts.
        size: width and height that the network takes.
        kind: the class that transformers has for such pictures.

    Attributes:
        mean, std: of channels, of values 0..255.
        padding: how far a box is made larger.

    Raises:
        ConfigError: settings that Poise cannot honour.
    """

    def __init__(self, settings: Tree, path: Path, size: tuple[int, int], kind: str) -> None:
        named = settings.get("image_processor_type", kind)
        if not str(named).startswith(kind):
            raise ConfigError(f"{path}: a {named}, expected {kind}")
        if not settings.get("do_affine_transform", True):
            raise ConfigError(
                f"{path}: do_affine_transform is false, so pictures should be crops already; Poise "
                "cuts people out of pictures itself: set it to true"
            )
        sides = settings.get("size") or dict(height=size[1], width=size[0])
        if (sides.get("width"), sides.get("height")) != size:
            raise ConfigError(
                f"{path}: size is {sides}, but image_size in {CONFIG} is height {size[1]} and "
                f"width {size[0]}; they should be the same"
            )
        # (x * rescale - mean) / std of their 0..255 is (x - mean / rescale) / (std / rescale)
        scale = settings.get("rescale_factor", _RESCALE) if settings.get("do_rescale", True) else 1
        normal = settings.get("do_normalize", True)
        mean = settings.get("image_mean", (0.485, 0.456, 0.406)) if normal else (0.0,) * 3
        std = settings.get("image_std", (0.229, 0.224, 0.225)) if normal else (1.0,) * 3
        self.mean = [round(float(value) / scale, 6) for value in mean]
        self.std = [round(float(value) / scale, 6) for value in std]
        self.padding = PADDING * _FACTOR / float(settings.get("normalize_factor", _FACTOR))


def sides(value: Any, key: str, path: Path) -> tuple[int, int]:
    """(height, width) of a setting that is a number or both.

    Raises:
        ConfigError: neither.
    """
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
        raise ConfigError(f"{path}: {key} should be height and width, got {value!r}")
    return pair[0], pair[1]
