"""Any detection model of torchvision as a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.errors import CheckpointError, UnknownNameError, one_of
from poise.inference.detectors.base import SelectingDetector

__all__ = ["TorchvisionDetector"]

#: COCO's number of "person" in torchvision, where 0 is the background
PERSON = 1


class TorchvisionDetector(SelectingDetector):
    """A detection model of torchvision; pictures go in as RGB in 0..1, each in its own size.

    Args:
        model: name such as "fasterrcnn_resnet50_fpn_v2", or a built model that returns `boxes`,
            `scores` and `labels` for a list of pictures.
        weights: checkpoint of a model of that name; None takes torchvision's best.
        device: torch device.
        score_threshold, iou_threshold, max_boxes: as `SelectingDetector`.
        categories: labels to keep, as torchvision numbers them: 1 is "person".

    Raises:
        UnknownNameError: torchvision has no such detection model.
        CheckpointError: the weights cannot be fetched or do not fit.
    """

    def __init__(
        self,
        model: Any,
        weights: Any = None,
        *,
        device: Any = "cpu",
        score_threshold: float = 0.3,
        iou_threshold: float | None = None,
        categories: int | Sequence[int] | None = (PERSON,),
        max_boxes: int = 100,
    ) -> None:
        super().__init__(score_threshold, iou_threshold, categories, max_boxes)
        name = model if isinstance(model, str) else type(model).__name__
        if isinstance(model, str):
            model = _built(model, weights)
        self.model = model.to(device).eval()
        self._device = device
        self.description = self.described(f"torchvision's {name}", None)

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of each picture, best first, cut at the borders of the picture."""
        import torch

        if not images:
            return []
        # RGB, a copy: torch takes no negative strides
        pictures = [
            torch.from_numpy(image[..., ::-1].copy()).to(self._device).permute(2, 0, 1) / 255
            for image in images
        ]
        with torch.inference_mode():
            found = self.model(pictures)
        results = []
        for image, answer in zip(images, found, strict=True):
            boxes, scores, labels = (
                answer[key].cpu().numpy() for key in ("boxes", "scores", "labels")
            )
            results.append(self.select(boxes, scores, labels, image.shape))
        return results


def _built(name: str, weights: Any) -> Any:
    """Model of a name, with weights."""
    from torchvision.models import detection, get_model, list_models

    known = list_models(module=detection)
    one_of(name, known, "a detection model of torchvision", UnknownNameError)
    if weights is not None:
        from poise.models.weights import load_checkpoint

        model = get_model(name, weights=None, weights_backbone=None)
        load_checkpoint(model, weights, same_shapes=True)
        return model
    try:
        return get_model(name, weights="DEFAULT")
    except OSError as error:
        raise CheckpointError(
            f"the weights of torchvision's {name} could not be fetched: {error}. Without a "
            "network, put the file that torchvision names into its folder of downloads, or give "
            "weights='FILE.pth'"
        ) from error
