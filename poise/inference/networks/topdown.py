"""Networks of top-down models, by way of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from poise.inference.machine.devices import computing, half_type
from poise.inference.networks.crops import Crop, WarpCrops, WarpedCrops
from poise.inference.networks.heat import heat_of, warn_without_heatmaps
from poise.inference.networks.network import BATCH_SIZE, Poses
from poise.runtimes import Lanes

__all__ = ["TopdownNetwork", "covariance_options", "decoded"]


class TopdownNetwork:
    """Top-down models without passing samples: arrays in, arrays out, the whole batch at once.

    Gives the numbers of the model's own `predict`.

    Args:
        model: an estimator that `suits`.
        crops: crop maker.
        test_cfg: settings for predictions, instead of the model's.
        half: compute with 16 bits, where the machine does so faster.
        beside: let a CPU work on several batches at once, each with a share of its cores.
        on_device: warp crops by torch on the model's device, instead of by OpenCV.
        heatmaps: also keep where the network saw keypoints.
        covariances: also keep how unsure each keypoint is.

    Raises:
        ConfigError: covariances of a codec that has none.
    """

    batch_size = BATCH_SIZE

    def __init__(
        self,
        model: Any,
        crops: WarpCrops,
        test_cfg: Mapping[str, Any],
        *,
        half: bool = False,
        beside: bool = False,
        on_device: bool = False,
        heatmaps: bool = False,
        covariances: bool = False,
    ) -> None:
        import torch

        from poise.inference.machine.threads import lane_threads
        from poise.structures import PoseDataSample

        # as the network's own weights lie
        weight = next((p for p in model.parameters() if p.ndim == 4), None)
        last = weight is not None and weight.is_contiguous(memory_format=torch.channels_last)
        plain = weight is None or weight.is_contiguous()
        self._memory_format = torch.channels_last if last and not plain else torch.contiguous_format
        self._on_device, self._heatmaps = on_device, heatmaps
        self._covariances = covariance_options(model.head) if covariances else None
        self._device = model.data_preprocessor.device
        self._half = half_type(self._device) if half else None
        self._lanes = Lanes(lane_threads(model) if beside else 1)
        self.lanes = self._lanes.count
        self._model, self._crops, self._test_cfg = model, crops, dict(test_cfg)
        # the flip test asks the first sample for swaps and sizes, which all have in common
        self._samples = [PoseDataSample(metainfo=dict(crops.constants))]

    @staticmethod
    def suits(model: Any, test_cfg: Mapping[str, Any]) -> bool:
        """Whether nobody has overridden a step that is left out here."""
        from poise.models.estimators import TopdownPoseEstimator
        from poise.models.heads.base import BaseHead
        from poise.models.heads.regression import RegressionHead
        from poise.models.preprocessors.pose import PoseDataPreprocessor

        head = getattr(model, "head", None)
        return (
            type(model) is TopdownPoseEstimator
            and type(model.data_preprocessor) is PoseDataPreprocessor
            and model.metainfo is None
            and isinstance(head, BaseHead)
            and type(head).predict is BaseHead.predict
            and type(head).decode in (BaseHead.decode, RegressionHead.decode)
            and type(head).add_covariances is BaseHead.add_covariances
            and head.decoder is not None
            and head.decoder.support_batch_decoding
            and test_cfg.get("output_keypoint_indices") is None
            and not test_cfg.get("output_heatmaps", False)
            and not test_cfg.get("output_covariances", False)
        )

    def prepare(self, crops: Sequence[Crop]) -> tuple[WarpedCrops, Any]:
        """Warped crops, and on a CPU what the network takes."""
        if self._on_device:
            warped = self._crops.warped_on(crops, self._device)
            return warped, self._inputs(warped)
        warped = self._crops.warped(crops)
        # elsewhere bytes travel four times as fast as floats
        return warped, self._inputs(warped) if self._device.type == "cpu" else None

    def _inputs(self, warped: WarpedCrops) -> Any:
        """Normalised pictures (B, 3, H, W) on the device."""
        import torch

        preprocessor = self._model.data_preprocessor
        with torch.inference_mode():
            pixels = warped.pixels
            if not isinstance(pixels, torch.Tensor):
                pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            inputs = preprocessor.batch(preprocessor.cast_data(pixels))
            return inputs.contiguous(memory_format=self._memory_format)

    def run(self, batch: tuple[WarpedCrops, Any]) -> Any:
        """What the head decodes, averaged with the mirrored picture's where that is asked."""
        import torch

        model = self._model
        warped, inputs = batch
        with torch.inference_mode(), computing(self._device, self._half), self._threads():
            if inputs is None:
                inputs = self._inputs(warped)
            model.check_input_size(inputs)
            feats = model.extract_feat(inputs)
            if self._test_cfg.get("flip_test", False):
                feats = [feats, model.extract_feat(inputs.flip(-1))]
            with model.explained(feats):
                return model.head.test_outputs(feats, self._samples, self._test_cfg)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        from poise.inference.machine.threads import limited_threads

        with self._lanes.entered() as alone:
            if alone:
                yield
                return
            with limited_threads(self._lanes.share):
                yield

    def decode(self, outputs: Any, batch: tuple[WarpedCrops, Any]) -> list[Poses]:
        """Keypoints of the whole batch by the codec."""
        return decoded(
            self._model.head.decoder,
            outputs,
            batch[0],
            heatmaps=self._heatmaps,
            covariances=self._covariances,
        )


def covariance_options(head: Any) -> dict[str, Any]:
    """What a head's codec must know to tell covariances.

    Raises:
        ConfigError: it cannot.
    """
    head.require_covariances()
    return dict(head.covariance_options())


def decoded(
    decoder: Any,
    outputs: Any,
    batch: WarpedCrops,
    *,
    heatmaps: bool = False,
    covariances: Mapping[str, Any] | None = None,
) -> list[Poses]:
    """Poses of network outputs, by the codec, for the whole batch.

    Args:
        decoder: codec that decodes batches.
        outputs: tensor or array (B, ...), or a tuple of such.
        batch: where the crops were taken.
        heatmaps: also keep where the network saw keypoints.
        covariances: options of the codec (`covariance_options`), to keep how unsure each keypoint
            is; None: not wanted.
    """
    args = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    # codecs work in 32 bits
    args = tuple(a.float() if hasattr(a, "float") else a for a in args)
    heat = heat_of(args) if heatmaps else None
    keypoints, scores = decoder.batch_decode(*args)
    if isinstance(scores, tuple):
        # codecs that also know visibilities
        scores = scores[0]
    keypoints = batch.to_image_space(keypoints)
    scores = np.asarray(scores, np.float32)
    poses = [Poses(k, s) for k, s in zip(keypoints, scores, strict=True)]
    if covariances is not None:
        spread = decoder.batch_decode_covariance(*args, **covariances)
        spread = batch.covariances_to_image_space(spread)
        poses = [own._replace(covariances=c) for own, c in zip(poses, spread, strict=True)]
    if heat is None:
        if heatmaps:
            warn_without_heatmaps(type(decoder).__name__)
        return poses
    boxes = np.concatenate((batch.centers - batch.scales / 2, batch.centers + batch.scales / 2), 1)
    rows = zip(poses, heat, boxes, strict=True)
    return [own._replace(heat=h, heat_box=box) for own, h, box in rows]
