"""The sample that goes from the pipeline through the model to the metrics."""

from __future__ import annotations

from typing import Any

from poise.structures.element import BaseDataElement, MissingFieldError
from poise.structures.instance_data import InstanceData
from poise.structures.pixel_data import MultilevelPixelData, PixelData

__all__ = ["PoseDataSample"]


def _typed(name: str, *kinds: type[BaseDataElement], doc: str) -> Any:
    """Property for a data field that holds one of some types."""

    def read(self: BaseDataElement) -> Any:
        try:
            return self._data[name]
        except KeyError:
            raise MissingFieldError(self, name) from None

    def write(self: BaseDataElement, value: Any) -> None:
        self.set_field(value, name, dtype=kinds)

    def delete(self: BaseDataElement) -> None:
        if name not in self._data:
            raise MissingFieldError(self, name)
        del self._data[name]

    return property(read, write, delete, doc)


class PoseDataSample(BaseDataElement):
    """One picture or crop: what is known of it, what was predicted, and its meta information.

    Fields appear when they are set; each accepts only its type. Keypoints in `gt_instances`
    and `pred_instances` are in image space, those in `gt_instance_labels` are what the codec
    made of them, and `gt_fields` and `pred_fields` are in output space.

    Example:
        >>> import numpy as np
        >>> people = InstanceData(keypoints=np.zeros((1, 17, 2)))
        >>> sample = PoseDataSample(metainfo=dict(img_shape=(256, 192)), gt_instances=people)
        >>> len(sample.gt_instances), "pred_instances" in sample
        (1, False)
    """

    __slots__ = ()

    def text_of_missing(self, name: str) -> str:
        """Text for a field that is not there; for a target, where targets come from."""
        text = super().text_of_missing(name)
        if name in ("gt_fields", "gt_instance_labels"):
            text += (
                ". It holds training targets, which GenerateTarget encodes and PackPoseInputs "
                "packs: is GenerateTarget's encoder the codec of the head's decoder?"
            )
        return text

    gt_instances: InstanceData = _typed(
        "gt_instances", InstanceData, doc="Annotated instances, image space."
    )
    gt_instance_labels: InstanceData = _typed(
        "gt_instance_labels", InstanceData, doc="Training targets per instance."
    )
    pred_instances: InstanceData = _typed(
        "pred_instances", InstanceData, doc="Predicted instances, image space."
    )
    gt_fields: PixelData | MultilevelPixelData = _typed(
        "gt_fields", PixelData, MultilevelPixelData, doc="Training targets as maps, output space."
    )
    pred_fields: PixelData = _typed("pred_fields", PixelData, doc="Predicted maps, output space.")
