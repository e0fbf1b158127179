"""Pictures behind addresses."""

from __future__ import annotations

import urllib.error
import urllib.request

import cv2
import numpy as np

from poise.errors import DataError

__all__ = ["fetch_picture"]

#: Larger answers are no pictures.
_MOST_BYTES = 200 << 20


def fetch_picture(address: str, *, timeout: float = 10.0) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an http or https address.

    Args:
        address: of the picture.
        timeout: seconds of silence after which it is given up.

    Raises:
        DataError: no answer, an error answer, or something that is no picture.
    """
    request = urllib.request.Request(address, headers={"User-Agent": "poise"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            raw = answer.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        # URLError is an OSError; a timeout while reading is one, too
        reason = getattr(error, "reason", error)
        raise DataError(f"cannot fetch '{address}' (within {timeout:g} s): {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise DataError(f"'{address}' is larger than {_MOST_BYTES >> 20} MB; no picture is")
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
    if image is None:
        raise DataError(f"what '{address}' answers ({len(raw)} bytes) is no readable picture")
    return image
