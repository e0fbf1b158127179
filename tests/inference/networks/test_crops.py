"""The quick way from boxes to a batch gives what the pipeline gives."""

import numpy as np
import pytest
import torch

from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.inference.networks.crops import (
    Crop,
    PipelineCrops,
    WarpCrops,
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


@pytest.mark.parametrize("use_udp", [False, True])
@pytest.mark.parametrize("padding", [1.0, 1.25])
def test_batch_equals_the_pipelines(crops, use_udp, padding):
    pipeline = plain({"use_udp": use_udp}, padding)
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


def test_torch_warps_almost_the_same_crops(crops):
    # a smooth picture: sampling places differ by less than 1/32 of a pixel
    smooth = np.add.outer(np.arange(100), np.arange(120)).astype(np.uint8)
    smooth = np.repeat(smooth[..., None], 3, 2)
    others = [crop._replace(image=smooth) for crop in crops]
    maker = WarpCrops(plain(), META)
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
    np.testing.assert_allclose(found[0], found[1], atol=0.05)
    with pytest.raises(UnknownNameError, match="crops must be one of opencv, torch, got 'pil'"):
        poise.Inferencer(model, crops="pil")
