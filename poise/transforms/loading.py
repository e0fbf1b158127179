"""From a path to a picture."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError, PoiseError, one_of
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.image import COLOR_TYPES, DECODERS, decode_image, read_bytes

__all__ = ["LoadImage", "LoadImageFromFile", "remember_pictures"]


@TRANSFORMS.register_module(scope="mmcv")
class LoadImageFromFile(BaseTransform):
    """Read `results['img_path']` into `img`, and set `img_shape` and `ori_shape` (H, W).

    Args:
        to_float32: give float32 instead of uint8.
        color_type: "color" (BGR), "grayscale" or "unchanged"; the first two turn the picture as
            its EXIF orientation says, unless "_ignore_orientation" is appended.
        imdecode_backend: "cv2", "pillow", "turbojpeg" or "tifffile".
        file_client_args: old name of `backend_args`.
        ignore_empty: drop the sample (return None) where the picture cannot be read.
        backend_args: see `poise.transforms.image.read_bytes`.
        keep_decoded: how many decoded pictures to remember (about 1 MB each). Decoding takes
            more than half of a sample's time, and COCO has 2.6 people a picture: where they
            follow one another each picture is decoded once. Each person gets a copy. None: one
            in a data set in test mode, whose order is the file's; none elsewhere.

    Raises:
        FileMissingError: the file does not exist.
        DataError: the file is not a readable picture.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = "color",
        imdecode_backend: str | None = "cv2",
        file_client_args: dict[str, Any] | None = None,
        ignore_empty: bool = False,
        *,
        backend_args: dict[str, Any] | None = None,
        keep_decoded: int | None = None,
    ) -> None:
        if file_client_args is not None:
            if backend_args is not None:
                raise DataError(
                    "file_client_args is the old name of backend_args; give only backend_args"
                )
            warnings.warn(
                "file_client_args is the old name of backend_args; rename it",
                DeprecationWarning,
                stacklevel=2,
            )
        one_of(color_type, COLOR_TYPES, "color_type", ArgumentError)
        one_of(imdecode_backend or "cv2", DECODERS, "imdecode_backend", ArgumentError)
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend or "cv2"
        self.ignore_empty = ignore_empty
        self.backend_args = dict(backend_args or file_client_args or {})
        self.keep_decoded = keep_decoded
        # path -> picture, the one used last at the end; replaced, never changed, for threads
        self._decoded: dict[str, np.ndarray] = {}

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add `img`, `img_shape`, `ori_shape`."""
        path = results["img_path"]
        try:
            image = self._read(path)
        except (PoiseError, OSError) as error:
            if self.ignore_empty:
                return None
            if isinstance(error, DataError):
                raise DataError(f"picture {str(path)!r} cannot be read: {error}") from error
            raise
        return self._put(results, image)

    def _read(self, path: Any) -> np.ndarray:
        if not self.keep_decoded:
            return self._decode(path)
        key = str(path)
        others = dict(self._decoded)
        image = others.pop(key, None)
        if image is None:
            image = self._decode(path)
        kept = [*others.items(), (key, image)]
        self._decoded = dict(kept[-self.keep_decoded :])
        # the next person's picture is not to be spoiled by what a step does to this one
        return image.copy()

    def _decode(self, path: Any) -> np.ndarray:
        content = read_bytes(path, self.backend_args)
        return decode_image(content, self.color_type, self.imdecode_backend)

    def __getstate__(self) -> dict[str, Any]:
        # worker processes start with nothing remembered
        return self.__dict__ | {"_decoded": {}}

    def _put(self, results: dict[str, Any], image: np.ndarray) -> dict[str, Any]:
        if self.to_float32:
            image = image.astype(np.float32)
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Like `LoadImageFromFile`, but a picture already in `results['img']` is taken as it is.

    `img_path` becomes None where there was none; such a picture stays as given unless
    `to_float32` is set and the pipeline comes to it.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add `img` if it is not there, `img_shape`, `ori_shape`, `img_path`."""
        if "img" not in results:
            return super().transform(results)
        image = results["img"]
        results.setdefault("img_path", None)
        if not isinstance(image, np.ndarray) or image.ndim < 2:
            shape = f" of shape {image.shape}" if isinstance(image, np.ndarray) else ""
            raise DataError(
                f"results['img'] must be a numpy array (H, W, 3), got {type(image).__name__}"
                f"{shape} (img_path {results['img_path']!r}); convert the picture first"
            )
        return self._put(results, image)


def remember_pictures(steps: Iterable[Any]) -> None:
    """Let loading steps keep the last picture, where their config does not say how many."""
    for step in steps:
        if isinstance(step, LoadImageFromFile) and step.keep_decoded is None:
            step.keep_decoded = 1
