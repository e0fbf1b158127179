"""What heads have in common: decode network outputs, run the flip test, check targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from poise._arrays import as_numpy
from poise.codecs.base import BaseKeypointCodec
from poise.errors import ConfigError, DataError, KeypointCountError
from poise.layers import BaseModule
from poise.models.flip import flip_test
from poise.models.layout import dense
from poise.registry import KEYPOINT_CODECS
from poise.structures import InstanceData, PixelData

__all__ = ["BaseHead", "last_map", "per_sample"]


def last_map(feats: Any) -> Any:
    """The last of a backbone's maps: of a sequence, of a dict of them, or the one that came alone.

    Plain modules, such as those of torchvision, often give one tensor or a dict.
    """
    if isinstance(feats, Mapping):
        feats = list(feats.values())
    return feats if isinstance(feats, Tensor) else feats[-1]


def per_sample(outputs: Tensor | Sequence[Tensor]) -> list[Any]:
    """Arrays for `codec.decode` of one sample after another.

    A tensor (B, ...) gives B arrays; several tensors give B tuples of arrays (1, ...).
    """
    if isinstance(outputs, Tensor):
        return list(as_numpy(outputs))
    arrays = [as_numpy(output) for output in outputs]
    return [tuple(part[None] for part in parts) for parts in zip(*arrays, strict=True)]


def _with_visibility(scores: Any) -> tuple[Any, Any]:
    """(scores, visibility or None) of what a codec returns as scores."""
    if isinstance(scores, tuple) and len(scores) == 2:
        return scores
    return scores, None


class BaseHead(BaseModule):
    """Base of heads; a head overrides `forward` and `loss`, and often `predict`.

    A subclass has `decoder`, a codec or None, and where its outputs can be mirrored, `unflip`.

    Args:
        init_cfg: how the weights start; None takes the class's `default_init_cfg`.
    """

    default_init_cfg: Any = None

    #: (outputs of the mirrored picture, metainfo, test_cfg) -> outputs mirrored back
    unflip: ClassVar[Callable[..., Any] | None] = None

    #: of a head that only predicts: what to train in its place
    instead: ClassVar[str] = ""

    #: codec, or None
    decoder: Any

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(self.default_init_cfg if init_cfg is None else init_cfg)

    def forward(self, feats: Any) -> Any:
        """Network outputs of features."""
        raise NotImplementedError(f"{type(self).__name__} does not define `forward`")

    def loss(
        self, feats: Any, batch_data_samples: Sequence[Any], train_cfg: Mapping[str, Any] = {}
    ) -> dict[str, Tensor]:
        """Losses and training accuracy of a batch.

        Raises:
            ConfigError: the head only predicts; the text names what to train instead.
        """
        name = type(self).__name__
        if self.instead:
            raise ConfigError(f"{name} only predicts and cannot be trained here; {self.instead}")
        raise NotImplementedError(f"{name} does not define `loss`")

    def test_forward(self, feats: Any) -> Any:
        """Outputs that are decoded; heads with several stages return the last stage's."""
        return self.forward(feats)

    def test_outputs(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any]
    ) -> Any:
        """Outputs that are decoded, averaged with the mirrored ones if `flip_test` is set."""
        if self.unflip is None:
            self.refuse_flip_test(test_cfg)
            return dense(self.test_forward(feats))
        return dense(flip_test(self.test_forward, self.unflip, feats, batch_data_samples, test_cfg))

    def refuse_flip_test(self, test_cfg: Mapping[str, Any]) -> None:
        """Check that no flip test is asked of a head that cannot mirror its outputs.

        Raises:
            ConfigError: `flip_test` is set.
        """
        if test_cfg.get("flip_test", False):
            raise ConfigError(
                f"{type(self).__name__} has no flip test; set test_cfg=dict(flip_test=False)"
            )

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> Any:
        """Predict the keypoints of a batch.

        Args:
            feats: features of the backbone or neck; with flip test a list of two.
            batch_data_samples: B samples.
            test_cfg: `flip_test` and its settings; `output_heatmaps`; `output_covariances`.

        Returns:
            B `InstanceData` with `keypoints` (N, K, D), input space, and `keypoint_scores`
            (N, K); with `output_covariances` also `keypoint_covariances` (N, K, 2, 2) float32,
            pixels² of the input; with `output_heatmaps` also B `PixelData` with `heatmaps`
            (K, H, W), where the head has any.

        Raises:
            ConfigError: `output_covariances` of a codec that has none.
        """
        outputs = self.test_outputs(feats, batch_data_samples, test_cfg)
        preds = self.decode(outputs)
        if test_cfg.get("output_covariances", False):
            self.add_covariances(preds, outputs)
        wanted = test_cfg.get("output_heatmaps", False)
        fields = self.pred_fields(outputs, preds) if wanted else None
        return preds if fields is None else (preds, fields)

    def add_covariances(self, preds: Sequence[InstanceData], outputs: Any) -> None:
        """Give predictions their `keypoint_covariances`, by the codec.

        Raises:
            ConfigError: a head that has none.
        """
        self.require_covariances()
        args = outputs if isinstance(outputs, tuple) else (outputs,)
        found = self.decoder.batch_decode_covariance(
            *(arg.detach() for arg in args), **self.covariance_options()
        )
        for instances, covariances in zip(preds, found, strict=True):
            instances.set_field(covariances, "keypoint_covariances")

    def require_covariances(self) -> None:
        """Check that the head tells how unsure keypoints are; before any picture is looked at.

        Raises:
            ConfigError: it does not.
        """
        decoder = getattr(self, "decoder", None)
        if not isinstance(decoder, BaseKeypointCodec):
            raise ConfigError(
                f"{type(self).__name__} has no covariances: nothing in what it predicts says how "
                "sure a place is. Leave them out (--covariances; "
                "test_cfg=dict(output_covariances=False))"
            )
        if not decoder.support_covariances:
            decoder.refuse_covariances()

    def covariance_options(self) -> dict[str, Any]:
        """What the codec's `batch_decode_covariance` must know of how the head was trained."""
        return {}

    def pred_fields(self, outputs: Any, preds: list[InstanceData]) -> list[PixelData] | None:
        """Heatmaps (K, H, W) of each sample, which share memory with the outputs, or None."""
        return [PixelData(heatmaps=heatmaps) for heatmaps in outputs.detach()]

    def decode(self, batch_outputs: Any) -> list[InstanceData]:
        """Keypoints of network outputs, by the codec.

        Args:
            batch_outputs: tensor (B, ...), or several for codecs that decode several.

        Returns:
            B `InstanceData` with `keypoints`, `keypoint_scores` and, where the codec knows
            it, `keypoints_visible`.

        Raises:
            ConfigError: the head was built without a codec.
        """
        self.require_decoder()
        if self.decoder.support_batch_decoding:
            args = batch_outputs if isinstance(batch_outputs, tuple) else (batch_outputs,)
            keypoints, scores = self.decoder.batch_decode(*(arg.detach() for arg in args))
            scores, visible = _with_visibility(scores)
            visible = [None] * len(keypoints) if visible is None else visible
            decoded = list(zip(keypoints, scores, visible, strict=True))
        else:
            decoded = []
            for sample in per_sample(batch_outputs):
                args = sample if isinstance(sample, tuple) else (sample,)
                keypoints, scores = self.decoder.decode(*args)
                decoded.append((keypoints, *_with_visibility(scores)))
        return [_instances(*parts) for parts in decoded]

    def require_decoder(self) -> None:
        """Check that there is a codec to decode with.

        Raises:
            ConfigError: the head was built without one.
        """
        if self.decoder is None:
            raise ConfigError(
                f"{type(self).__name__} has no decoder, which predict() and decode() need; "
                "give it one: decoder=dict(type='UDPHeatmap', ...)"
            )

    def single_width(self, in_channels: int | Sequence[int]) -> int:
        """Channels of the one feature map that comes in.

        Raises:
            ConfigError: `in_channels` is a sequence.
        """
        if not isinstance(in_channels, int):
            raise ConfigError(
                f"{type(self).__name__} does not support several input features, got "
                f"in_channels={in_channels}; select one by a FeatureMapProcessor neck"
            )
        return in_channels

    @staticmethod
    def build_decoder(decoder: Any) -> Any:
        """Codec of a config, the codec itself, or None."""
        return None if decoder is None else KEYPOINT_CODECS.build(decoder)

    def check_targets(
        self, outputs: Tensor, targets: Tensor, batch_data_samples: Sequence[Any]
    ) -> None:
        """Check that head and dataset speak of the same number of keypoints.

        Args:
            outputs: (B, K, ...) predicted.
            targets: (B, K, ...) encoded by the dataset's pipeline.
            batch_data_samples: the samples the targets came from.

        Raises:
            KeypointCountError: the numbers differ.
            DataError: as many keypoints, but of another form (heatmaps of another size).
        """
        have, want = outputs.shape[1], targets.shape[1]
        if have == want:
            self._check_sizes(outputs, targets)
            return
        argument = "num_joints" if hasattr(self, "num_joints") else "out_channels"
        name = batch_data_samples[0].metainfo.get("dataset_name", "the training data")
        error = KeypointCountError(
            f"{type(self).__name__}({argument}={getattr(self, argument, have)}) predicts "
            f"{have} channels, but the targets encoded from {name} have {want}. Set "
            f"{argument} to the dataset's number of keypoints, or convert its keypoints "
            "(KeypointConverter)"
        )
        error.repair = {argument: want}
        raise error

    def _check_sizes(self, outputs: Tensor, targets: Tensor) -> None:
        """Check that targets are as long, wide and high as what is predicted."""
        if outputs.ndim == targets.ndim and outputs.shape[2:] != targets.shape[2:]:
            raise DataError(
                f"{type(self).__name__} predicts {_form(outputs)} a keypoint, but GenerateTarget "
                f"encodes {_form(targets)}. Its encoder should be the head's decoder; if it is, "
                "the codec's sizes do not fit the network's stride and its deconvolutions"
            )


def _form(values: Tensor) -> str:
    """(B, K, 64, 48) -> "48 x 64 values", width first as in configs."""
    return " x ".join(str(n) for n in reversed(values.shape[2:])) + " values"


def _instances(keypoints: Any, scores: Any, visible: Any) -> InstanceData:
    instances = InstanceData(keypoints=keypoints, keypoint_scores=scores)
    if visible is not None:
        instances.keypoints_visible = visible
    return instances
