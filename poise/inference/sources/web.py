"""Pictures behind addresses."""

from __future__ import annotations

import numpy as np

from poise.errors import DataError
from poise.inference.sources.pictures import decoded
from poise.transforms.image import fetch_bytes

__all__ = ["fetch_picture"]


def fetch_picture(address: str, *, timeout: float = 10.0) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an http or https address.

    Args:
        address: of the picture.
        timeout: seconds of silence after which it is given up.

    Raises:
        DataError: no answer, an error answer, or something that is no picture.
    """
    raw = fetch_bytes(address, timeout=timeout)
    image = decoded(np.frombuffer(raw, np.uint8), address)
    if image is None:
        raise DataError(f"what '{address}' answers ({len(raw)} bytes) is no readable picture")
    return image
