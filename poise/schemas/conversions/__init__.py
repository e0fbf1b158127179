"""From one skeleton to another: which keypoint of one stands where in the other."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "mapping": "Joint Mapping",
        "lookup": "find kind_of made_of named overview sides_of",
    },
)
