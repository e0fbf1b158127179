from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.geometry.pictures import warp_picture
from poise.transforms import (
    BottomupGetHeatmapMask,
    BottomupRandomAffine,
    BottomupRandomChoiceResize,
    BottomupRandomCrop,
    BottomupResize,
    RandomChoiceResize,
)
from poise.transforms.bottomup_affine import _Change

STILL = dict(shift_prob=0, scale_prob=0, rotate_prob=0, shear_prob=0)


def change(shift=(0, 0), scale=1.0, rotation=0.0, shear=(0, 0)):
    return _Change(np.array(shift, float), np.array([scale]), rotation, np.array(shear, float))


def with_change(step, **kwargs):
    step._get_transform_params = lambda: change(**kwargs)
    return step


# ------------------------------------------------------------------- affine


@pytest.mark.parametrize("mode", ["affine", "affine_udp", "perspective"])
@pytest.mark.parametrize("keep_corner", [False, True])
def test_everything_moves_by_one_matrix(person, mode, keep_corner):
    before = person(2)
    points, image = before["keypoints"].copy(), before["img"]
    step = BottomupRandomAffine((40, 40), transform_mode=mode, bbox_keep_corner=keep_corner)
    after = with_change(step, shift=(0.1, -0.05), scale=0.8, rotation=20, shear=(1, 2))(before)
    matrix = after["warp_mat"]
    homogeneous = np.concatenate([points, np.ones((2, 5, 1))], 2) @ matrix.T
    expected = homogeneous[..., :2] / (homogeneous[..., 2:] if len(matrix) == 3 else 1)
    np.testing.assert_allclose(after["keypoints"], expected, atol=1e-4)
    np.testing.assert_array_equal(after["img"], warp_picture(image, matrix, (40, 40)))
    assert after["bbox"].shape == ((2, 4, 2) if keep_corner else (2, 4))
    factor = np.linalg.det(matrix[:2, :2])
    np.testing.assert_allclose(after["area"], 100 * factor, rtol=1e-5)
    assert after["area"].dtype == np.float32
    assert after["input_size"] == (40, 40)


@pytest.mark.parametrize(("scale_type", "region"), [("short", (48, 48)), ("long", (64, 64))])
def test_the_region_has_the_inputs_aspect_ratio(scale_type, region):
    step = BottomupRandomAffine((32, 32), scale_type=scale_type)
    assert step._fitted(np.array([64.0, 48.0]), 1.0).tolist() == list(region)
    assert step._fitted(np.array([48.0, 64.0]), 1.0).tolist() == list(region)


#: MMPose's, of the change in the test below
MATRICES = {
    ("affine", "short"): ((1.08253, 0.625, -30.56922), (-0.625, 1.08253, 18.41154)),
    ("affine", "long"): ((0.72169, 0.41667, -13.71281), (-0.41667, 0.72169, 15.60769)),
    ("affine_udp", "short"): ((1.05547, -0.60938, -12.03194), (0.59375, 1.02841, -27.29796)),
    ("affine_udp", "long"): ((0.70365, -0.40625, -1.52129), (0.39583, 0.6856, -15.03197)),
    ("perspective", "long"): ((0.45049, -0.21972, 17.18732), (0.20449, 0.45929, -2.68266)),
}


@pytest.mark.parametrize(("mode", "scale_type"), MATRICES)
def test_matrices_are_those_of_the_reference(mode, scale_type):
    step = BottomupRandomAffine((40, 20), transform_mode=mode, scale_type=scale_type)
    given = change(shift=(0.1, -0.2), scale=0.5, rotation=30, shear=(4, -6))
    matrix = step._matrix((48, 64), given)
    np.testing.assert_allclose(matrix[:2], MATRICES[mode, scale_type], atol=1e-4)


def test_clip_border_clips_boxes_and_hides_keypoints(person):
    step = BottomupRandomAffine(
        (20, 20), transform_mode="perspective", clip_border=True, bbox_keep_corner=False
    )
    after = with_change(step)(person(2))
    assert after["bbox"].max() <= 20
    outside = (after["keypoints"] > 20).any(-1)
    assert outside.any()
    assert (after["keypoints_visible"] == ~outside).all()


def test_pad_val_colours_the_outside(person):
    step = BottomupRandomAffine((90, 90), scale_type="long", pad_val=[1, 2, 3])
    assert with_change(step)(person())["img"][0, 45].tolist() == [1, 2, 3]
    assert BottomupRandomAffine((9, 9), pad_val=114).pad_val == (114, 114, 114)


def test_samples_without_people_pass(person):
    results = person()
    for key in ("bbox", "keypoints", "keypoints_visible", "area"):
        results[key] = results[key][:0]
    after = BottomupRandomAffine((32, 32), bbox_keep_corner=False)(results)
    assert len(after["keypoints"]) == 0
    assert after["img"].shape == (32, 32, 3)


def test_whole_number_areas_are_not_cut(person):
    results = person(area=np.array([101]))
    after = with_change(BottomupRandomAffine((32, 32)), scale=0.7)(results)
    assert after["area"].dtype.kind == "f"


@pytest.mark.parametrize("distribution", ["trunc_norm", "uniform"])
def test_draws_stay_within_their_factors(distribution):
    step = BottomupRandomAffine(
        (32, 32),
        distribution=distribution,
        transform_mode="perspective",
        shift_factor=0.1,
        scale_factor=(0.5, 0.6),
        rotate_factor=5,
        shear_factor=1,
    )
    for draw in (step._get_transform_params() for _ in range(100)):
        assert np.abs(draw.shift).max() <= 0.1
        assert 0.5 <= draw.scale[0] <= 0.6
        assert abs(draw.rotation) <= 5
        assert np.abs(draw.shear).max() <= 1


def test_probability_zero_draws_nothing():
    draw = BottomupRandomAffine(
        (4, 4), transform_mode="perspective", **STILL
    )._get_transform_params()
    assert (draw.shift.any(), draw.scale[0], draw.rotation, draw.shear.any()) == (
        False,
        1,
        0,
        False,
    )


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        (dict(transform_mode="afine"), "transform_mode.*did you mean 'affine'"),
        (
            dict(distribution="normal"),
            "of BottomupRandomAffine must be one of 'trunc_norm'",
        ),
        (dict(scale_type="shortest"), "scale_type.*'shortest'"),
        (dict(input_size=None), "input_size must be"),
    ],
)
def test_wrong_affine_arguments_are_refused(kwargs, text):
    with pytest.raises(ArgumentError, match=text):
        BottomupRandomAffine(**{"input_size": (32, 32)} | kwargs)


# ------------------------------------------------------------------- resize


@pytest.mark.parametrize("use_udp", [False, True])
@pytest.mark.parametrize(
    ("mode", "wanted", "size"),
    [
        ("fit", (64, 64), (64, 64)),
        ("fit", (32, 96), (32, 96)),
        ("expand", (60, 60), (96, 64)),
        ("expand", (64, 32), (64, 64)),
    ],
)
def test_input_sizes(person, mode, wanted, size, use_udp):
    step = BottomupResize(wanted, size_factor=32, resize_mode=mode, use_udp=use_udp)
    after = step(person())
    assert after["input_size"] == size
    assert after["img"].shape == (size[1], size[0], 3)
    assert after["img_shape"] == size[::-1]
    assert after["aug_scale"] is None
    np.testing.assert_array_equal(after["input_center"], np.array([64, 48]) / 2 - 0.5 * use_udp)


def test_padding_has_its_colour(person):
    after = BottomupResize((64, 64), pad_val=(9, 8, 7))(person())
    assert after["img"][0, 0].tolist() == [9, 8, 7]


def test_scales_give_a_pyramid(person):
    after = BottomupResize((64, 64), aug_scales=[0.5, 2])(person())
    assert [i.shape[:2] for i in after["img"]] == [(64, 64), (32, 32), (128, 128)]
    assert after["input_size"] == (64, 64)
    assert after["aug_scales"] == [0.5, 2]


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        (dict(input_size=(60, 64)), r"multiples of size_factor 32, got \(60, 64\).*use \(64, 64\)"),
        (dict(aug_scales=[0.7]), "multiples of size_factor"),
        (dict(resize_mode="fill"), "'fit', 'expand', got 'fill'"),
    ],
)
def test_wrong_resize_arguments_are_refused(kwargs, text):
    with pytest.raises(ArgumentError, match=text):
        BottomupResize(**{"input_size": (64, 64)} | kwargs)


def test_an_input_longer_than_opencv_warps_is_told(person):
    long = {"img": np.zeros((2, 1200, 3), np.uint8), "ori_shape": (2, 1200)}
    step = BottomupResize((64, 64), resize_mode="expand")
    with pytest.raises(DataError, match=r"an input of 38400x64 of a picture of 1200x2; cut"):
        step(person() | long)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize(("keep_ratio", "shape"), [(True, (30, 40)), (False, (40, 32))])
def test_choice_resize_moves_boxes_and_keypoints(person, backend, keep_ratio, shape):
    before = person(2)
    points = before["keypoints"].copy()
    step = BottomupRandomChoiceResize([[32, 40]], keep_ratio=keep_ratio, backend=backend)
    after = step(before)
    assert after["img"].shape[:2] == after["img_shape"] == shape
    factor = np.array([shape[1] / 64, shape[0] / 48])
    np.testing.assert_allclose(after["keypoints"], points * factor, rtol=1e-6)
    np.testing.assert_allclose(after["scale_factor"], factor)
    assert after["scale_idx"] == 0


@pytest.mark.parametrize(("faults", "size"), [(True, (30, 40)), (False, (40, 30))])
def test_choice_resize_swaps_sides_like_mmpose_unless_told_otherwise(person, faults, size):
    step = BottomupRandomChoiceResize((32, 40), keep_ratio=True, mmpose_faults=faults)
    after = step(person())
    assert after["input_size"] == size
    assert after["input_scale"].tolist() == ([48, 64] if faults else [64, 48])


@pytest.mark.parametrize("faults", [True, False])
def test_mmcvs_resize_leaves_boxes_and_keypoints_unless_told_otherwise(person, faults):
    before = person(2)
    points, boxes = before["keypoints"].copy(), before["bbox"].copy()
    after = RandomChoiceResize([(32, 40)], keep_ratio=True, mmpose_faults=faults)(before)
    assert after["img"].shape[:2] == after["img_shape"] == (30, 40)
    factor = 1 if faults else 40 / 64
    np.testing.assert_allclose(after["keypoints"], points * factor, rtol=1e-6)
    np.testing.assert_allclose(after["bbox"], boxes * factor, rtol=1e-6)
    assert (after.get("scale"), after.get("keep_ratio")) == (
        ((32, 40), True) if faults else (None, None)
    )


def test_mmcvs_resize_moves_the_boxes_of_detectors(person):
    before = person(2)
    boxes = before["bbox"].copy()
    before |= dict(bbox_label=np.zeros(2, int), ignore_flag=np.zeros(2, bool))
    after = RandomChoiceResize([(32, 40)], keep_ratio=True)(before)
    np.testing.assert_allclose(after["bbox"], boxes * 40 / 64, rtol=1e-6)
    assert (after["scale"], after["scale_factor"]) == ((32, 40), (40 / 64, 30 / 48))


def test_choice_resize_draws_every_size():
    step = BottomupRandomChoiceResize([(8, 8), (9, 9), (10, 10)])
    assert {step._random_select()[1] for _ in range(60)} == {0, 1, 2}


def test_wrong_scales_are_refused():
    with pytest.raises(ArgumentError, match="at least one size"):
        BottomupRandomChoiceResize([])
    with pytest.raises(ArgumentError, match=r"needs \(width, height\) pairs"):
        BottomupRandomChoiceResize([0.5], keep_ratio=False)


# --------------------------------------------------------------------- crop


@pytest.mark.parametrize(
    ("crop_type", "size", "low", "high"),
    [
        ("absolute", (30, 20), (20, 30), (20, 30)),
        ("absolute", (300, 20), (20, 64), (20, 64)),
        ("absolute_range", (10, 20), (10, 10), (20, 20)),
        ("relative", (0.5, 0.25), (12, 32), (12, 32)),
        ("relative_range", (0.5, 0.25), (24, 16), (48, 64)),
    ],
)
def test_crops_have_the_drawn_size(person, crop_type, size, low, high):
    step = BottomupRandomCrop(size, crop_type, allow_negative_crop=True)
    for _ in range(20):
        shape = step(person())["img_shape"]
        assert low[0] <= shape[0] <= high[0]
        assert low[1] <= shape[1] <= high[1]


def test_people_follow_the_crop(person):
    before = person(3)
    image, points, boxes = before["img"], before["keypoints"].copy(), before["bbox"].copy()
    step = BottomupRandomCrop((40, 30), allow_negative_crop=True)
    step._rand_offset = lambda margin: (5, 10)
    after = step(before)
    np.testing.assert_array_equal(after["img"], image[5:35, 10:50])
    assert after["warp_mat"].tolist() == [[1, 0, -10], [0, 1, -5], [0, 0, 1]]
    moved = points - [10, 5]
    np.testing.assert_allclose(after["keypoints"], moved.clip(0, (40, 30)))
    hidden = ((moved < 0) | (moved > [40, 30])).any(-1)
    np.testing.assert_array_equal(after["keypoints_visible"], ~hidden)
    np.testing.assert_allclose(after["bbox"], (boxes - [10, 5, 10, 5]).clip(0, [40, 30, 40, 30]))


def test_a_picture_alone_is_cropped(person):
    image = person()["img"]
    step = BottomupRandomCrop((40, 30))
    step._rand_offset = lambda margin: (5, 10)
    after = step({"img": image})
    np.testing.assert_array_equal(after["img"], image[5:35, 10:50])
    assert after["img_shape"] == (30, 40)


def test_people_outside_of_the_crop_are_dropped(person):
    results = person(2, iscrowd=[0, 0], raw_ann_info=[{"a": 1}, {"a": 2}])
    results["bbox"] = np.array([[0, 0, 5, 5], [40, 30, 60, 45.0]])
    results["masks"] = np.zeros((2, 48, 64), bool)
    results["masks"][1, 32:40, 44:50] = True
    step = BottomupRandomCrop((30, 20), recompute_bbox=True)
    step._rand_offset = lambda margin: (28, 34)
    after = step(results)
    assert after["id"] == [1]
    assert after["raw_ann_info"] == [{"a": 2}]
    assert len(after["keypoints"]) == len(after["bbox_score"]) == len(after["category_id"]) == 1
    assert after["masks"].shape == (1, 20, 30)
    assert after["bbox"].tolist() == [[10, 4, 16, 12]]


def test_a_crop_without_people_is_dropped_or_kept(person):
    results = person(bbox=np.array([[0, 0, 5, 5.0]]))
    for allowed in (False, True):
        step = BottomupRandomCrop((10, 10), allow_negative_crop=allowed)
        step._rand_offset = lambda margin: margin
        after = step(dict(results))
        assert (after is None) is not allowed
    assert len(after["bbox"]) == 0


def test_crops_extend_a_matrix(person):
    first = np.array([[2.0, 0, 1], [0, 2, 3]])
    step = BottomupRandomCrop((64, 48), allow_negative_crop=True)
    after = step(person(warp_mat=first))
    np.testing.assert_array_equal(after["warp_mat"][:2], first)


@pytest.mark.parametrize(
    ("size", "crop_type", "text"),
    [
        ((4, 4), "absolut", "crop_type must be one of.*did you mean 'absolute'"),
        ((0.5, 4), "absolute", "positive whole numbers"),
        ((9, 4), "absolute_range", "the smaller first"),
        ((1.5, 0.5), "relative", r"parts in 0\.\.1"),
    ],
)
def test_wrong_crops_are_refused(size, crop_type, text):
    with pytest.raises(ArgumentError, match=text):
        BottomupRandomCrop(size, crop_type)


def test_the_angle_is_not_rounded_to_float32():
    step = BottomupRandomAffine(input_size=(64, 64), shift_prob=0, scale_prob=0, rotate_factor=30.1)
    step._random = lambda size=(): np.float32(0.3)
    assert step._get_transform_params().rotation == float(np.float32(0.3)) * 30.1


# --------------------------------------------------------------------- mask

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]


def inside(mask, value):
    return (mask[12:28, 12:28] == value).all() and (mask[40:, 40:] != value).all()


@pytest.mark.parametrize("get_invalid", [False, True])
def test_polygons_are_masked(person, get_invalid):
    step = BottomupGetHeatmapMask(get_invalid)
    mask = step(person(invalid_segs=[SQUARE]))["heatmap_mask"]
    assert mask.shape == (48, 64)
    assert mask.dtype == bool
    assert inside(mask, get_invalid)


@pytest.mark.parametrize("segments", [[], [[]]])
def test_without_segments_all_counts(person, segments):
    assert BottomupGetHeatmapMask()(person(invalid_segs=segments))["heatmap_mask"].all()


def test_a_person_without_outline_hides_no_other(person):
    mask = BottomupGetHeatmapMask()(person(invalid_segs=[[], SQUARE]))["heatmap_mask"]
    assert inside(mask, False)


@pytest.mark.parametrize(("faults", "masked"), [(True, False), (False, True)])
@pytest.mark.parametrize("compressed", [False, True])
def test_crowds_are_skipped_like_mmpose_unless_told_otherwise(person, faults, masked, compressed):
    from pycocotools import mask as coco

    area = np.zeros((48, 64), np.uint8, order="F")
    area[10:31, 10:31] = 1
    counts = np.diff(np.flatnonzero(np.diff(area.T.ravel(), prepend=2, append=2)))
    crowd = coco.encode(area) if compressed else {"size": [48, 64], "counts": counts.tolist()}
    step = BottomupGetHeatmapMask(mmpose_faults=faults)
    mask = step(person(invalid_segs=[crowd]))["heatmap_mask"]
    assert inside(mask, False) is masked or mask.all() is not masked


@pytest.mark.parametrize("matrix", [np.eye(2, 3) / 2, np.diag([0.5, 0.5, 1])])
def test_the_mask_follows_warp_and_flip(person, matrix):
    results = person(invalid_segs=[SQUARE], warp_mat=matrix, input_size=(32, 24), flip=True)
    results["flip_direction"] = "horizontal"
    mask = BottomupGetHeatmapMask()(results)["heatmap_mask"]
    assert mask.shape == (24, 32)
    assert not mask[6:14, 17:26].any()
    assert mask[:, :16].all()


def test_the_mask_has_the_size_of_the_heatmaps(person):
    results = person(heatmaps=np.zeros((5, 12, 16)))
    assert BottomupGetHeatmapMask()(results)["heatmap_mask"].shape == (12, 16)
    results["heatmaps"] = [np.zeros((5, 12, 16)), np.zeros((5, 24, 32))]
    masks = BottomupGetHeatmapMask()(results)["heatmap_mask"]
    assert [m.shape for m in masks] == [(12, 16), (24, 32)]
