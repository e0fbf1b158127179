"""Picture operations that several transforms share: read, decode, flip, resize.

Pictures are (H, W, 3) uint8 or float32 in BGR order unless said otherwise.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise._lazy import needed
from poise.errors import ArgumentError, DataError, FileMissingError, one_of

__all__ = [
    "COLOR_TYPES",
    "DECODERS",
    "FLIP_DIRECTIONS",
    "decode_image",
    "fetch_bytes",
    "flip_image",
    "read_bytes",
    "rescale_image",
    "rescaling_factor",
    "resize_image",
    "stored_image",
]

COLOR_TYPES = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "grayscale_ignore_orientation": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}
"""MMCV's name -> OpenCV's flag. All but the last three turn the picture as its EXIF tag says."""

FLIP_DIRECTIONS = {"horizontal": 1, "vertical": 0, "diagonal": -1}
"""Direction -> OpenCV's flip code."""

_FLIP_AXES: dict[str, tuple[int, ...]] = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
_FLIPPED_BY_OPENCV = {np.dtype(t) for t in ("u1", "i1", "u2", "i2", "f4", "f8")}

#: Larger answers are no pictures.
_MOST_BYTES = 200 << 20
_LOCAL_BACKENDS = {None, "local", "disk"}

CANVAS_RGB = (124, 117, 104)
"""Colour under transparent grey pictures in Pillow's path: near ImageNet's mean, as MMCV has it."""


def fetch_bytes(address: str, *, timeout: float = 10.0) -> bytes:
    """What is behind an http or https address.

    Args:
        address: of a picture.
        timeout: seconds of silence after which it is given up.

    Raises:
        DataError: no answer, an error answer, or more than any picture has.
    """
    # half of what importing this module would cost
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, headers={"User-Agent": "poise"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            raw: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            # it holds the connection open
            error.close()
        # URLError is an OSError; a timeout while reading is one, too
        reason = getattr(error, "reason", error)
        raise DataError(f"cannot fetch '{address}' (within {timeout:g} s): {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise DataError(f"'{address}' is larger than {_MOST_BYTES >> 20} MB; no picture is")
    return raw


def read_bytes(path: str | Path, backend_args: dict[str, Any] | None = None) -> np.ndarray:
    """Content of a file or http(s) address, (bytes,) uint8.

    Args:
        path: where it is.
        backend_args: `dict(backend="local" | "disk" | "http")`; storage servers of MMEngine
            (petrel, memcached, lmdb) are not built in.

    Raises:
        FileMissingError: no such file.
        DataError: a backend that Poise does not have; no answer from the address.
    """
    backend = (backend_args or {}).get("backend")
    text = str(path)
    if text.startswith(("http://", "https://")):
        return np.frombuffer(fetch_bytes(text), np.uint8)
    if backend not in _LOCAL_BACKENDS or "://" in text:
        raise DataError(
            f"cannot read {text!r}: local files and http(s) addresses are supported, got "
            f"backend {backend or text.split('://', 1)[0]!r}; mount the storage as a folder, or "
            "put the picture itself in results['img']"
        )
    try:
        # np.fromfile and imdecode, not imread: imread fails silently on non-ASCII Windows paths
        return np.fromfile(text, np.uint8)
    except FileNotFoundError as error:
        raise FileMissingError(
            f"picture {text!r} does not exist; check data_root, data_prefix and the annotation "
            "file's file names"
        ) from error


def stored_image(path: str | Path, color_type: str = "color") -> np.ndarray | None:
    """The picture of a file, as `decode_image` gives it; None where there is none to be read."""
    try:
        return decode_image(read_bytes(path), color_type)
    except (OSError, DataError):
        return None


def decode_image(
    content: np.ndarray, color_type: str = "color", backend: str | None = "cv2"
) -> np.ndarray:
    """Decode an encoded picture.

    Args:
        content: (bytes,) uint8.
        color_type: a name of `COLOR_TYPES`.
        backend: a name of `DECODERS`; None means "cv2".

    Returns:
        (H, W, 3) BGR, (H, W) for grey ones, or as stored for "unchanged".

    Raises:
        ArgumentError: an unknown colour type or decoder.
        DataError: not a picture that the decoder understands.
    """
    one_of(color_type, COLOR_TYPES, "the colour type of a picture", ArgumentError)
    decoder = one_of(backend or "cv2", DECODERS, "the decoder of a picture", ArgumentError)
    try:
        picture = DECODERS[decoder](content, color_type)
    except (cv2.error, OSError, ValueError) as error:
        raise DataError(f"cannot decode these {len(content)} bytes: {error}") from error
    if picture is None:
        raise DataError(f"these {len(content)} bytes are not a picture that {decoder} can decode")
    return picture


def _decode_cv2(content: np.ndarray, color_type: str) -> np.ndarray | None:
    return cv2.imdecode(content, COLOR_TYPES[color_type])


def _decode_pillow(content: np.ndarray, color_type: str) -> np.ndarray:
    from PIL import Image, ImageOps

    with io.BytesIO(content.tobytes()) as stream:
        picture: Image.Image = Image.open(stream)
        if color_type == "unchanged":
            array = np.array(picture)
            if array.ndim == 3 and array.shape[2] >= 3:
                array[:, :, :3] = array[:, :, 2::-1]
            return array
        if not color_type.endswith("_ignore_orientation"):
            picture = ImageOps.exif_transpose(picture)
        if picture.mode == "LA":
            above = picture.convert("RGBA")
            picture = Image.new("RGB", above.size, CANVAS_RGB)
            picture.paste(above, mask=above.getchannel("A"))
        picture = picture.convert("RGB")
        if color_type.startswith("grayscale"):
            return np.array(picture.convert("L"))
        return np.ascontiguousarray(np.array(picture)[:, :, ::-1])


def _decode_turbojpeg(content: np.ndarray, color_type: str) -> np.ndarray:
    turbojpeg = needed(
        "turbojpeg",
        "imdecode_backend='turbojpeg' needs PyTurboJPEG (pip install PyTurboJPEG) and the "
        "libjpeg-turbo library; 'cv2' is about as fast",
    )
    layout = {"color": turbojpeg.TJPF_BGR, "grayscale": turbojpeg.TJPF_GRAY}.get(color_type)
    if layout is None:
        raise DataError(f"turbojpeg decodes color or grayscale, not color_type={color_type!r}")
    picture = turbojpeg.TurboJPEG().decode(content.tobytes(), layout)
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def _decode_tifffile(content: np.ndarray, color_type: str) -> np.ndarray:
    tifffile = needed(
        "tifffile",
        "imdecode_backend='tifffile' needs tifffile: pip install tifffile",
    )
    with io.BytesIO(content.tobytes()) as stream:
        return np.asarray(tifffile.imread(stream))


DECODERS = {
    "cv2": _decode_cv2,
    "pillow": _decode_pillow,
    "turbojpeg": _decode_turbojpeg,
    "tifffile": _decode_tifffile,
}
"""Name of a decoder -> function of (bytes, color_type)."""


def flip_image(image: np.ndarray, direction: str) -> np.ndarray:
    """Mirror a picture or mask (H, W, ...), as a contiguous array.

    A negative-stride view would cost nothing here and a slow full copy (1.5 ms at 640x480, 60
    times this function) in the next OpenCV call.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype not in _FLIPPED_BY_OPENCV or image.ndim > 3 or channels > 4 or not image.size:
        return np.ascontiguousarray(np.flip(image, _FLIP_AXES[direction]))
    # OpenCV drops a last axis of length 1
    return cv2.flip(image, FLIP_DIRECTIONS[direction]).reshape(image.shape)


def resize_image(image: np.ndarray, size: tuple[int, int], backend: str = "cv2") -> np.ndarray:
    """Resize bilinearly to (width, height), with OpenCV or Pillow (which smooths when shrinking).

    Raises:
        ArgumentError: unknown backend.
        DataError: Pillow with a picture that is not uint8.
    """
    if backend == "cv2":
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    if backend != "pillow":
        raise ArgumentError(f"a picture is resized by 'cv2' or 'pillow', not {backend!r}")
    if image.dtype != np.uint8:
        raise DataError(
            f"Pillow resizes uint8 pictures, got {image.dtype}; use backend='cv2' with to_float32"
        )
    from PIL import Image

    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def rescaling_factor(size: tuple[int, int], scale: float | tuple[int, int]) -> float:
    """By what a picture of a size grows; arguments as for `rescale_image`.

    Raises:
        ArgumentError: a factor that is not positive.
    """
    if isinstance(scale, (int, float)):
        if scale <= 0:
            raise ArgumentError(f"a picture is scaled by a factor above 0, got {scale}")
        return float(scale)
    return min(max(scale) / max(size), min(scale) / min(size))


def rescale_image(
    image: np.ndarray, scale: float | tuple[int, int], backend: str = "cv2"
) -> np.ndarray:
    """Resize with the aspect ratio kept.

    Args:
        image: (H, W) or (H, W, C).
        scale: a factor, or the two sides that the longer and shorter edge must not exceed, in
            either order.
        backend: "cv2" or "pillow".
    """
    height, width = image.shape[:2]
    factor = rescaling_factor((width, height), scale)
    # half a pixel up, as MMCV rounds
    return resize_image(image, (int(width * factor + 0.5), int(height * factor + 0.5)), backend)
