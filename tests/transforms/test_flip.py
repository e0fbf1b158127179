from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.transforms import HandRandomFlip, RandomFlip, RandomFlipAroundRoot, TopdownAffine

DIRECTIONS = ["horizontal", "vertical", "diagonal"]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_keypoints_stay_on_their_pixels(person, direction):
    results = person()
    results["keypoints"] = np.round(results["keypoints"])
    before = person()["img"]
    colours = [before[int(y), int(x)] for x, y in results["keypoints"][0]]
    after = RandomFlip(prob=1.0, direction=direction)(results)
    swapped = range(5) if direction == "diagonal" else after["flip_indices"]
    for k, source in enumerate(swapped):
        x, y = after["keypoints"][0, k].astype(int)
        np.testing.assert_array_equal(after["img"][y, x], colours[source])
    assert after["flip"] is True
    assert after["flip_direction"] == direction


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_flipping_twice_gives_the_sample_back(person, direction):
    before = person(2, bbox_center=np.full((2, 2), 9.0, np.float32), img_mask=np.eye(48, 64))
    step = RandomFlip(prob=1.0, direction=direction)
    after = step(step({k: np.copy(v) if k == "img" else v for k, v in before.items()}))
    for key in ("img", "img_mask", "bbox", "bbox_center", "keypoints", "keypoints_visible"):
        np.testing.assert_allclose(after[key], before[key], atol=1e-4)


def test_probability_zero_flips_nothing(person):
    results = person()
    after = RandomFlip(prob=0.0)(results)
    assert (after["flip"], after["flip_direction"]) == (False, None)
    assert after["img"] is results["img"]


def test_a_flipped_picture_is_contiguous(person):
    assert RandomFlip(prob=1.0)(person())["img"].flags.c_contiguous


def test_sequences_of_pictures_flip_together(person):
    results = person()
    frame = results["img"]
    results["img"] = [frame, frame + 1]
    after = RandomFlip(prob=1.0)(results)["img"]
    np.testing.assert_array_equal(after[1], (frame + 1)[:, ::-1])


@pytest.mark.parametrize(
    ("prob", "direction", "share"),
    [
        (0.5, "horizontal", {"horizontal": 0.5}),
        (0.9, DIRECTIONS, {"horizontal": 0.3, "vertical": 0.3, "diagonal": 0.3}),
        ([0.1, 0.6], ["vertical", "diagonal"], {"vertical": 0.1, "diagonal": 0.6}),
        ([1.0], ["vertical"], {"vertical": 1.0}),
    ],
)
def test_directions_come_with_their_probability(prob, direction, share):
    step = RandomFlip(prob=prob, direction=direction)
    drawn = [step._choose_direction() for _ in range(3000)]
    for name in (*DIRECTIONS, None):
        expected = share.get(name, 0.0) if name else 1 - sum(share.values())
        assert drawn.count(name) / 3000 == pytest.approx(expected, abs=0.04)


def test_the_draws_are_those_of_numpys_choice():
    step = RandomFlip(prob=[0.2, 0.3], direction=["horizontal", "vertical"])
    np.random.seed(3)
    drawn = [step._choose_direction() for _ in range(50)]
    np.random.seed(3)
    choices = ["horizontal", "vertical", None]
    assert drawn == [np.random.choice(choices, p=[0.2, 0.3, 0.5]) for _ in range(50)]


@pytest.mark.parametrize(("faults", "width"), [(True, 32), (False, 64)])
def test_input_size_is_read_as_mmpose_does_unless_told_otherwise(person, faults, width):
    results = person(input_size=(64, 32))
    x = results["keypoints"][0, 0, 0]
    after = RandomFlip(prob=1.0, mmpose_faults=faults)(results)
    assert after["keypoints"][0, 0, 0] == pytest.approx(width - 1 - x, abs=1e-4)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((0.5, "sideways"), "a flip must be one of .*horizontal.*got 'sideways'"),
        ((0.5, "horizontall"), "did you mean 'horizontal'"),
        ((0.5, 3), "direction must be a name or a list"),
        (("often",), "prob must be a number or a list"),
        (([0.2, 0.3], "horizontal"), "equal lengths, got 2 and 1"),
        (([0.7, 0.6], ["horizontal", "vertical"]), "between 0 and 1 in total"),
        ((-0.5,), "between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(args, text):
    with pytest.raises(ArgumentError, match=text):
        RandomFlip(*args)


def test_flip_indices_of_another_dataset_are_refused(person):
    with pytest.raises(DataError, match="flip_indices has 3 entries but there are 5 keypoints"):
        RandomFlip(prob=1.0)(person(flip_indices=[0, 1, 2]))


def test_a_rotation_by_half_a_turn_asks_nobody_for_partners(person):
    given = person()["keypoints"]
    turned = RandomFlip(prob=1.0, direction="diagonal")(person(flip_indices=[0, 1, 2]))
    assert turned["keypoints"].shape == given.shape


def test_flip_and_warp_give_the_pixels_of_a_plain_flip(person):
    results = person(bbox_center=np.array([[30.0, 20]]), bbox_scale=np.array([[30.0, 30]]))
    image = results["img"]
    flipped = TopdownAffine((16, 16))(RandomFlip(prob=1.0)(results))["img"]
    again = person(bbox_center=np.array([[33.0, 20]]), bbox_scale=np.array([[30.0, 30]]))
    again["img"] = np.flip(image, 1)
    np.testing.assert_array_equal(flipped, TopdownAffine((16, 16))(again)["img"])


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_hands_change_sides(person, prob):
    results = person(hand_type=np.array([[1.0, 0.0]]), rel_root_depth=np.array([5.0]))
    after = HandRandomFlip(prob)(results)
    assert after["hand_type"].tolist() == [[0, 1] if prob else [1, 0]]
    assert after["rel_root_depth"].tolist() == [-5.0 if prob else 5.0]


@pytest.fixture
def lifting():
    rng = np.random.default_rng(0)
    return {
        "keypoints": rng.random((2, 5, 2)),
        "keypoints_visible": np.ones((2, 5)),
        "lifting_target": rng.random((2, 5, 3)),
        "flip_indices": [0, 2, 1, 4, 3],
        "camera_param": {"c": np.array([[3.0], [4.0]]), "p": np.array([0.1, 0.2]), "w": 8},
    }


def test_lifting_samples_flip_around_line_and_root(lifting):
    before = {k: np.copy(v) for k, v in lifting.items() if k != "camera_param"}
    step = RandomFlipAroundRoot({"center_x": 0.0}, {"center_mode": "root"}, flip_prob=1.0)
    after = step(lifting)
    order = before["flip_indices"]
    expected = before["keypoints"][:, order] * [-1, 1]
    np.testing.assert_allclose(after["keypoints"], expected)
    root = before["lifting_target"][:, :1, 0]
    np.testing.assert_allclose(
        after["lifting_target"][..., 0], 2 * root - before["lifting_target"][:, order, 0]
    )
    assert after["lifting_target_visible"].shape == (2, 5)
    assert after["camera_param"]["c"][0] == 3


def test_labels_flip_instead_of_data(lifting):
    lifting |= {
        "keypoint_labels": lifting["keypoints"] + 0,
        "lifting_target_label": lifting["lifting_target"] + 0,
    }
    data = lifting["keypoints"].copy()
    after = RandomFlipAroundRoot({}, {}, flip_prob=1.0, flip_label=True)(lifting)
    np.testing.assert_array_equal(after["keypoints"], data)
    assert not np.allclose(after["keypoint_labels"], data)


def test_the_camera_flips_on_a_copy(lifting):
    camera = lifting["camera_param"]
    after = RandomFlipAroundRoot({}, {}, flip_prob=1.0, flip_camera=True)(lifting)
    assert after["camera_param"]["c"][0] == -3
    assert after["camera_param"]["p"].tolist() == [-0.1, 0.2]
    assert camera["c"][0] == 3


def test_a_camera_without_centre_is_refused(lifting):
    lifting["camera_param"] = {"w": 8}
    with pytest.raises(DataError, match=r"flip_camera needs.*got only \['w'\]"):
        RandomFlipAroundRoot({}, {}, flip_prob=1.0, flip_camera=True)(lifting)


def test_probability_zero_leaves_lifting_samples_alone(lifting):
    before = lifting["keypoints"].copy()
    after = RandomFlipAroundRoot({}, {}, flip_prob=-1.0)(lifting)
    np.testing.assert_array_equal(after["keypoints"], before)
