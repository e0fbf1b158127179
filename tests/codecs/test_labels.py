"""SimCC, regression, lifting and set-prediction labels."""

import numpy as np
import pytest

from poise.codecs import (
    EDPoseLabel,
    Hand3DHeatmap,
    ImagePoseLifting,
    MotionBERTLabel,
    RegressionLabel,
    SimCCLabel,
    VideoPoseLifting,
    YOLOXPoseAnnotationProcessor,
)
from poise.codecs.utils import camera_to_image_coord, generate_3d_gaussian_heatmaps
from poise.codecs.utils.lifting import around_root, without_joint
from poise.errors import ArgumentError, ConfigError, DataError

CAMERA = {
    "w": 1000,
    "h": 1002,
    "f": np.array([[1145.0], [1143.0]]),
    "c": np.array([[512.0], [515.0]]),
}


@pytest.mark.parametrize(
    "options",
    [
        {"sigma": (4.9, 5.66)},
        {"sigma": 6, "normalize": False},
        {"sigma": 5, "simcc_split_ratio": 3},
        {"smoothing_type": "standard", "label_smooth_weight": 0.1},
        {"smoothing_type": "standard"},
        {"sigma": 6, "normalize": False, "use_dark": True},
    ],
)
def test_simcc_round_trip_is_within_a_bin(person, options):
    codec = SimCCLabel((192, 256), **options)
    labels = codec.encode(person)
    keypoints, scores = codec.decode(labels["keypoint_x_labels"], labels["keypoint_y_labels"])
    assert np.abs(keypoints - person).max() <= 0.51 / codec.simcc_split_ratio
    assert (scores > 0).all()


def test_simcc_labels_are_the_gaussian_of_the_bin(person):
    codec = SimCCLabel((192, 256), sigma=(3, 4), normalize=False)
    labels = codec.encode(person)
    center = np.around(person[0, :, 0] * 2)
    expected = np.exp(-((np.arange(384) - center[:, None]) ** 2) / 18)
    np.testing.assert_allclose(labels["keypoint_x_labels"][0], expected, atol=1e-7)


def test_simcc_smoothed_labels_sum_to_one(person):
    labels = SimCCLabel((192, 256), "standard", label_smooth_weight=0.2).encode(person)
    np.testing.assert_allclose(labels["keypoint_y_labels"].sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("smoothing", ["gaussian", "standard"])
def test_simcc_drops_what_is_out_of_reach(person, smoothing):
    visible = np.ones((1, 17), np.float32)
    visible[0, 0] = 0
    person[0, 1] = [-300, 20]
    person[0, 2] = np.nan
    labels = SimCCLabel((192, 256), smoothing).encode(person, visible)
    assert not labels["keypoint_x_labels"][0, :3].any()
    assert labels["keypoint_weights"][0].tolist() == [0.0] * 3 + [1.0] * 14


def test_simcc_without_a_bell_needs_the_bin_itself():
    places = np.array([[[-0.5, 9], [0, 9], [191.5, 9], [192, 9], [9, -0.5], [9, 256]]])
    labels = SimCCLabel((192, 256), "standard").encode(places)
    assert labels["keypoint_weights"].tolist() == [[0, 1, 1, 0, 0, 0]]
    assert labels["keypoint_x_labels"][0, :, 0].tolist() == [0, 1, 0, 0, 0, 0]
    assert labels["keypoint_x_labels"][0, :, -1].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing_type": "soft"}, "invalid `smoothing_type` value 'soft'"),
        ({"label_smooth_weight": 0.1}, "only used for `standard` mode"),
        ({"smoothing_type": "standard", "label_smooth_weight": 2}, r"range \[0, 1\], got 2"),
    ],
)
def test_simcc_refuses_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        SimCCLabel((192, 256), **options)


def test_visibility_is_a_probability(person):
    codec = SimCCLabel((192, 256), sigma=6, normalize=False, decode_visibility=True)
    labels = codec.encode(person)
    _, (scores, visibility) = codec.decode(
        labels["keypoint_x_labels"][0], labels["keypoint_y_labels"][0]
    )
    assert scores.shape == visibility.shape == (1, 17)
    assert ((visibility > 0) & (visibility <= 1)).all()


def test_regression_scores_are_one_less_the_mean_sigma():
    encoded = np.array([[[0.5, 0.25, 0.1, 0.3]]], np.float32)
    keypoints, scores = RegressionLabel((200, 100)).decode(encoded)
    assert keypoints.tolist() == [[[100, 25]]]
    np.testing.assert_allclose(scores, [[0.8]], rtol=1e-6)
    with pytest.raises(DataError, match="should be 2 or 4"):
        RegressionLabel((200, 100)).decode(np.zeros((1, 1, 3)))


def test_regression_weights_need_the_keypoint_inside():
    keypoints = np.array([[[0, 0], [199, 99], [200, 50], [-1, 5]]], np.float32)
    weights = RegressionLabel((200, 100)).encode(keypoints)["keypoint_weights"]
    assert weights.tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("codec_type", [ImagePoseLifting, VideoPoseLifting])
@pytest.mark.parametrize("remove_root", [False, True])
def test_lifting_round_trip_restores_the_pose(rng, codec_type, remove_root):
    codec = codec_type(17, remove_root=remove_root, save_index=True)
    target = rng.random((1, 17, 3)).astype(np.float32)
    options = {"camera_param": CAMERA} if codec_type is VideoPoseLifting else {}
    encoded = codec.encode(
        rng.random((1, 17, 2)) * 100,
        lifting_target=target,
        lifting_target_visible=np.ones((1, 17)),
        **options,
    )
    assert encoded["keypoint_labels"].shape == (34, 1)
    assert encoded["lifting_target_label"].shape == (1, 17 - remove_root, 3)
    assert ("target_root_index" in encoded) == remove_root
    pose, scores = codec.decode(encoded["lifting_target_label"], encoded["target_root"])
    np.testing.assert_allclose(pose, target, atol=1e-6)
    assert scores.shape == (1, 17)


@pytest.mark.parametrize("codec_type", [ImagePoseLifting, VideoPoseLifting])
def test_lifting_without_target_takes_the_keypoints(rng, codec_type):
    options = {"camera_param": CAMERA} if codec_type is VideoPoseLifting else {}
    encoded = codec_type(17).encode(rng.random((1, 17, 2)), **options)
    assert encoded["lifting_target_label"].shape == (1, 17, 2)


def test_additional_encode_keys_stay_with_their_codec():
    ours = ImagePoseLifting(17, additional_encode_keys=["camera_param"])
    assert "camera_param" in ours.auxiliary_encode_keys
    assert "camera_param" not in ImagePoseLifting(17).auxiliary_encode_keys


def test_lifting_statistics_need_each_other():
    with pytest.raises(ConfigError, match="keypoints_std is None"):
        ImagePoseLifting(17, keypoints_mean=np.zeros((17, 2)))


def test_video_lifting_needs_the_picture_size(rng):
    with pytest.raises(ArgumentError, match="`w` and `h` should be provided"):
        VideoPoseLifting(17).encode(rng.random((1, 17, 2)))


def test_motionbert_target_is_relative_to_the_root(rng):
    codec = MotionBERTLabel(17, root_index=3)
    encoded = codec.encode(
        rng.random((4, 17, 2)) * 1000,
        lifting_target=rng.random((4, 17, 3)) + np.array([0, 0, 3]),
        camera_param=CAMERA,
    )
    assert not encoded["lifting_target_label"][:, 3].any()
    assert encoded["factor"].shape == (4, 1)
    poses, _ = codec.decode(encoded["lifting_target_label"], w=np.full(4, 1000), h=np.full(4, 1002))
    assert not poses[:, 3].any()
    with pytest.raises(ConfigError, match="Unsupported mode"):
        MotionBERTLabel(17, mode="validate")


SMALL_HAND = {
    "image_size": (128, 96),
    "heatmap_size": (32, 24, 16),
    "depth_size": 16,
    "heatmap3d_depth_bound": 200.0,
    "heatmap_size_root": 32,
    "root_heatmap_size": 32,
    "root_depth_bound": 100.0,
}


@pytest.mark.parametrize("options", [{}, SMALL_HAND])
def test_hand_volume_peaks_at_the_keypoint(options):
    keypoints = np.array([[[100.0, 60.0, 50.0]] * 42], np.float32)
    codec = Hand3DHeatmap(**options)
    encoded = codec.encode(
        keypoints, None, None, 40.0, 1.0, np.array([[1, 0]]), np.ones(1), None, None
    )
    decoded, _, depth, hands = codec.decode(
        encoded["heatmaps"].reshape(42, *codec.heatmap_size[::-1]),
        encoded["root_depth"],
        np.array([0.3, -0.2]),
    )
    np.testing.assert_allclose(decoded, keypoints, atol=6.3)
    np.testing.assert_allclose(depth, [40], atol=1e-3)
    assert hands.tolist() == [[1, 0]]


def test_volumes_of_several_people_are_the_maximum_of_each_alone(rng):
    people, visible = rng.uniform(0, 32, (3, 4, 3)), np.ones((3, 4), np.float32)
    people[..., 2] -= 16
    size = {"heatmap_size": (16, 16, 16), "image_size": (32, 32), "heatmap3d_depth_bound": 32}
    volumes, _ = generate_3d_gaussian_heatmaps(
        keypoints=people, keypoints_visible=visible, sigma=1.5, **size
    )
    alone = [
        generate_3d_gaussian_heatmaps(
            keypoints=people[n : n + 1], keypoints_visible=visible[:1], sigma=1.5, **size
        )[0]
        for n in range(3)
    ]
    np.testing.assert_array_equal(volumes, np.max(alone, axis=0))


@pytest.mark.parametrize(("depth", "known"), [(-201, 0), (-200, 1), (200, 1), (201, 0)])
def test_roots_out_of_reach_have_no_depth(depth, known):
    codec = Hand3DHeatmap(image_size=(32, 32), heatmap_size=(8, 8, 8))
    nobody = np.zeros((1, 4, 3), np.float32)
    encoded = codec.encode(nobody, None, None, depth, 1.0, None, None, None, None)
    assert encoded["root_depth_weight"].tolist() == [known]


def test_root_depth_of_a_float32_scalar_is_computed_in_float64():
    depth = np.float32(-203.79)
    codec = Hand3DHeatmap(image_size=(32, 32), heatmap_size=(8, 8, 8))
    encoded = codec.encode(
        np.zeros((1, 4, 3), np.float32), None, None, depth, 1.0, None, None, None, None
    )
    exact = (float(depth) / 400 + 0.5) * 64
    assert encoded["root_depth"].tolist() == [np.float32(exact)]
    # near zero the difference is large
    assert np.float32(exact) != (depth / np.float32(400) + np.float32(0.5)) * np.float32(64)


@pytest.mark.parametrize("given", [[9.0, 2.0, 9.0, 5.0], [2.0, 5.0]])
def test_weights_of_chosen_hand_joints(given):
    codec = Hand3DHeatmap(
        image_size=(32, 32),
        heatmap_size=(8, 8, 8),
        joint_indices=[1, 3],
        use_different_joint_weights=True,
    )
    encoded = codec.encode(
        np.zeros((1, 4, 3), np.float32), None, np.array(given), 0.0, 1.0, None, None, None, None
    )
    assert encoded["keypoint_weights"].tolist() == [[2, 5]]
    assert encoded["heatmaps"].shape == (2 * 8, 8, 8)


def test_boxes_grow_to_hold_visible_keypoints():
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    keypoints = np.array([[[5, 15], [50, 12], [99, 99]]], np.float32)
    visible = np.array([[1, 2, 0]], np.float32)
    before = boxes.copy()
    encoded = YOLOXPoseAnnotationProcessor(expand_bbox=True).encode(keypoints, visible, boxes, [1])
    assert encoded["bbox"].tolist() == [[5, 10, 50, 20]]
    assert encoded["bbox_labels"].tolist() == [0]
    np.testing.assert_array_equal(boxes, before)


def test_boxes_grow_around_keypoints_in_whole_pixels():
    keypoints, visible = np.array([[[5, 15], [50, 12], [99, 99]]]), np.array([[1, 2, 0]])
    encoded = YOLOXPoseAnnotationProcessor(expand_bbox=True).encode(
        keypoints, visible, np.array([[10, 10, 20, 20]]), [1]
    )
    assert encoded["bbox"].tolist() == [[5, 10, 50, 20]]


def test_visibility_with_weights_beside_it_is_the_first_of_both():
    keypoints = np.array([[[5, 15], [99, 12]]], np.float32)
    visible = np.array([[[1, 0], [0, 1]]], np.float32)
    processor = YOLOXPoseAnnotationProcessor(expand_bbox=True)
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    encoded = processor.encode(keypoints, visible, boxes)
    assert {key: value.tolist() for key, value in encoded.items()} == {"bbox": [[5, 10, 20, 20]]}
    encoded = processor.encode(keypoints, None, boxes)
    assert encoded["bbox"].tolist() == [[5, 10, 99, 20]]


def test_edpose_keeps_the_best_people(rng):
    codec = EDPoseLabel(num_select=2, num_keypoints=1)
    logits = np.array([[0.1], [0.9], [0.5]])
    boxes = np.full((3, 4), 0.5)
    places = np.array([[0.1, 0.2, 1], [0.5, 0.5, 1], [0.25, 1.0, 1]])
    out, keypoints, scores = codec.decode(np.array([100, 200]), logits, boxes, places)
    assert scores.tolist() == [[0.9], [0.5]]
    assert keypoints.tolist() == [[[100, 50]], [[50, 100]]]
    assert out[0].tolist() == [50, 25, 150, 75]


def test_edpose_ranks_pairs_of_person_and_class():
    logits = np.array([[0.1, 0.9], [0.4, 0.5]])
    boxes = np.array([[0.5, 0.5, 0.25, 0.25], [0.25, 0.5, 0.5, 0.5]])
    places = np.tile(np.array([[0.125], [0.75]]), 3 * 17)
    out, keypoints, scores = EDPoseLabel(num_select=3).decode(
        np.array([16, 16]), logits, boxes, places
    )
    assert scores[:, 0].tolist() == [0.9, 0.5, 0.4]
    assert out.tolist() == [[6, 6, 10, 10], [0, 4, 8, 12], [0, 4, 8, 12]]
    assert keypoints[:, 16].tolist() == [[2, 2], [12, 12], [12, 12]]


def test_normalized_simcc_labels_are_divided_in_single_precision():
    """As numpy 1 did with a float64 factor; sub-pixel decoding shows the last bit."""
    labels = SimCCLabel((64, 64), sigma=7.0, normalize=True).encode(np.full((1, 1, 2), 20.0))
    steps = np.arange(128, dtype=np.float32) - 40
    bell = np.exp(-(steps**2) / (2 * 7.0**2)) / np.float32(7.0 * np.sqrt(np.pi * 2))
    assert bell.dtype == np.float32
    np.testing.assert_array_equal(labels["keypoint_x_labels"][0, 0], bell)


def test_poses_in_the_picture_keep_their_proportions_at_the_root():
    camera = {"f": np.array([2000.0, 1000.0]), "c": np.array([500.0, 250.0])}
    poses = np.array([[[0, 0, 2], [1, -1, 4]], [[0, 0, 4], [1, -1, 2]]], np.float64)
    places, factors = camera_to_image_coord(0, poses, camera)
    # the probe of two units is 2 / depth * 2 wide, and a thousandth is added
    width = np.array([2.001, 1.001])
    np.testing.assert_allclose(factors, 2 / width)
    np.testing.assert_allclose(places[:, 0], [[0.5, 0.25, 0]] * 2)
    np.testing.assert_allclose(places[:, 1, :2], [[1, 0], [1.5, -0.25]])
    np.testing.assert_allclose(places[:, 1, 2], width / 2 * [2, -2])


def test_roots_that_a_pose_lacks_are_refused():
    pose = np.arange(6.0).reshape(1, 2, 3)
    moved, root = around_root(pose, [1])
    assert root.tolist() == [[3, 4, 5]]
    assert moved.tolist() == [[[-3, -3, -3], [0, 0, 0]]]
    for bad, joint in ((pose, 2), (np.zeros(3), 0)):
        with pytest.raises(DataError, match=f"more than {joint} joints"):
            around_root(bad, [joint])


def test_weights_with_an_axis_of_their_own_lose_the_joint_too():
    weight = np.array([[1.0, 2.0]])
    for given in (weight, weight[..., None]):
        pose, rest = without_joint(np.arange(6.0).reshape(1, 2, 3), given, 0)
        assert pose.tolist() == [[[3, 4, 5]]]
        assert rest.tolist() == given[:, 1:].tolist()
