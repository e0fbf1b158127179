"""What every detector is: pictures -> boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise.errors import ArgumentError, ConfigError, one_of
from poise.layers import BaseModule
from poise.models.layout import PictureNetwork, dense
from poise.models.renames import rename_old_keys
from poise.registry import MODELS

__all__ = ["Detector"]

Config = Mapping[str, Any]

MODES = ("tensor", "predict", "loss")


class Detector(PictureNetwork, BaseModule):
    """Pictures -> boxes, scores and classes.

    Subclasses add heads, and say in `raw_maps` and `find` how they run; those that train have
    `loss`, too.

    Args:
        backbone: pictures -> features; a config or a module, as all parts.
        neck: features -> features, or None.
        train_cfg, test_cfg: kept; heads take theirs.
        data_preprocessor: batch -> model input; None only moves data to the device.
    """

    _version = 1

    backbone: Any
    neck: Any

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = {"type": "mmengine.BaseDataPreprocessor"}
        self.data_preprocessor: Any = MODELS.build(data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        # files of some versions carry what the config says
        rename_old_keys(self, [], always=[(r"data_preprocessor\.(mean|std)$", None)])

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return self.neck is not None

    @property
    def last_head(self) -> Any:
        """The head that gives the boxes: has `num_classes` and `test_cfg`."""
        raise NotImplementedError(f"{type(self).__name__} does not define `last_head`")

    def forward(
        self, inputs: Any, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Run the model.

        Args:
            inputs: (B, 3, H, W), as the preprocessor gives it.
            data_samples: B samples; needed but for "tensor".
            mode: "tensor" gives the raw maps of the first head, "predict" the samples with
                `pred_instances`: `bboxes` (N, 4) xyxy in image space, `scores` (N,), `labels`
                (N,), best first; "loss" a dict of losses.

        Raises:
            ConfigError: another mode.
        """
        if mode == "tensor":
            return dense(self.raw_maps(self.extract_feat(inputs)))
        one_of(mode, MODES, "mode")
        if data_samples is None:
            raise ArgumentError(
                f"{type(self).__name__}: mode={mode!r} needs `data_samples`; for raw outputs use "
                "mode='tensor'"
            )
        return (self.predict if mode == "predict" else self.loss)(inputs, data_samples)

    def raw_maps(self, feats: Any) -> Any:
        """What the first head makes of feature maps."""
        raise NotImplementedError(f"{type(self).__name__} does not define `raw_maps`")

    def find(self, feats: Any, batch_data_samples: Sequence[Any], *, rescale: bool) -> list[Any]:
        """B `InstanceData` of `bboxes`, `scores` and `labels`; arguments as `predict`."""
        raise NotImplementedError(f"{type(self).__name__} does not define `find`")

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of pictures (B, 3, H, W).

        Raises:
            ConfigError: a detector that only predicts.
        """
        from poise.zoo.refused import no_training

        raise ConfigError(no_training(type(self).__name__))

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """Feature maps of pictures (B, 3, H, W), finest first."""
        feats = self.backbone(self.laid_out(batch_inputs))
        return self.neck(feats) if self.with_neck else feats

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: Sequence[Any], rescale: bool = True
    ) -> Sequence[Any]:
        """Samples with `pred_instances`.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: B samples with `img_shape` and `scale_factor`.
            rescale: give boxes in image space, not in input space.
        """
        feats = self.extract_feat(batch_inputs)
        found = self.find(feats, batch_data_samples, rescale=rescale)
        for sample, instances in zip(batch_data_samples, found, strict=True):
            sample.pred_instances = instances
        return batch_data_samples

    def test_step(self, data: Any) -> Sequence[Any]:
        """Predictions of a batch from the data loader."""
        return self(**self.data_preprocessor(data, False), mode="predict")

    val_step = test_step
