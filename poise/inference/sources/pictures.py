"""Where pictures come from: files, folders, patterns, arrays, PIL images."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from poise._files import files_below
from poise.errors import DataError, FileMissingError
from poise.inference.results.pose_result import SourceInfo
from poise.inference.sources.frame import missing_file
from poise.transforms.image import fetch_bytes

__all__ = [
    "IMAGE_SUFFIXES",
    "Picture",
    "decoded",
    "fetch_picture",
    "list_pictures",
    "mistaken_for_picture",
    "read_picture",
    "to_bgr",
]

#: the last three are not read by every OpenCV, and told where they are not
IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"),
        *(".avif", ".heic", ".heif"),
    }
)
#: How files begin that are taken for pictures by mistake: (offset, bytes) -> what it is.
_OTHERS = {
    (0, b"GIF8"): "a GIF",
    (0, b"%PDF"): "a PDF",
    (0, b"PK\x03\x04"): "a ZIP archive",
    (0, b"\x1a\x45\xdf\xa3"): "a video (Matroska or WebM)",
    (4, b"ftyphei"): "a HEIC picture",
    (4, b"ftypmif"): "a HEIC picture",
    (4, b"ftypavif"): "an AVIF picture, which this OpenCV does not read",
    (4, b"ftyp"): "a video (MP4 or QuickTime)",
    (0, b"{"): "JSON",
    (0, b"data:"): "the text of a data address",
    (0, b"<"): "HTML or XML",
    (0, b"version https://git-lfs"): "a pointer of Git LFS; `git lfs pull` brings the picture",
}
#: What people have in place of a picture -> what makes one of it.
_OTHER_KINDS = {
    "Tensor": "; of a tensor (3, H, W) uint8 RGB: x.permute(1, 2, 0).flip(-1).cpu().numpy()",
    "bytes": "; of a file's content: cv2.imdecode(np.frombuffer(x, np.uint8), 1)",
}


class Picture(NamedTuple):
    """A picture that is to be read.

    `source` is a path or pixels; `name` tells it apart in results; `relative` is the path below
    the folder that was asked for, which the result files keep.
    """

    name: str
    source: Path | np.ndarray | Any
    relative: Path


def list_pictures(
    inputs: Any, *, suffixes: frozenset[str] = IMAGE_SUFFIXES, first: int = 0
) -> Iterator[Picture]:
    """Every picture of `inputs`, in a fixed order.

    Args:
        inputs: path, folder (searched whole), pattern with `*`, array (H, W), (H, W, 3 or 4) in
            BGR order, PIL image, or a list of these.
        suffixes: files of a folder that count.
        first: number of the first input, for the names of arrays.

    Raises:
        FileMissingError: a path or pattern that leads to nothing.
    """
    items = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    for i, item in enumerate(items, first):
        if isinstance(item, (str, os.PathLike)):
            yield from _from_path(os.fspath(item), suffixes)
        elif isinstance(item, np.ndarray) or hasattr(item, "convert"):
            yield Picture(f"array-{i}", item, Path(f"array-{i}"))
        else:
            hint = _OTHER_KINDS.get(type(item).__name__, "")
            raise DataError(
                f"input {i} is a {type(item).__name__}; give a path, a folder, a pattern, a numpy "
                f"array (H, W, 3) in BGR order, a PIL image, or a list of these{hint}"
            )


def _from_path(text: str, suffixes: frozenset[str]) -> Iterator[Picture]:
    path = Path(text)
    if path.is_dir():
        found = [file for file in files_below(path) if file.suffix.lower() in suffixes]
        if not found:
            raise FileMissingError(
                f"folder '{path}' holds no pictures (looked for {', '.join(sorted(suffixes))})"
            )
        yield from (Picture(str(p), p, p.relative_to(path)) for p in found)
    elif path.exists() or not glob.has_magic(text):
        # a missing file is told by who reads it, so that one of many need not stop a run
        yield Picture(text, path, Path(path.name))
    else:
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 (patterns may be absolute)
        if not matches:
            raise FileMissingError(f"no file matches '{text}' (looked in {Path.cwd()})")
        yield from (Picture(m, Path(m), Path(Path(m).name)) for m in matches)


def read_picture(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8 BGR, turned as its EXIF orientation says.

    Raises:
        FileMissingError: no such file.
        DataError: the file is no picture that can be decoded, or an array of a wrong kind.
    """
    if not isinstance(picture.source, Path):
        return to_bgr(picture.source, name=picture.name)
    missing = missing_file(SourceInfo(picture.name, path=picture.source))
    if missing is not None:
        raise missing
    try:
        # pipes, too, such as /dev/stdin
        raw = np.frombuffer(picture.source.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"cannot read '{picture.name}': {error.strerror or error}") from error
    image = decoded(raw, picture.name)
    if image is None:
        raise DataError(f"'{picture.name}' {_what_it_is(raw)}")
    return image


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


def _what_it_is(raw: np.ndarray) -> str:
    """What to say of bytes that are no picture."""
    if raw.size == 0:
        return "is empty; open it in a viewer, or save it anew"
    what = mistaken_for_picture(raw[:32].tobytes())
    if what is not None:
        advice = "" if "git lfs" in what else "; save it as JPEG or PNG"
        return f"is {what}{advice}"
    return f"({raw.size} bytes) is no readable picture; open it in a viewer, or save it anew"


def mistaken_for_picture(begin: bytes) -> str | None:
    """What a file is that no decoder takes, in words, by its first 32 bytes; None if unknown."""
    found = (
        what
        for (offset, start), what in _OTHERS.items()
        if begin[offset : offset + len(start)] == start
    )
    return next(found, None)


def decoded(raw: np.ndarray, name: str) -> np.ndarray | None:
    """Bytes of a picture file -> (H, W, 3) uint8 BGR; None where they are no picture.

    Raises:
        DataError: by its own account it has more pixels than OpenCV reads.
    """
    try:
        return cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    except cv2.error as error:
        raise DataError(f"'{name}' cannot be decoded: {error.err}") from error


def to_bgr(image: Any, *, name: str = "the picture") -> np.ndarray:
    """Pixels in any usual form -> (H, W, 3) uint8 BGR.

    Args:
        image: numpy array (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16
            (scaled down) or bool; or a PIL image of any mode.
        name: for the error text.

    Raises:
        DataError: another shape or dtype.
    """
    if hasattr(image, "convert") and image.mode.startswith("I"):
        # 16 bits, which PIL would cut to 8
        image = np.asarray(image).clip(0, 0xFFFF).astype(np.uint16)
    elif hasattr(image, "convert"):
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype == bool:
        image = image.astype(np.uint8) * 255
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise DataError(
            f"{name} must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), got {image.dtype} "
            f"{image.shape}{_mend(image)}"
        )
    if 0 in image.shape:
        raise DataError(f"{name} has no pixels: shape {image.shape}")
    if channels == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR)
    if channels == 4:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGRA2BGR)
    return np.ascontiguousarray(image)


def _mend(image: np.ndarray) -> str:
    """What makes a picture of an array that is none; empty where nothing is likely."""
    if image.ndim == 4:
        return "; several pictures are a list of them: list(x)"
    if image.ndim == 3 and image.shape[0] in (1, 3):
        return "; channels come last: x.transpose(1, 2, 0)"
    if image.dtype.kind == "f":
        return "; a float picture in 0..1 becomes one by (255 * x).astype('uint8')"
    return ""
