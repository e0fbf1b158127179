"""Reading, writing, resizing and turning of pictures: arrays (H, W, 3) in BGR order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, one_of
from poise.transforms.image import (
    COLOR_TYPES,
    FLIP_DIRECTIONS,
    decode_image,
    flip_image,
    read_bytes,
    rescaling_factor,
)

__all__ = [
    "bgr2gray",
    "bgr2rgb",
    "gray2bgr",
    "imflip",
    "imflip_",
    "imfrombytes",
    "imread",
    "imrescale",
    "imresize",
    "imwrite",
    "rescale_size",
    "rgb2bgr",
]

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}
"""MMCV's name -> OpenCV's flag."""


def imread(
    img_or_path: Any,
    flag: str | int = "color",
    channel_order: str = "bgr",
    backend: str | None = None,
    **options: Any,
) -> np.ndarray:
    """Picture of a file or http(s) address; an array comes back as it is.

    Args:
        img_or_path: where it is.
        flag: "color", "grayscale", "unchanged" and their "_ignore_orientation" forms, or OpenCV's
            number for one of these.
        channel_order: "bgr" or "rgb".
        backend: "cv2", "pillow", "turbojpeg" or "tifffile".
        options: `backend_args`.

    Raises:
        FileMissingError: no such file.
        DataError: no picture.
    """
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    raw = read_bytes(img_or_path, options.get("backend_args"))
    return imfrombytes(raw, flag, channel_order, backend)


def imfrombytes(
    content: bytes | np.ndarray,
    flag: str | int = "color",
    channel_order: str = "bgr",
    backend: str | None = None,
) -> np.ndarray:
    """Picture of an encoded file's bytes; arguments as for `imread`.

    As in MMCV, "cv2" turns channels for the flag "color" alone.
    """
    one_of(channel_order.lower(), ("bgr", "rgb"), "channel_order", ArgumentError)
    names = {number: name for name, number in COLOR_TYPES.items()}
    flag = flag if isinstance(flag, str) else names.get(flag, str(flag))
    raw = content if isinstance(content, np.ndarray) else np.frombuffer(content, np.uint8)
    image = decode_image(raw, flag, backend)
    colored = flag == "color" or (flag.startswith("color") and backend not in (None, "cv2"))
    return bgr2rgb(image) if colored and channel_order.lower() == "rgb" else image


def imwrite(
    img: np.ndarray,
    file_path: str | Path,
    params: Sequence[int] | None = None,
    auto_mkdir: bool | None = None,
    **options: Any,
) -> bool:
    """Write a picture in the format of the file's ending; folders are made.

    Raises:
        ArgumentError: an ending that OpenCV does not know, or a picture that such files cannot
            hold.
    """
    path = Path(file_path)
    try:
        # imencode and write_bytes, not imwrite: it fails silently on non-ASCII Windows paths
        done, content = cv2.imencode(path.suffix, img, list(params or ()))
    except cv2.error as error:
        raise ArgumentError(f"cannot write '{path}': {error.err}") from error
    if done:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    return bool(done)


def imresize(
    img: np.ndarray,
    size: tuple[int, int],
    return_scale: bool = False,
    interpolation: str = "bilinear",
    **options: Any,
) -> Any:
    """Picture of another (width, height); with `return_scale` the factors of both, too.

    Raises:
        ArgumentError: an interpolation that is not in `INTERPOLATIONS`.
    """
    one_of(interpolation, INTERPOLATIONS, "interpolation", ArgumentError)
    width, height = map(int, size)
    resized = cv2.resize(img, (width, height), interpolation=INTERPOLATIONS[interpolation])
    if not return_scale:
        return resized
    return resized, width / img.shape[1], height / img.shape[0]


def rescale_size(
    old_size: tuple[int, int], scale: float | tuple[int, int], return_scale: bool = False
) -> Any:
    """(width, height) of a picture that grows by a factor, or fits into (long, short) edges.

    Returns:
        The size; with `return_scale` the factor, too.

    Raises:
        ArgumentError: a factor that is not positive.
    """
    factor = rescaling_factor(old_size, scale)
    # half a pixel up, as MMCV rounds
    size = tuple(int(side * factor + 0.5) for side in old_size)
    return (size, factor) if return_scale else size


def imrescale(
    img: np.ndarray,
    scale: float | tuple[int, int],
    return_scale: bool = False,
    interpolation: str = "bilinear",
    **options: Any,
) -> Any:
    """Picture of the size that `rescale_size` gives; with `return_scale` the factor, too.

    Raises:
        ArgumentError: a factor that is not positive.
    """
    size, factor = rescale_size((img.shape[1], img.shape[0]), scale, return_scale=True)
    resized = imresize(img, size, interpolation=interpolation)
    return (resized, factor) if return_scale else resized


def imflip(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Picture mirrored: "horizontal", "vertical" or "diagonal".

    Raises:
        ArgumentError: another direction.
    """
    one_of(direction, FLIP_DIRECTIONS, "direction", ArgumentError)
    return flip_image(img, direction)


def imflip_(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """The same, written into the picture itself."""
    img[...] = imflip(img, direction)
    return img


def bgr2rgb(img: np.ndarray) -> np.ndarray:
    """Channels in RGB order."""
    return cv2.cvtColor(img, cv2.COLOR_BGR2RGB)


def rgb2bgr(img: np.ndarray) -> np.ndarray:
    """Channels in BGR order."""
    return cv2.cvtColor(img, cv2.COLOR_RGB2BGR)


def bgr2gray(img: np.ndarray, keepdim: bool = False) -> np.ndarray:
    """Grey picture (H, W), or (H, W, 1)."""
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    return grey[..., None] if keepdim else grey


def gray2bgr(img: np.ndarray) -> np.ndarray:
    """Three equal channels of a grey picture (H, W) or (H, W, 1)."""
    return cv2.cvtColor(img if img.ndim == 3 else img[..., None], cv2.COLOR_GRAY2BGR)
