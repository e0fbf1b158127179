"""What of a model goes into a file: one network of arrays, and what a reader must know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["FromPixels", "Plan", "made_pixels"]

Arrays = Sequence[np.ndarray]

#: Patches of colour along each side of a made picture.
_PATCHES = 9


@dataclass(frozen=True)
class Plan:
    """A network in the form in which it is written.

    Attributes:
        network: sample -> a tensor or a tuple of them; in eval mode, on the CPU.
        sample: (3, ...) input; the first axis is free in the file.
        metadata: plain values for the file, read by `poise.inference`.
        outputs: a name for each output; None numbers them.
        input: name of the input.
        free_axes: further axes of the input that are free, by number -> name.
        free_outputs: the same of outputs, by their names.
        others: inputs (1, ...) that differ from `sample` in the free axes, for the comparison.
        model: what `network` was made of, for the comparison of poses.
        comparable: (outputs of the file, outputs of the network) -> the same, one row beside the
            other, where the order of rows hangs on the last digits of scores; None: as they are.
    """

    network: nn.Module
    sample: Tensor
    metadata: dict[str, Any]
    outputs: tuple[str, ...] | None = None
    input: str = "pixels"
    free_axes: Mapping[int, str] = field(default_factory=dict)
    free_outputs: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    others: tuple[Tensor, ...] = ()
    model: Any = None
    comparable: Callable[[Arrays, Arrays], tuple[Arrays, Arrays]] | None = None

    def title(self) -> str:
        """What an error calls the model."""
        parts = (self.model, *(getattr(self.model, p, None) for p in ("backbone", "head")))
        return " with ".join(type(part).__name__ for part in parts if part is not None)

    def output_names(self) -> tuple[str, ...]:
        """A name for each output."""
        if self.outputs is not None:
            return self.outputs
        return tuple(f"output_{i}" for i in range(len(self.answers(self.sample[:1]))))

    def answers(self, sample: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the network itself."""
        with torch.no_grad():
            found = self.network(sample)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    def run(self, inputs: np.ndarray) -> tuple[Tensor, ...]:
        """Outputs of the network itself, of arrays."""
        return self.answers(torch.from_numpy(np.ascontiguousarray(inputs)))


class FromPixels(nn.Module):
    """Base of networks that take pictures as they are: normalising is their first step.

    Args:
        model: an estimator or a detector.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def features(self, pixels: Tensor) -> Any:
        """Feature maps of (B, H, W, 3) uint8 BGR."""
        return self.model.extract_feat(self.inputs(pixels))

    def inputs(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) float32 as the model's preprocessor gives it."""
        pictures = pixels.permute(0, 3, 1, 2).float()
        preprocessor = self.model.data_preprocessor
        # the plainest preprocessor moves data and changes nothing
        return preprocessor.normalize(pictures) if hasattr(preprocessor, "normalize") else pictures


def made_pixels(width: int, height: int) -> Tensor:
    """(3, H, W, 3) uint8: large patches of colour with noise, different in each picture.

    Noise alone is like no picture, and hardly any network makes a difference between its places.
    """
    random = np.random.default_rng(0)
    coarse = random.normal(128, 60, (3, _PATCHES, _PATCHES, 3)).astype(np.float32)
    pictures = np.stack([cv2.resize(patches, (width, height)) for patches in coarse])
    pictures += random.normal(0, 20, pictures.shape)
    return torch.from_numpy(pictures.clip(0, 255).astype(np.uint8))
