"""The preprocessor of pose models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from poise._options import options_of
from poise.errors import DataError
from poise.models.preprocessors.base import ImgDataPreprocessor
from poise.registry import MODELS

__all__ = ["PoseDataPreprocessor"]


@MODELS.register_module()
class PoseDataPreprocessor(ImgDataPreprocessor):
    """Normalises pictures, tells the samples their padded shapes, augments whole batches.

    Args:
        **options: those of `ImgDataPreprocessor`, which come first.
        batch_augments: configs or modules `(inputs, data_samples) -> (inputs,
            data_samples)`, applied in training.
    """

    @options_of(ImgDataPreprocessor, positional=True)
    def __init__(self, *, batch_augments: Sequence[Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.batch_augments = (
            None
            if batch_augments is None
            else nn.ModuleList([MODELS.build(augment) for augment in batch_augments])
        )

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return `inputs` (B, C, H, W) and `data_samples` with their padded shapes.

        Args:
            data: `inputs`, a list of (C, H, W) or a tensor (B, C, H, W); `data_samples`.
            training: apply the batch augmentations.
        """
        if "inputs" not in data:
            raise DataError(
                f"{type(self).__name__} needs a batch with `inputs` and `data_samples`, got "
                f"{', '.join(sorted(map(str, data))[:8]) or 'nothing'}; does the pipeline end with "
                "PackPoseInputs?"
            )
        shapes = self._pad_shapes(data["inputs"])
        data = super().forward(data, training)
        inputs, samples = data["inputs"], data["data_samples"]
        # of several scales the first one is what the samples speak of
        batch = inputs if isinstance(inputs, Tensor) else inputs[0]
        for sample, shape in zip(samples or (), shapes, strict=False):
            sample.set_metainfo({"batch_input_shape": tuple(batch.shape[-2:]), "pad_shape": shape})
        if training and self.batch_augments is not None:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {"inputs": inputs, "data_samples": samples}

    def _pad_shapes(self, inputs: Any) -> list[tuple[int, int]]:
        """Height and width of each picture after its own padding."""
        if isinstance(inputs, (list, tuple)) and inputs and isinstance(inputs[0], (list, tuple)):
            inputs = inputs[0]
        if not all(isinstance(picture, Tensor) for picture in inputs):
            return []
        return [self.padded_size(*picture.shape[-2:]) for picture in inputs]
