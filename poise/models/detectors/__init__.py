"""Networks that find people, so that a pose model knows where to look."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"nanodet": "NanoDet"})
