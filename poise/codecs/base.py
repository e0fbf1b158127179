"""The contract of a keypoint codec: the only place that knows a training representation."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any, ClassVar, NoReturn

import numpy as np

from poise.errors import ConfigError, DataError

__all__ = ["BaseKeypointCodec", "OnePersonCodec"]


class BaseKeypointCodec(metaclass=ABCMeta):
    """Turns keypoints into what a network learns, and back.

    Subclass it, write `encode` and `decode`, and register the class: every head and pipeline
    can then use the representation. Keypoints are in input space on both sides.

    Class attributes:
        auxiliary_encode_keys: names of further items of `results` that `encode` takes as
            keyword arguments, beside `keypoints` and `keypoints_visible`.
        field_mapping_table: key of `encode`'s result -> key in `data_sample.gt_fields`.
        instance_mapping_table: key of `results` -> key in `data_sample.gt_instances`.
        label_mapping_table: key of `encode`'s result -> key in `gt_instance_labels`.
    """

    auxiliary_encode_keys: ClassVar[set[str]] = set()
    field_mapping_table: ClassVar[dict[str, str]] = {}
    instance_mapping_table: ClassVar[dict[str, str]] = {}
    label_mapping_table: ClassVar[dict[str, str]] = {}

    #: why there are no covariances, for the error text
    no_covariances: str = "nothing in what it decodes says how sure a place is"

    @abstractmethod
    def encode(self, keypoints: Any, keypoints_visible: Any = None) -> dict[str, Any]:
        """Targets of one sample.

        Args:
            keypoints: (N, K, D) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.

        Returns:
            Items to train on, by name; the mapping tables say where they are packed.
        """

    @abstractmethod
    def decode(self, *encoded: Any, **options: Any) -> Any:
        """Keypoints (N, K, D) in input space and scores (N, K) of one sample's output."""

    def batch_encode(
        self, keypoints: Any, keypoints_visible: Any = None, **auxiliary: Any
    ) -> dict[str, Any]:
        """Targets of all samples at once: what `encode` gives, stacked along a new first axis.

        Worth overriding for a codec whose samples are small: the cost of a call is paid once
        per batch. This one encodes sample by sample.

        Args:
            keypoints: (B, N, K, D) float, input space.
            keypoints_visible: (B, N, K) float; None means that all are labelled.
            auxiliary: the items of `auxiliary_encode_keys`, a sequence of B each.

        Returns:
            Items of `encode`, (B, ...) each.

        Raises:
            DataError: (a ValueError) for a batch of none.
        """
        samples = [
            self.encode(
                sample,
                None if keypoints_visible is None else keypoints_visible[i],
                **{key: values[i] for key, values in auxiliary.items()},
            )
            for i, sample in enumerate(keypoints)
        ]
        if not samples:
            raise DataError(
                f"{type(self).__name__}.batch_encode got no sample: what has no sample to encode "
                "has no shape either"
            )
        return {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}

    def batch_decode(self, *batch_encoded: Any, **options: Any) -> Any:
        """Keypoints and scores of all samples at once, indexed by sample.

        Worth overriding: one call per batch costs a fraction of one call per sample.

        Raises:
            NotImplementedError: the codec decodes sample by sample only; ask
                `support_batch_decoding` first.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no batch_decode; call decode() sample by sample "
            "(support_batch_decoding tells)"
        )

    def decode_covariance(self, *encoded: Any, **options: Any) -> Any:
        """Covariances (N, K, 2, 2) float32 of the keypoints of one sample, pixels² of the input.

        As `batch_decode_covariance` for a batch of one.
        """
        return self.batch_decode_covariance(*(part[None] for part in encoded), **options)[0]

    def batch_decode_covariance(self, *batch_encoded: Any, **options: Any) -> Any:
        """How unsure the keypoints that `batch_decode` gives are, for all samples at once.

        Worth overriding where the representation tells: the shape of a distribution, a predicted
        deviation. The numbers are those of the representation, not of errors: labelled pictures
        tell how large the errors are that go with them (`poise analyze calibration`).

        Args:
            batch_encoded: what `batch_decode` takes.
            options: of some codecs.

        Returns:
            (B, N, K, 2, 2) float32, pixels² of the input; NaN where the output says nothing about a
            keypoint, as it has no response there or is not finite.

        Raises:
            ConfigError: the codec does not know.
        """
        self.refuse_covariances()

    def refuse_covariances(self) -> NoReturn:
        """Say that there are no covariances, why, and who has some.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} has no covariances: {self.no_covariances}. Codecs of heatmaps "
            "(MSRAHeatmap, UDPHeatmap, MegviiHeatmap, MoveNetLabel), SimCCLabel, RegressionLabel "
            "of RLE and IntegralRegressionLabel have"
        )

    @property
    def support_covariances(self) -> bool:
        """Whether `batch_decode_covariance` says the doubt of what `batch_decode` gives.

        False also for a subclass that overrides decoding alone, as with `support_batch_decoding`.
        """
        return self._has_own("batch_decode_covariance", beside="decode") and self._has_own(
            "batch_decode_covariance", beside="batch_decode"
        )

    @property
    def support_batch_decoding(self) -> bool:
        """Whether `batch_decode` says the same as `decode`.

        False also for a subclass that overrides `decode` alone: the `batch_decode` it inherits
        would bypass the override.
        """
        return self._has_own("batch_decode", beside="decode")

    @property
    def support_batch_encoding(self) -> bool:
        """Whether `batch_encode` says the same as `encode`, and faster; as above."""
        return self._has_own("batch_encode", beside="encode")

    def _has_own(self, name: str, *, beside: str) -> bool:
        """Whether a class up to this one has a method `name` at least as near as `beside`."""
        nearest = next(c for c in type(self).__mro__ if {name, beside} & c.__dict__.keys())
        return nearest is not BaseKeypointCodec and name in nearest.__dict__


class OnePersonCodec(BaseKeypointCodec):
    """A codec of one person a sample, written for batches: a sample is a batch of one."""

    def encode(self, keypoints: Any, keypoints_visible: Any = None) -> dict[str, Any]:
        """Targets of one person: those of `batch_encode` without their first axis.

        Args:
            keypoints: (1, K, 2) float, input space.
            keypoints_visible: (1, K) float; None means that all are labelled.

        Raises:
            DataError: (a ValueError) for several people.
        """
        if keypoints.ndim != 3 or keypoints.shape[0] != 1:
            raise DataError(
                f"{type(self).__name__}.encode only support single-instance keypoint encoding: "
                f"expected keypoints of shape (1, K, D), got {keypoints.shape}; encode people "
                "one by one, or use a bottom-up codec such as SPR or AssociativeEmbedding"
            )
        visible = None if keypoints_visible is None else keypoints_visible[None]
        batch = self.batch_encode(keypoints[None], visible)
        return {key: values[0] for key, values in batch.items()}

    def decode(self, encoded: Any) -> Any:
        """Keypoints (1, K, 2) in input space and scores (1, K) of one output, as a batch of one."""
        keypoints, scores = self.batch_decode(encoded[None])
        return keypoints[0], scores[0]
