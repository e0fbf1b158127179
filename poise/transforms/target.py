"""From keypoints to what the network is trained on: `codec.encode` within a pipeline."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError
from poise.registry import KEYPOINT_CODECS, TRANSFORMS
from poise.transforms.base import BaseTransform, MissingKeyError

__all__ = ["GenerateTarget"]

_TABLES = ("field_mapping_table", "instance_mapping_table", "label_mapping_table")


@TRANSFORMS.register_module()
class GenerateTarget(BaseTransform):
    """Encode the keypoints with one codec or several.

    Args:
        encoder: codec (config or object) or a list of them.
        target_type: ignored, of MMPose 0.x.
        multilevel: a list of codecs of one kind gives lists over levels (say, heatmaps of
            several sizes). Otherwise the codecs' different targets are put together; only
            `keypoint_weights` may come from several and becomes a list.
        use_dataset_keypoint_weights: multiply `keypoint_weights` by the schema's weights.
        mmpose_faults: with several codecs MMPose leaves `keypoint_weights` without the schema's
            weights; False multiplies them there as well.

    Raises:
        ArgumentError: `multilevel` with a single codec.
        MissingKeyError: no keypoints in `results`.
        DataError: codecs whose targets do not fit together.
    """

    def __init__(
        self,
        encoder: Any,
        target_type: str | None = None,
        multilevel: bool = False,
        use_dataset_keypoint_weights: bool = False,
        *,
        mmpose_faults: bool = True,
    ) -> None:
        if target_type is not None:
            warnings.warn(
                f"target_type={target_type!r} of GenerateTarget has no effect: the codec says "
                "what is encoded; remove it",
                DeprecationWarning,
                stacklevel=2,
            )
        several = isinstance(encoder, (list, tuple))
        if multilevel and not several:
            raise ArgumentError(
                "multilevel=True needs a list of encoders, one a level, got a single one"
            )
        self.encoder_cfg = deepcopy(encoder)
        self.multilevel = multilevel
        self.use_dataset_keypoint_weights = use_dataset_keypoint_weights
        self.mmpose_faults = mmpose_faults
        self.encoder = (
            [KEYPOINT_CODECS.build(cfg) for cfg in self.encoder_cfg]
            if several
            else KEYPOINT_CODECS.build(self.encoder_cfg)
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add what the codec gives (`heatmaps`, `keypoint_weights` ...) and its mapping tables.

        A `keypoints_visible` of (N, K, 2) is taken apart into visibility and
        `keypoints_visible_weights`, (N, K) each.
        """
        keypoints = _keypoints(results)
        visible = results["keypoints_visible"]
        if visible is not None and visible.ndim == 3 and visible.shape[2] == 2:
            results["keypoints_visible_weights"] = visible[..., 1]
            results["keypoints_visible"] = visible = visible[..., 0]

        if not isinstance(self.encoder, list):
            encoded = _encode(self.encoder, keypoints, visible, results)
            tables = {name: dict(getattr(self.encoder, name)) for name in _TABLES}
        else:
            parts = [_encode(e, keypoints, visible, results) for e in self.encoder]
            encoded = self._by_level(parts) if self.multilevel else self._together(parts)
            tables = {
                name: {k: v for e in self.encoder for k, v in getattr(e, name).items()}
                for name in _TABLES
            }
        encoded.update({name: table for name, table in tables.items() if table})
        if self.use_dataset_keypoint_weights and "keypoint_weights" in encoded:
            encoded["keypoint_weights"] = self._weighted(
                encoded["keypoint_weights"], results["dataset_keypoint_weights"]
            )
        results.update(encoded)
        return results

    def _weighted(self, weights: Any, of_dataset: np.ndarray) -> Any:
        if not isinstance(weights, list):
            return weights * of_dataset
        return weights if self.mmpose_faults else [w * of_dataset for w in weights]

    def _by_level(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        keys = parts[0].keys()
        for level, part in enumerate(parts):
            if part.keys() != keys:
                raise DataError(
                    "multilevel=True needs encoders that give the same targets; encoder 0 gives "
                    f"{sorted(keys)}, encoder {level} gives {sorted(part)}. Set multilevel=False "
                    "to put different targets together"
                )
        return {key: [part[key] for part in parts] for key in keys}

    def _together(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        encoded: dict[str, Any] = {}
        weights: list[Any] = []
        for place, part in enumerate(parts):
            for key, value in part.items():
                if key == "keypoint_weights":
                    weights.append(value)
                elif key in encoded:
                    raise DataError(
                        f"two encoders give '{key}' (the second is encoder {place}, "
                        f"{type(self.encoder[place]).__name__}); set multilevel=True for targets "
                        "of one kind at several levels"
                    )
                else:
                    encoded[key] = value
        if weights:
            encoded["keypoint_weights"] = weights
        return encoded

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(encoder={self.encoder_cfg}, "
            f"use_dataset_keypoint_weights={self.use_dataset_keypoint_weights})"
        )


def _keypoints(results: dict[str, Any]) -> np.ndarray:
    """(N, K, D), in input space where an affine step ran, else in image space."""
    for key in ("transformed_keypoints", "keypoints"):
        found: np.ndarray | None = results.get(key)
        if found is not None:
            return found
    raise MissingKeyError(
        "GenerateTarget needs results['transformed_keypoints'] (from TopdownAffine) or "
        f"results['keypoints'] (from the dataset's annotations), got only {sorted(results)}"
    )


def _encode(
    codec: Any, keypoints: np.ndarray, visible: np.ndarray | None, results: dict[str, Any]
) -> dict[str, Any]:
    if visible is not None and keypoints.ndim > 1 and keypoints.shape[1] != visible.shape[1]:
        raise DataError(
            f"GenerateTarget got {keypoints.shape[1]} keypoints and the visibility of "
            f"{visible.shape[1]}; does KeypointConverter come after TopdownAffine? It belongs "
            "before it"
        )
    extra = {key: results.get(key) for key in codec.auxiliary_encode_keys}
    encoded: dict[str, Any] = codec.encode(keypoints=keypoints, keypoints_visible=visible, **extra)
    return encoded
