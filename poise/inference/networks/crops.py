"""From pictures and boxes to one batch for the network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.geometry.boxes import bbox_xyxy2cs
from poise.geometry.covariances import scale_covariances
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_udp_warp_matrix, get_warp_matrix
from poise.registry import use_scope
from poise.structures import InstanceData, PoseDataSample
from poise.transforms import Compose, GetBBoxCenterScale, LoadImage, PackPoseInputs, TopdownAffine
from poise.transforms.packing import META_KEYS
from poise.transforms.topdown import fix_aspect_ratio

__all__ = [
    "BOX_STEPS",
    "Crop",
    "CropMaker",
    "PipelineCrops",
    "WarpCrops",
    "WarpedCrops",
    "crop_maker",
    "picture_steps",
    "pipeline_config",
    "read_test_pipeline",
    "results_of",
]

#: Transforms that mark a pipeline as one of single people.
BOX_STEPS = frozenset(("TopdownAffine", "GetBBoxCenterScale"))


class Crop(NamedTuple):
    """A place to look at: a picture, and a box in it (None: a model of whole pictures)."""

    image: np.ndarray
    #: (4,) xyxy, image space
    box: Any
    score: float
    #: how an error text calls the picture
    name: str
    #: file of the picture; becomes `img_path` of the sample
    path: str | None = None


class WarpedCrops(NamedTuple):
    """Crops of one batch.

    Attributes:
        pixels: (B, H, W, 3) BGR of the pictures' dtype, input space; of `warped_on` a tensor.
        centers: (B, 2) of the boxes, image space.
        scales: (B, 2) width and height of what each crop shows, image space.
        size: (W, H).
    """

    pixels: Any
    centers: np.ndarray
    scales: np.ndarray
    size: tuple[int, int]

    def to_image_space(self, points: np.ndarray) -> np.ndarray:
        """Points (B, ..., K, 2 or 3) of input space in the pictures; depth stays as it is."""
        lead = (slice(None), *(None,) * (points.ndim - 2))
        centers, scales = self.centers[lead], self.scales[lead]
        places = points[..., :2] / np.asarray(self.size) * scales + centers - 0.5 * scales
        moved = points.astype(np.float32)
        moved[..., :2] = places
        return moved

    def covariances_to_image_space(self, covariances: np.ndarray) -> np.ndarray:
        """Covariances (B, ..., K, 2, 2) of input space in the pictures, float32."""
        factors = self.scales / np.asarray(self.size)
        lead = (slice(None), *(None,) * (covariances.ndim - 3))
        return scale_covariances(covariances, factors[lead]).astype(np.float32)


class CropMaker(Protocol):
    """Makes the batch of several places."""

    def __call__(self, crops: Sequence[Crop]) -> dict[str, Any]:
        """`inputs` and `data_samples` for the model's data preprocessor."""


def read_test_pipeline(cfg: Config | Mapping[str, Any]) -> Compose:
    """The test pipeline of a whole config.

    Raises:
        ConfigError: the config has none.
    """
    with use_scope(cfg.get("default_scope")):
        return Compose(pipeline_config(cfg))


def pipeline_config(
    cfg: Config | Mapping[str, Any], *, name: str = "the config"
) -> list[dict[str, Any]]:
    """Steps of the test pipeline of a whole config.

    Args:
        cfg: the config.
        name: what an error calls it.

    Raises:
        ConfigError: the config has none.
    """
    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
    pipeline = _dataset_pipeline(loader) or cfg.get("test_pipeline")
    if not pipeline:
        raise ConfigError(
            f"{name} has no test pipeline: expected test_dataloader.dataset.pipeline or "
            "test_pipeline"
        )
    return copy.deepcopy([dict(step) for step in pipeline])


def picture_steps(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Steps of a pipeline that takes pictures instead of files."""
    loads = str(steps[0].get("type")).rpartition(".")[2].startswith("LoadImage")
    return [{"type": "mmpose.LoadImage"}, *steps[1:]] if loads else list(steps)


def _dataset_pipeline(loader: Mapping[str, Any] | None) -> Any:
    dataset = (loader or {}).get("dataset") or {}
    return dataset.get("pipeline")


def crop_maker(pipeline: Compose, metainfo: Mapping[str, Any]) -> CropMaker:
    """The fastest maker that gives what the pipeline gives."""
    if WarpCrops.suits(pipeline):
        return WarpCrops(pipeline, metainfo)
    return PipelineCrops(pipeline, metainfo)


def results_of(crop: Crop, metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into a test pipeline: the picture, its box, and the schema, as datasets put it."""
    results: dict[str, Any] = dict(img=crop.image, img_path=crop.path, **metainfo)
    if crop.box is not None:
        results["bbox"] = crop.box[None]
        results["bbox_score"] = np.array([crop.score], np.float32)
    return results


class PipelineCrops:
    """Runs the pipeline for each box: right for every pipeline.

    Args:
        pipeline: test pipeline; pictures are handed in, so its `LoadImage` reads nothing.
        metainfo: parsed schema; goes into the results.
    """

    def __init__(self, pipeline: Compose, metainfo: Mapping[str, Any]) -> None:
        self.pipeline, self.metainfo = pipeline, metainfo

    def __call__(self, crops: Sequence[Crop]) -> dict[str, Any]:
        """Lists of inputs and samples.

        Raises:
            DataError: the pipeline dropped a box.
        """
        items = [self._item(crop) for crop in crops]
        inputs = [item["inputs"] for item in items]
        if isinstance(inputs[0], (list, tuple)):
            # several scales a picture: the model takes a list of batches
            inputs = [list(scale) for scale in zip(*inputs, strict=True)]
        return {"inputs": inputs, "data_samples": [item["data_samples"] for item in items]}

    def _item(self, crop: Crop) -> dict[str, Any]:
        item = self.pipeline(results_of(crop, self.metainfo))
        if item is None:
            raise DataError(f"the test pipeline of the config gave nothing for {crop.name}")
        return dict(item)


class WarpCrops:
    """Crops of the plain top-down pipeline, warped straight into one batch.

    Gives the numbers of LoadImage, GetBBoxCenterScale, TopdownAffine and PackPoseInputs, without
    passing a dict of results, and without copying pictures to tensors one by one.

    Args:
        pipeline: a pipeline that `suits`.
        metainfo: parsed schema.
    """

    _STEPS = (LoadImage, GetBBoxCenterScale, TopdownAffine, PackPoseInputs)

    def __init__(self, pipeline: Compose, metainfo: Mapping[str, Any]) -> None:
        _, box, affine, pack = pipeline.transforms
        self._padding = box.padding
        self._size = affine.input_size
        self._cubic = affine.cubic
        self._matrix = get_udp_warp_matrix if affine.use_udp else get_warp_matrix
        constant = {**metainfo, "input_size": self._size}
        self._constant = {key: constant[key] for key in pack.meta_keys if key in constant}
        self._keys = frozenset(pack.meta_keys)

    @classmethod
    def suits(cls, pipeline: Compose) -> bool:
        """Whether a pipeline consists of just the plain steps."""
        steps = pipeline.transforms
        # subclasses may do anything, so the types must be these very ones
        if tuple(map(type, steps)) != cls._STEPS:
            return False
        return not steps[0].to_float32 and set(steps[3].meta_keys) <= set(META_KEYS)

    def __call__(self, crops: Sequence[Crop]) -> dict[str, Any]:
        """`inputs`: (B, 3, H, W), a view of (B, H, W, 3), of the pictures' dtype."""
        import torch

        batch = self.warped(crops)
        samples = [
            self._sample(crop, center, scale)
            for crop, center, scale in zip(crops, batch.centers, batch.scales, strict=True)
        ]
        return {
            "inputs": torch.from_numpy(batch.pixels).permute(0, 3, 1, 2),
            "data_samples": samples,
        }

    def warped(self, crops: Sequence[Crop]) -> WarpedCrops:
        """The pixels of all places in one array, and where they were taken."""
        width, height = self._size
        centers, scales, matrices = self.places(crops)
        pixels = np.empty((len(crops), height, width, 3), crops[0].image.dtype)
        for crop, out, matrix in zip(crops, pixels, matrices, strict=True):
            warp_picture(crop.image, matrix, self._size, out=out, cubic=self._cubic)
        return WarpedCrops(pixels, centers, scales, self._size)

    def warped_on(self, crops: Sequence[Crop], device: Any) -> WarpedCrops:
        """The same on a device, by torch: `pixels` is a tensor (B, 3, H, W) float32."""
        from poise.inference.networks.device_crops import warp_on_device

        centers, scales, matrices = self.places(crops)
        images = [crop.image for crop in crops]
        pixels = warp_on_device(images, matrices, self._size, device, cubic=self._cubic)
        return WarpedCrops(pixels, centers, scales, self._size)

    def places(self, crops: Sequence[Crop]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Centres (B, 2) and scales (B, 2) in image space, and the B maps (2, 3) to the input."""
        width, height = self._size
        boxes = np.stack([crop.box for crop in crops])
        centers, scales = bbox_xyxy2cs(boxes, padding=self._padding)
        scales = fix_aspect_ratio(scales, width / height)
        matrices = [
            self._matrix(center, scale, 0.0, output_size=self._size)
            for center, scale in zip(centers, scales, strict=True)
        ]
        return centers, scales, matrices

    @property
    def constants(self) -> Mapping[str, Any]:
        """What all samples have in common: `input_size` and fields of the schema."""
        return self._constant

    def _sample(self, crop: Crop, center: np.ndarray, scale: np.ndarray) -> PoseDataSample:
        shape = crop.image.shape[:2]
        own = {
            "img_path": crop.path,
            "img_shape": shape,
            "ori_shape": shape,
            "input_center": center,
            "input_scale": scale,
        }
        own = {key: value for key, value in own.items() if key in self._keys}
        sample = PoseDataSample(metainfo={**self._constant, **own})
        instances = InstanceData()
        # all have one row, which `instances.name = value` would check for each
        instances.set_field(crop.box[None], "bboxes")
        instances.set_field(np.array([crop.score], np.float32), "bbox_scores")
        instances.set_field(scale[None], "bbox_scales")
        instances.set_field(np.ones((1, 1, 1)), "keypoints_visible")
        sample.gt_instances = instances
        sample.gt_instance_labels = InstanceData()
        return sample
