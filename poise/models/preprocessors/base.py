"""Preprocessors that bring data to the model's device, and pictures into its number range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._arrays import moved
from poise.errors import ArgumentError, ConfigError, DataError
from poise.registry import MODELS

__all__ = ["BaseDataPreprocessor", "ImgDataPreprocessor"]


@MODELS.register_module(scope="mmengine")
class BaseDataPreprocessor(nn.Module):
    """Moves a batch to the device of the model and changes nothing else.

    Args:
        non_blocking: copy while the host goes on (pinned memory).
    """

    _anchor: Tensor

    def __init__(self, non_blocking: bool | None = False) -> None:
        super().__init__()
        self._non_blocking = bool(non_blocking)
        # follows the model wherever it is moved, in no state dict
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._anchor.device

    def cast_data(self, data: Any) -> Any:
        """Copy of nested data with all tensors and data samples on the device."""
        if isinstance(data, Mapping):
            return {key: self.cast_data(value) for key, value in data.items()}
        if hasattr(data, "to"):
            return moved(data, self.device, non_blocking=self._non_blocking)
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*map(self.cast_data, data))
        if isinstance(data, (list, tuple)):
            return type(data)(map(self.cast_data, data))
        return data

    def forward(self, data: Any, training: bool = False) -> Any:
        """Return the batch on the device.

        Args:
            data: batch, usually `{"inputs": ..., "data_samples": ...}`.
            training: whether augmentation is wanted; not used here.
        """
        return self.cast_data(data)


@MODELS.register_module(scope="mmengine")
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Stacks pictures, swaps their channels, normalises and pads them, on the device.

    Args:
        mean: mean of the channels, one value or three, after the channel swap.
        std: standard deviation of the channels, likewise.
        pad_size_divisor: height and width become multiples of it.
        pad_value: value of the padding, after normalisation.
        bgr_to_rgb: swap the channels.
        rgb_to_bgr: swap the channels.
        non_blocking: copy while the host goes on.

    Raises:
        ConfigError: `mean` without `std`, another number of values, or both swaps.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool | None = False,
    ) -> None:
        super().__init__(non_blocking)
        name = type(self).__name__
        if bgr_to_rgb and rgb_to_bgr:
            raise ConfigError(f"{name}: set bgr_to_rgb or rgb_to_bgr, not both")
        if (mean is None) != (std is None):
            raise ConfigError(f"{name}: give both mean and std, or neither; got {mean}, {std}")
        self._enable_normalize = mean is not None
        for key, values in (("mean", mean), ("std", std)):
            if values is None:
                continue
            if len(values) not in (1, 3):
                raise ConfigError(
                    f"{name}: `{key}` should have 1 value or 3 (a channel each), got {values}"
                )
            column = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(key, column, persistent=False)
        self._channel_conversion = bgr_to_rgb or rgb_to_bgr
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return the batch with `inputs` as one float tensor (B, C, H, W).

        Args:
            data: `inputs`, a list of (C, H, W) or a tensor (B, C, H, W), any dtype; with
                several scales a list of such lists. `data_samples`, or none.
            training: not used here.

        Raises:
            DataError: pictures of another shape.
            ArgumentError: `inputs` is neither tensor nor list of tensors.
        """
        data = self.cast_data(data)
        inputs = data["inputs"]
        if isinstance(inputs, (list, tuple)) and all(
            isinstance(scale, (list, tuple)) for scale in inputs
        ):
            data["inputs"] = [self.batch(scale) for scale in inputs]
        else:
            data["inputs"] = self.batch(inputs)
        data.setdefault("data_samples", None)
        return data

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width rounded up to multiples of `pad_size_divisor`."""
        d = self.pad_size_divisor
        return math.ceil(height / d) * d, math.ceil(width / d) * d

    def batch(self, pictures: Tensor | Sequence[Tensor]) -> Tensor:
        """One normalised, padded float tensor (B, C, H, W) of pictures."""
        if isinstance(pictures, Tensor):
            if pictures.ndim != 4:
                raise DataError(
                    f"{type(self).__name__}: a tensor of pictures should have the shape "
                    f"(B, C, H, W), got {tuple(pictures.shape)}"
                )
            return self._pad(self.normalize(pictures))
        if not (pictures and all(isinstance(p, Tensor) for p in pictures)):
            raise ArgumentError(
                f"{type(self).__name__}: `inputs` should be a tensor or a list of tensors, got "
                f"{type(pictures).__name__} of {[type(p).__name__ for p in pictures][:3]}"
            )
        if all(p.shape == pictures[0].shape for p in pictures):
            return self._pad(self.normalize(torch.stack(list(pictures))))
        # sizes differ: each is normalised on its own, so that padding keeps `pad_value`
        normalised = [self.normalize(p.unsqueeze(0)) for p in pictures]
        size = self.padded_size(
            max(p.shape[-2] for p in normalised), max(p.shape[-1] for p in normalised)
        )
        return torch.cat([self._pad(p, size) for p in normalised])

    def normalize(self, pictures: Tensor) -> Tensor:
        """Float pictures (B, C, H, W) with swapped channels, mean 0 and deviation 1."""
        needs_three = self._channel_conversion or (self._enable_normalize and len(self.mean) == 3)
        if needs_three and pictures.shape[1] != 3:
            raise DataError(
                f"{type(self).__name__}: to swap channels or to normalise them with 3 means, "
                f"pictures should have 3 channels, got shape {tuple(pictures.shape)}"
            )
        pictures = self._swapped_floats(pictures)
        if not self._enable_normalize:
            return pictures
        # the difference is a new tensor, which may be divided in place
        return (pictures - self.mean).div_(self.std)

    def _swapped_floats(self, pictures: Tensor) -> Tensor:
        """Float pictures (B, C, H, W), channels in the model's order."""
        if not self._channel_conversion:
            return pictures.float()
        if pictures.is_floating_point():
            return pictures[:, [2, 1, 0]].float()
        # one pass that swaps and converts: indexing bytes and then converting takes five times as
        # long on a CPU
        out = torch.empty(pictures.shape, dtype=torch.float32, device=pictures.device)
        for channel, source in enumerate((2, 1, 0)):
            out[:, channel] = pictures[:, source]
        return out

    def _pad(self, pictures: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        height, width = pictures.shape[-2:]
        target = size or self.padded_size(height, width)
        below, right = target[0] - height, target[1] - width
        if not (below or right):
            return pictures
        return F.pad(pictures, (0, right, 0, below), value=self.pad_value)
