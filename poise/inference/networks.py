"""From places in pictures to poses: one call of the network a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from poise._arrays import host_array, is_tensor
from poise.inference.crops import Crop, WarpCrops, WarpedCrops
from poise.inference.devices import computing, half_type
from poise.inference.direct3d import hand_poses, standing
from poise.inference.heat import heat_of, warn_without_heatmaps
from poise.inference.jobs import Poses
from poise.inference.modes import Mode
from poise.runtimes import Lanes

__all__ = ["AnyNetwork", "Network", "TopdownNetwork", "choose_network", "decoded"]


#: Crops per call: fewer would leave GPUs idle; on CPUs small maps are soonest done together, and
#: large ones are none the worse for it once their memory stays (`poise.inference.memory`).
BATCH_SIZE = 16
#: Of networks that take whole pictures, on CPUs: so large maps leave the cache as it is.
WHOLE_BATCH_ON_CPU = 2


class Network(Protocol):
    """Three steps, each of which can be done for one batch while the others work on others.

    Attributes:
        batch_size: crops per call that are soonest done, where there are enough.
        lanes: batches that may be in `run` at once.
    """

    batch_size: int
    lanes: int

    def prepare(self, crops: Sequence[Crop]) -> Any:
        """Batch of several places."""

    def run(self, batch: Any) -> Any:
        """What the network says about a batch."""

    def decode(self, outputs: Any, batch: Any) -> list[Poses]:
        """Poses of each place, image space."""


def choose_network(
    model: Any,
    make_batch: Any,
    *,
    flip_test: bool | None = None,
    mode: Mode | None = None,
    crops: str = "opencv",
    heatmaps: bool = False,
) -> Network:
    """The quickest way to what the model's own `predict` gives.

    Args:
        model: an estimator in eval mode.
        make_batch: crop maker.
        flip_test: True or False; None keeps the model's setting.
        mode: whether the network is rearranged for speed, and whether it computes with 16 bits,
            where that is possible.
        crops: "opencv" or "torch": who warps the crops of plain top-down pipelines.
        heatmaps: also keep where the network saw keypoints; of plain top-down models, and of those
            of whole pictures that have maps.
    """
    cfg = dict(model.test_cfg or {})
    if flip_test is not None:
        cfg["flip_test"] = flip_test
    if isinstance(make_batch, WarpCrops) and TopdownNetwork.suits(model, cfg):
        if mode is not None and mode.tuned:
            from poise.inference.tuning import tuned

            model = tuned(model, make_batch.constants["input_size"])
        return TopdownNetwork(
            model,
            make_batch,
            cfg,
            half=mode is not None and mode.half,
            beside=mode is not None and mode.tuned,
            on_device=crops == "torch",
            heatmaps=heatmaps,
        )
    return AnyNetwork(model, make_batch, cfg, heatmaps=heatmaps)


class AnyNetwork:
    """Calls the model as any test does: right for every model, which may keep what it likes.

    Args:
        model: an estimator.
        make_batch: crop maker.
        test_cfg: settings for predictions, instead of the model's.
        heatmaps: also keep where the network saw keypoints; a model that has no maps is named once.
    """

    lanes = 1

    def __init__(
        self,
        model: Any,
        make_batch: Any,
        test_cfg: Mapping[str, Any],
        *,
        heatmaps: bool = False,
    ) -> None:
        from poise.models.estimators import BottomupPoseEstimator, TopdownPoseEstimator3D

        weight = next(model.parameters(), None)
        slow = weight is not None and weight.device.type == "cpu"
        whole = isinstance(model, BottomupPoseEstimator)
        self.batch_size = WHOLE_BATCH_ON_CPU if slow and whole else BATCH_SIZE

        self._model, self._make_batch, self._test_cfg = model, make_batch, dict(test_cfg)
        self._heatmaps = heatmaps
        if heatmaps and not isinstance(model, TopdownPoseEstimator3D):
            # heads without maps leave this alone, but for those of 3D, which refuse it
            self._test_cfg["output_heatmaps"] = True

    def prepare(self, crops: Sequence[Crop]) -> Any:
        """Inputs and samples."""
        return self._make_batch(crops)

    def run(self, batch: Any) -> Any:
        """Samples with the predictions of the model's `predict` mode."""
        import torch

        model, own = self._model, self._model.test_cfg
        with torch.inference_mode():
            model.test_cfg = self._test_cfg
            try:
                batch = model.data_preprocessor(batch, False)
                return model(**batch, mode="predict")
            finally:
                model.test_cfg = own

    def decode(self, outputs: Any, batch: Any) -> list[Poses]:
        """The predictions as arrays."""
        poses = [_poses(sample.pred_instances) for sample in outputs]
        if not self._heatmaps:
            return poses
        count = self._model.dataset_meta["num_keypoints"]
        heats = [_heat_of_sample(sample, count) for sample in outputs]
        if any(heat is None for heat in heats):
            warn_without_heatmaps(type(self._model.head).__name__)
            return poses
        boxes = [_box_of_sample(sample.metainfo) for sample in outputs]
        rows = zip(poses, heats, boxes, strict=True)
        return [own._replace(heat=heat, heat_box=box) for own, heat, box in rows]


def _heat_of_sample(sample: Any, num_keypoints: int) -> np.ndarray | None:
    """(h, w) where the network saw keypoints in what it took; None where it did not say."""
    fields = sample.get("pred_fields")
    if fields is None or "heatmaps" not in fields:
        return None
    maps = _array(fields.heatmaps)
    # CID has maps of each person, perhaps of none; DEKR's last map is of people's centres
    maps = maps[: len(maps) // num_keypoints * num_keypoints]
    return maps.max(0, initial=0).astype(np.float32)


def _box_of_sample(metainfo: Mapping[str, Any]) -> np.ndarray:
    """(4,) xyxy, image space: what the network took."""
    center, scale = (np.asarray(metainfo[key]) for key in ("input_center", "input_scale"))
    return np.concatenate((center - scale / 2, center + scale / 2))


def _poses(instances: Any) -> Poses:
    keypoints, scores = _array(instances.keypoints), _array(instances.keypoint_scores)
    boxes = _array(instances.get("bboxes")), _array(instances.get("bbox_scores"))
    if keypoints.shape[-1] == 2:
        return Poses(keypoints, scores, *boxes)
    flat = _array(instances.get("transformed_keypoints"))
    if "hand_type" in instances:
        depth, hands = _array(instances.rel_root_depth), _array(instances.hand_type)
        in_space, scores = hand_poses(keypoints, scores, depth, hands)
    else:
        in_space = standing(keypoints)
    return Poses(keypoints[..., :2] if flat is None else flat, scores, *boxes, in_space)


def _array(values: Any) -> Any:
    if values is None:
        return None
    return host_array(values) if is_tensor(values) else np.asarray(values)


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
    ) -> None:
        import torch

        from poise.inference.threads import lane_threads
        from poise.structures import PoseDataSample

        # as the network's own weights lie
        weight = next((p for p in model.parameters() if p.ndim == 4), None)
        last = weight is not None and weight.is_contiguous(memory_format=torch.channels_last)
        plain = weight is None or weight.is_contiguous()
        self._memory_format = torch.channels_last if last and not plain else torch.contiguous_format
        self._on_device, self._heatmaps = on_device, heatmaps
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
            and head.decoder is not None
            and head.decoder.support_batch_decoding
            and test_cfg.get("output_keypoint_indices") is None
            and not test_cfg.get("output_heatmaps", False)
        )

    def prepare(self, crops: Sequence[Crop]) -> tuple[WarpedCrops, Any]:
        """Warped crops, and on a CPU what the network takes."""
        if self._on_device:
            warped = self._crops.warped_on(crops, self._model.data_preprocessor.device)
            return warped, self._inputs(warped)
        warped = self._crops.warped(crops)
        on_cpu = self._model.data_preprocessor.device.type == "cpu"
        # elsewhere bytes travel four times as fast as floats
        return warped, self._inputs(warped) if on_cpu else None

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
        from poise.inference.threads import limited_threads

        with self._lanes.entered() as alone:
            if alone:
                yield
                return
            with limited_threads(self._lanes.share):
                yield

    def decode(self, outputs: Any, batch: tuple[WarpedCrops, Any]) -> list[Poses]:
        """Keypoints of the whole batch by the codec."""
        return decoded(self._model.head.decoder, outputs, batch[0], heatmaps=self._heatmaps)


def decoded(
    decoder: Any, outputs: Any, batch: WarpedCrops, *, heatmaps: bool = False
) -> list[Poses]:
    """Poses of network outputs, by the codec, for the whole batch.

    Args:
        decoder: codec that decodes batches.
        outputs: tensor or array (B, ...), or a tuple of such.
        batch: where the crops were taken.
        heatmaps: also keep where the network saw keypoints.
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
    if heat is None:
        if heatmaps:
            warn_without_heatmaps(type(decoder).__name__)
        return [Poses(k, s) for k, s in zip(keypoints, scores, strict=True)]
    boxes = np.concatenate((batch.centers - batch.scales / 2, batch.centers + batch.scales / 2), 1)
    rows = zip(keypoints, scores, heat, boxes, strict=True)
    return [Poses(k, s, heat=h, heat_box=box) for k, s, h, box in rows]
