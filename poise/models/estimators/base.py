"""Base of all estimators: build the parts, answer in three modes, take training steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ArgumentError, ConfigError, DataError, one_of
from poise.models.base_model import BaseModel
from poise.models.estimators.outdated import modernise
from poise.models.layout import PictureNetwork, dense
from poise.models.progress import Progress, share_progress
from poise.models.renames import rename_old_keys
from poise.registry import MODELS

__all__ = ["BasePoseEstimator"]

MODES = ("tensor", "predict", "loss")


def _build_part(name: str, part: Any) -> nn.Module:
    if not isinstance(part, (Mapping, nn.Module)):
        got = f"the class {part.__name__}" if isinstance(part, type) else type(part).__name__
        raise ArgumentError(f"`{name}` should be a config dict or a module, got {got}")
    return MODELS.build(part)


class BasePoseEstimator(PictureNetwork, BaseModel):
    """A backbone, perhaps a neck, a head, and what is done with their outputs.

    Every part may be a config dict or a built module.

    Args:
        backbone: pictures -> features.
        neck: features -> features, or None.
        head: features -> losses or predictions, or None.
        train_cfg: settings the head reads while it trains.
        test_cfg: settings for predictions (`flip_test` ...); the head gets a copy.
        data_preprocessor: batch -> model input; None only moves data to the device.
        use_syncbn: batch norms see the batch of all processes, where training runs in several.
        metainfo: schema that replaces the samples' when the model predicts.

    Raises:
        ArgumentError: a part is neither a dict nor a module.
    """

    _version = 2

    # parts and settings are what a config names
    backbone: Any
    neck: Any
    head: Any
    metainfo: Any
    train_cfg: Any
    test_cfg: Any

    def __init__(
        self,
        backbone: Any,
        neck: Any = None,
        head: Any = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Any = None,
        use_syncbn: bool = False,
        init_cfg: Any = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.metainfo = self._load_metainfo(metainfo)
        self.train_cfg = train_cfg or {}
        self.test_cfg = test_cfg or {}
        self.backbone = _build_part("backbone", backbone)
        neck, head = modernise(neck, head)
        if neck is not None:
            self.neck = _build_part("neck", neck)
        if head is not None:
            self.head = _build_part("head", head)
            self.head.test_cfg = dict(self.test_cfg)
        rename_old_keys(
            self,
            [(r"(keypoint|decode)_head\.", "head."), (r"rescore_net\.", "head.rescore_net.")],
            always=[(r"data_preprocessor\.(mean|std)$", None)],
        )
        self.use_syncbn = use_syncbn

    @property
    def with_neck(self) -> bool:
        """Whether there is a neck."""
        return getattr(self, "neck", None) is not None

    @property
    def with_head(self) -> bool:
        """Whether there is a head."""
        return getattr(self, "head", None) is not None

    @staticmethod
    def _load_metainfo(metainfo: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Parsed schema of `metainfo`."""
        if metainfo is None:
            return None
        if not isinstance(metainfo, Mapping):
            raise ArgumentError(f"metainfo should be a dict, got {type(metainfo).__name__}")
        from poise.structures.metainfo import parse_pose_metainfo

        return parse_pose_metainfo(metainfo)

    def set_progress(self, epoch: int, max_epochs: int, iter: int, max_iters: int) -> None:  # noqa: A002
        """Tell the model where training stands.

        Some losses fade in or out. The training loop calls this before every step.

        Args:
            epoch: epochs finished.
            max_epochs: epochs of the run.
            iter: iterations finished.
            max_iters: iterations of the run.
        """
        share_progress(self, Progress(epoch, max_epochs, iter, max_iters))

    def switch_to_deploy(self) -> None:
        """Let parts with a simpler form for inference take it."""
        for module in list(self.modules()):
            switch = getattr(module, "switch_to_deploy", None)
            if module is not self and callable(switch):
                switch(self.test_cfg)

    # ------------------------------------------------------------------ forward

    def forward(
        self, inputs: Any, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Run the model.

        Args:
            inputs: (B, C, H, W), or a list of B tensors (C, H, W).
            data_samples: B samples; needed but for "tensor".
            mode: "tensor" gives the network's raw outputs, "predict" the samples with
                `pred_instances`, "loss" a dict of losses.

        Raises:
            ConfigError: another mode.
            DataError: no pictures, or another number of samples.
        """
        if isinstance(inputs, (list, tuple)) and not inputs:
            raise DataError(f"{type(self).__name__} got an empty list of pictures")
        if isinstance(inputs, (list, tuple)) and self._is_one_batch(inputs):
            inputs = torch.stack(list(inputs))
        if mode == "tensor":
            return self._forward(inputs)
        one_of(mode, MODES, "mode")
        if data_samples is None:
            raise ArgumentError(
                f"{type(self).__name__}: mode='{mode}' needs `data_samples`; for raw outputs "
                "use mode='tensor'"
            )
        picture = self.with_head and isinstance(inputs, Tensor) and inputs.ndim == 4
        if picture and len(inputs) != len(data_samples):
            raise DataError(
                f"{type(self).__name__}: {len(inputs)} pictures came with {len(data_samples)} "
                "data_samples; each picture has one"
            )
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if self.metainfo is not None:
            for sample in data_samples:
                sample.set_metainfo(self.metainfo)
        return self.predict(inputs, data_samples)

    @staticmethod
    def _is_one_batch(inputs: Sequence[Any]) -> bool:
        """Whether a list holds samples, not batches of several scales."""
        same = all(isinstance(x, Tensor) and x.shape == inputs[0].shape for x in inputs)
        return same and inputs[0].ndim < 4

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Any]:
        """Losses of pictures (B, C, H, W), by the head."""
        feats = self.extract_feat(inputs)
        if not self.with_head:
            return {}
        with self.explained(feats):
            return self.head.loss(feats, data_samples, train_cfg=self.train_cfg)

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> Sequence[Any]:
        """Samples of a batch with predictions."""
        raise NotImplementedError(f"{type(self).__name__} does not define `predict`")

    def _forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> Any:
        """Raw outputs."""
        feats = self.extract_feat(inputs)
        if not self.with_head:
            return dense(feats)
        with self.explained(feats):
            return dense(self.head.forward(feats))

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of pictures (B, C, H, W), one tensor or several scales."""
        feats = self.backbone(self.laid_out(inputs))
        return self.neck(feats) if self.with_neck else feats

    def explained(self, feats: Any) -> AbstractContextManager[None]:
        """Say it plainly when the head fails because features have another shape.

        Raises:
            ConfigError: in place of torch's error.
        """
        # torch.compile before 2.7 cannot follow generators
        return nullcontext() if torch.compiler.is_compiling() else self._explained(feats)

    @contextmanager
    def _explained(self, feats: Any) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            explained = self._misfit(feats)
            if explained is None or isinstance(error, torch.OutOfMemoryError):
                raise
            raise explained from error

    def _misfit(self, feats: Any) -> ConfigError | None:
        """What the head did not expect of its features; None where they are not the fault."""
        while isinstance(feats, (list, tuple)) and feats:
            feats = feats[-1]
        if not isinstance(feats, Tensor) or feats.ndim < 2:
            return None
        head, source = self.head, type(self.neck if self.with_neck else self.backbone).__name__
        channels = getattr(head, "in_channels", None)
        have: Any = feats.shape[getattr(head, "feature_channel_axis", 1)]
        if isinstance(channels, int) and channels != have:
            name, what = "in_channels", f"{have} channels from {source}"
        else:
            name, have = "in_featuremap_size", tuple(feats.shape[:1:-1])
            what = f"maps of {' x '.join(map(str, have))} (width x height) from {source}"
            if getattr(head, name, have) == have:
                return None
        explained = ConfigError(
            f"{type(head).__name__}({name}={getattr(head, name)}) got {what}; set the head's "
            f"{name} to {have}"
        )
        explained.repair = {name: have}
        return explained

    def require_head(self) -> None:
        """Check that there is a head to predict with.

        Raises:
            ConfigError: the model was built without one.
        """
        if not self.with_head:
            raise ConfigError(
                f"{type(self).__name__} has no head, which mode='predict' needs; give it one "
                "or use mode='tensor'"
            )

    def test_feats(self, inputs: Any) -> Any:
        """Features for a test; with `flip_test` a list: of the pictures and their mirror images."""
        feats = self.extract_feat(inputs)
        if self.test_cfg.get("flip_test", False):
            return [feats, self.extract_feat(inputs.flip(-1))]
        return feats

    def head_predictions(
        self, feats: Any, data_samples: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Instances and maps (None where the head gives none) of each sample.

        Raises:
            DataError: another number of predictions than samples.
            ConfigError: covariances are asked for, and the head has none.
        """
        with self.explained(feats):
            preds = self.head.predict(feats, data_samples, test_cfg=self.test_cfg)
        instances, fields = preds if isinstance(preds, tuple) else (preds, None)
        if len(instances) != len(data_samples):
            raise DataError(
                f"{type(self.head).__name__} gave {len(instances)} predictions for "
                f"{len(data_samples)} samples"
            )
        if self.test_cfg.get("output_covariances", False) and not all(
            "keypoint_covariances" in own for own in instances
        ):
            raise ConfigError(
                f"{type(self.head).__name__} gave no covariances; test_cfg.output_covariances asks "
                "its predict() for `keypoint_covariances`"
            )
        return instances, fields or [None] * len(data_samples)
