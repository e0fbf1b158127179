"""The quick way from boxes to a batch gives what the pipeline gives."""

import numpy as np
import pytest
import torch

from poise.codecs import MegviiHeatmap, MSRAHeatmap, UDPHeatmap
from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.inference.networks.crops import (
    Crop,
    PipelineCrops,
    WarpCrops,
    WarpedCrops,
    crop_maker,
    read_test_pipeline,
)
from poise.structures import parse_pose_metainfo
from poise.transforms import Compose

META = parse_pose_metainfo({"from_file": "coco"})
BOXES = np.array(
    [
        [20, 10, 80, 90],
        [-30, -20, 40, 60],  # over the border
        [90, 60, 200, 170],
        [300, 300, 350, 380],  # outside
        [50.25, 40.5, 50.75, 41.5],  # less than a pixel
        [0, 0, 120, 100],
    ],
    np.float32,
)


def plain(affine=None, padding=1.25, **pack):
    return Compose(
        [
            dict(type="LoadImage"),
            dict(type="GetBBoxCenterScale", padding=padding),
            dict(type="TopdownAffine", input_size=(48, 64), **(affine or {})),
            dict(type="PackPoseInputs", **pack),
        ]
    )


@pytest.fixture
def crops():
    image = np.random.default_rng(0).integers(0, 255, (100, 120, 3), dtype=np.uint8)
    return [Crop(image, box, 0.5, "a", "a.jpg") for box in BOXES]


@pytest.mark.parametrize("affine", [dict(), dict(use_udp=True), dict(cubic=True)])
@pytest.mark.parametrize("padding", [1.0, 1.25])
def test_batch_equals_the_pipelines(crops, affine, padding):
    pipeline = plain(affine, padding)
    quick, general = WarpCrops(pipeline, META)(crops), PipelineCrops(pipeline, META)(crops)
    torch.testing.assert_close(quick["inputs"], torch.stack(general["inputs"]), rtol=0, atol=0)
    for ours, theirs in zip(quick["data_samples"], general["data_samples"], strict=True):
        for kind in ("metainfo", "gt_instances"):
            left, right = (dict(getattr(s, kind).items()) for s in (ours, theirs))
            assert left.keys() == right.keys()
            for key, value in left.items():
                np.testing.assert_array_equal(value, right[key])


@pytest.mark.parametrize(
    ("pipeline", "quick"),
    [
        (plain(), True),
        (plain(meta_keys=("input_size", "input_center", "input_scale")), True),
        (plain(meta_keys=("input_size", "bbox_center")), False),
        (Compose([*plain().transforms[:-1], dict, *plain().transforms[-1:]]), False),
    ],
)
def test_only_plain_pipelines_take_the_quick_way(pipeline, quick):
    assert isinstance(crop_maker(pipeline, META), WarpCrops if quick else PipelineCrops)


def test_subclass_of_a_step_takes_the_general_way():
    pipeline = plain()
    affine = type(pipeline.transforms[2])

    class Mine(affine):
        pass

    pipeline.transforms[2] = Mine((48, 64))
    assert isinstance(crop_maker(pipeline, META), PipelineCrops)


def test_dropped_box_and_absent_pipeline_are_named(crops):
    with pytest.raises(DataError, match="gave nothing for a"):
        PipelineCrops(Compose([lambda results: None]), META)(crops)
    with pytest.raises(ConfigError, match="has no test pipeline"):
        read_test_pipeline(Config({"model": {}}))


@pytest.mark.parametrize("cubic", [False, True])
def test_torch_warps_almost_the_same_crops(crops, cubic):
    # a smooth picture: sampling places differ by less than 1/32 of a pixel
    smooth = np.add.outer(np.arange(100), np.arange(120)).astype(np.uint8)
    smooth = np.repeat(smooth[..., None], 3, 2)
    others = [crop._replace(image=smooth) for crop in crops]
    maker = WarpCrops(plain(dict(cubic=cubic)), META)
    exact, quick = maker.warped(others), maker.warped_on(others, "cpu")
    difference = quick.pixels.permute(0, 2, 3, 1).numpy() - exact.pixels.astype(np.float32)
    # steps from 255 to 0 and the picture's edges may fall on either side
    assert np.mean(np.abs(difference) < 3) > 0.97
    np.testing.assert_array_equal(quick.centers, exact.centers)


def test_inferencer_warps_as_asked():
    import poise
    from poise.errors import UnknownNameError

    image = np.random.default_rng(0).integers(0, 255, (100, 120, 3), dtype=np.uint8)
    model = poise.load_model("movenet-lightning")
    boxes = [[0, 0, 120, 100], [20, 10, 80, 90]]
    found = [
        poise.Inferencer(model, device="cpu", crops=crops)(image, boxes=boxes)[0].keypoint_scores
        for crops in ("opencv", "torch")
    ]
    # two ways to interpolate, on noise, which is the hardest picture for them
    np.testing.assert_allclose(found[0], found[1], atol=0.1)
    with pytest.raises(UnknownNameError, match="crops must be one of 'opencv', 'torch', got 'pil'"):
        poise.Inferencer(model, crops="pil")


CODEC_SIZES = {"input_size": (48, 64), "heatmap_size": (48, 64)}


@pytest.mark.parametrize(
    ("codec", "sigma"),
    [
        (MSRAHeatmap(sigma=2, **CODEC_SIZES), 2.0),
        (UDPHeatmap(sigma=2, **CODEC_SIZES), 2.0),
        (MegviiHeatmap(kernel_size=11, **CODEC_SIZES), 2.0),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "encode") else "",
)
def test_crops_of_any_size_and_place_tell_the_same_covariance(codec, sigma):
    place, spread = np.array([60.0, 80.0]), np.array([[90.0, 40.0], [40.0, 60.0]])
    centers = np.array([[60.0, 80.0], [75.0, 70.0], [55.0, 95.0]])
    scales = np.array([[96.0, 128.0], [120.0, 160.0], [150.0, 90.0]])
    y, x = np.mgrid[:64, :48]
    maps = []
    for center, scale in zip(centers, scales, strict=True):
        # as the codec measures: one pixel of the output is so many of the picture
        factors = codec.scale_factor if isinstance(codec, MSRAHeatmap) else np.ones(2)
        if isinstance(codec, UDPHeatmap):
            factors = np.array([48 / 47, 64 / 63])
        step = scale / (48, 64) * factors
        off = np.stack((x, y), -1) - (place - center + scale / 2) / step
        wide = spread / np.outer(step, step) + sigma**2 * np.eye(2)
        maps.append(np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", off, np.linalg.inv(wide), off)))
    batch = WarpedCrops(None, centers, scales, (48, 64))
    found = codec.batch_decode_covariance(np.stack(maps)[:, None].astype(np.float32))
    in_picture = batch.covariances_to_image_space(found)
    assert in_picture.shape == (3, 1, 1, 2, 2)
    assert in_picture.dtype == np.float32
    np.testing.assert_allclose(in_picture[:, 0, 0], np.tile(spread, (3, 1, 1)), rtol=0.01)
