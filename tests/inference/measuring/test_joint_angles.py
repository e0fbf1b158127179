"""Angles of bodies that were made of known ones."""

import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.errors import ArgumentError, DataError, FileMissingError, UnknownNameError
from poise.inference import joint_angles
from poise.inference.lifting import SPACE_3D
from poise.inference.networks.direct3d import SPACE_HANDS
from poise.schemas import get

COCO = [point["name"] for point in get("coco")["keypoint_info"].values()]


def columns(found):
    return dict(zip(found.names, np.moveaxis(found.values, -1, 0), strict=True))


def worst(found, true, names=None):
    own = columns(found)
    return max(np.abs(own[name] - true[name]).max() for name in names or true)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("given", [True, False])
def test_a_picture_from_the_side_gives_the_angles_that_made_it(walker, mirrored, given):
    points, true = walker.walk()
    side = ("left" if mirrored else "right") if given else "auto"
    found = joint_angles(walker.from_the_side(points, mirrored=mirrored), "halpe26", side=side)
    assert worst(found, true) < 1e-6
    assert found.view == "side"
    assert not found.front.any()
    assert (found.ahead == (-1 if mirrored else 1)).all()
    assert found.absent["left_hip_abduction"] == "seen from the side"
    assert found.absent["left_forefinger_pip_flexion"].startswith("no left_forefinger1")


def test_the_wrong_side_turns_the_signs(walker):
    points, true = walker.walk()
    found = columns(joint_angles(walker.from_the_side(points), "halpe26", side="left"))
    np.testing.assert_allclose(found["left_hip_flexion"], -true["left_hip_flexion"], atol=1e-6)
    # an elbow has no sign in pictures
    np.testing.assert_allclose(found["left_elbow_flexion"], true["left_elbow_flexion"], atol=1e-6)


def test_space_gives_the_same_angles_wherever_somebody_goes(walker):
    points, true = walker.walk()
    for angle in (0, 37, 200):
        way = Rotation.from_euler("z", angle, degrees=True).as_matrix()
        found = joint_angles(points @ way.T + [3, -2, 0.4], "halpe26")
        assert worst(found, true) < 1e-6
        assert found.view == "3D"
    lifted = joint_angles(points * [-1, 1, 1], "halpe26", space=SPACE_3D)
    assert worst(lifted, true) < 1e-6
    # a mirror image that nobody tells of turns signs of what bends forwards
    wrong = columns(joint_angles(points * [-1, 1, 1], "halpe26"))
    np.testing.assert_allclose(wrong["left_hip_flexion"], -true["left_hip_flexion"], atol=1e-6)


def test_joints_of_a_body_do_not_hang_on_how_it_lies(walker):
    points, true = walker.walk()
    joints = [name for name in true if name != "trunk_lean"]
    way = Rotation.from_euler("xyz", [40, 110, -75], degrees=True).as_matrix()
    assert worst(joint_angles(points @ way.T, "halpe26"), true, joints) < 1e-6


def limb(begin, way, length=0.4):
    return np.asarray(begin) + length * np.asarray(way)


def standing():
    """Keypoints in space of somebody who stands and looks along x: name -> (3,)."""
    return {
        **{f"{s}_shoulder": np.array([0, w * 0.2, 1.4]) for s, w in (("left", 1), ("right", -1))},
        **{f"{s}_hip": np.array([0, w * 0.1, 0.9]) for s, w in (("left", 1), ("right", -1))},
        **{f"{s}_elbow": np.array([0, w * 0.2, 1.1]) for s, w in (("left", 1), ("right", -1))},
        **{f"{s}_knee": np.array([0, w * 0.1, 0.5]) for s, w in (("left", 1), ("right", -1))},
    }


@pytest.mark.parametrize(
    ("flexion", "abduction"), [(0, 0), (30, 20), (-20, 35), (95, -10), (120, 60)]
)
def test_hips_turn_as_their_joint_coordinate_system_says(flexion, abduction):
    for side, sign in (("left", 1), ("right", -1)):
        pose = standing()
        # Wu et al. 2002: x forward, y up, z right; flexion about z of the pelvis, then about x
        turn = Rotation.from_euler("ZX", [flexion, sign * abduction], degrees=True)
        forward, up, right = turn.apply([0, -1, 0])
        pose[f"{side}_knee"] = limb(pose[f"{side}_hip"], [forward, -right, up])
        found = columns(joint_angles(list(pose.values()), list(pose)))
        assert found[f"{side}_hip_flexion"] == pytest.approx(flexion, abs=1e-6)
        assert found[f"{side}_hip_abduction"] == pytest.approx(abduction, abs=1e-6)


@pytest.mark.parametrize(
    ("plane", "elevation"), [(0, 60), (90, 45), (30, 100), (-40, 30), (130, 140)]
)
def test_shoulders_have_the_plane_and_the_elevation_of_the_recommendation(plane, elevation):
    for side, sign in (("left", 1), ("right", -1)):
        pose, p, e = standing(), np.radians(plane), np.radians(elevation)
        outward, forward = np.cos(p) * np.sin(e), np.sin(p) * np.sin(e)
        pose[f"{side}_elbow"] = limb(
            pose[f"{side}_shoulder"], [forward, sign * outward, -np.cos(e)]
        )
        found = columns(joint_angles(list(pose.values()), list(pose)))
        assert found[f"{side}_shoulder_elevation"] == pytest.approx(elevation, abs=1e-6)
        assert found[f"{side}_shoulder_plane"] == pytest.approx(plane, abs=1e-6)
        if plane == 0:
            assert found[f"{side}_shoulder_abduction"] == pytest.approx(elevation, abs=1e-6)
            # the arm points out of the sagittal plane only by its cosine
            assert found[f"{side}_shoulder_flexion"] == pytest.approx(0, abs=1e-6)
        if plane == 90:
            assert found[f"{side}_shoulder_flexion"] == pytest.approx(elevation, abs=1e-6)


def test_an_arm_square_to_a_plane_has_no_angle_in_it():
    pose = standing()
    pose["left_elbow"] = limb(pose["left_shoulder"], [0, 1, 0])
    found = columns(joint_angles(list(pose.values()), list(pose)))
    assert np.isnan(found["left_shoulder_flexion"])
    assert found["left_shoulder_abduction"] == pytest.approx(90)


def test_leaning_and_turning_have_the_signs_of_the_page():
    pose = standing()
    trunk = ("left_shoulder", "right_shoulder")
    for name in trunk:
        pose[name] = pose[name] + [0, -0.1, 0]  # to the right
    right = columns(joint_angles(list(pose.values()), list(pose)))
    assert right["trunk_side_lean"] == pytest.approx(np.degrees(np.arctan(0.2)))
    pose = standing()
    turn = Rotation.from_euler("z", 25, degrees=True).as_matrix()  # to the left, seen from above
    for name in trunk:
        pose[name] = turn @ pose[name]
    pose["right_hip"] = pose["right_hip"] - [0, 0, 0.02]
    found = columns(joint_angles(list(pose.values()), list(pose)))
    assert found["trunk_rotation"] == pytest.approx(25, abs=0.2)
    assert found["pelvis_obliquity"] == pytest.approx(np.degrees(np.arctan(0.1)), abs=1e-6)


@pytest.mark.parametrize("back", [False, True])
def test_a_picture_from_the_front_shows_what_goes_outwards(walker, back):
    pose = standing()
    pose["left_elbow"] = limb(pose["left_shoulder"], [0, np.sin(0.7), -np.cos(0.7)])
    pose["right_knee"] = limb(pose["right_hip"], [0, -np.sin(0.3), -np.cos(0.3)])
    pose["right_ankle"] = limb(pose["right_knee"], [0, -np.sin(0.5), -np.cos(0.5)])
    picture = walker.from_the_front(np.array(list(pose.values()))[None], back=back)
    for side in ("auto", "back" if back else "front"):
        found = joint_angles(picture, list(pose), side=side)
        own = columns(found)
        assert found.view == "front"
        assert found.front.all()
        assert own["left_shoulder_abduction"][0] == pytest.approx(np.degrees(0.7))
        assert own["right_hip_abduction"][0] == pytest.approx(np.degrees(0.3))
        # the ankle farther outside than the thigh leads to: knock-kneed
        assert own["right_knee_valgus"][0] == pytest.approx(np.degrees(0.2))
        assert "left_hip_flexion" not in own


def test_who_turns_round_keeps_the_signs(walker):
    points, true = walker.walk(400)
    there = walker.from_the_side(points[:200])
    again = walker.from_the_side(points[200:] - [1.3 * 4, 0, 0], mirrored=True)
    found = joint_angles(np.concatenate((there, again)), "halpe26", fps=50)
    turned = {
        name: np.delete(values, slice(180, 220), 0) for name, values in columns(found).items()
    }
    for name, values in true.items():
        np.testing.assert_allclose(turned[name], np.delete(values, slice(180, 220)), atol=1e-6)


@pytest.mark.parametrize("schema", ["coco", "h36m", "mpii", "openpose25", "coco_wholebody", "aic"])
def test_schemas_with_limbs_have_the_same_angles(walker, schema):
    points, true = walker.walk()
    names = [point["name"] for point in get(schema)["keypoint_info"].values()]
    own = {"root": "hip", "left_foot": "left_ankle", "right_foot": "right_ankle", "thorax": "neck"}
    whole = np.full((len(points), len(names), 2), np.nan)
    for column, name in enumerate(names):
        if own.get(name, name) in walker.names:
            whole[:, column] = walker.from_the_side(points)[
                :, walker.names.index(own.get(name, name))
            ]
    found = joint_angles(whole, schema, side="right")
    shown = [name for name in true if "ankle" not in name]
    assert worst(found, true, shown) < 1e-6
    assert ("left_ankle_dorsiflexion" in found.names) == ("left_heel" in names)


def test_names_of_ones_own_are_read_as_words():
    pose = [[0, 0], [0, 10], [-10, 10]]
    for names in (["LHip", "LKnee", "LAnkle"], ["hip_left", "knee_left", "ankle_left"]):
        found = columns(joint_angles(pose, names, side="right"))
        assert found["left_knee_flexion"] == 90


def test_fingers_of_one_hand_and_limbs_of_animals():
    hand = [point["name"] for point in get("freihand2d")["keypoint_info"].values()]
    places = np.zeros((21, 2))
    first = hand.index("forefinger1")
    places[first : first + 4] = [[0, -10], [0, -16], [5, -16], [5, -20]]
    found = columns(joint_angles(places, "freihand2d"))
    finger = [found[f"forefinger_{part}_flexion"] for part in ("mcp", "pip", "dip")]
    assert finger == pytest.approx([0, 90, 90])
    assert np.isnan(found["thumb_ip_flexion"])  # all at one place
    for schema, front in (("ap10k", "L_Elbow"), ("animalpose", "L_F_Knee")):
        names = [point["name"] for point in get(schema)["keypoint_info"].values()]
        pose = {"Neck": (90, 0), "Root of tail": (0, 0), "Withers": (90, 0), "Throat": (90, 0)}
        pose |= {"TailBase": (0, 0), front: (80, 40), "L_F_Paw": (100, 60)}
        pose |= {"L_Shoulder": (80, 20), "L_F_Elbow": (80, 20)}
        places = np.array([pose.get(name, (np.nan, np.nan)) for name in names])
        found = columns(joint_angles(places, schema))
        assert found["left_elbow_flexion"] == pytest.approx(45)
        assert found["left_foreleg_angle"] == pytest.approx(np.degrees(np.arctan2(20, 40)))


def test_unsure_keypoints_have_no_angles(walker):
    points, _true = walker.walk()
    scores = np.ones(points.shape[:2])
    scores[10:20, walker.names.index("left_knee")] = 0.1
    found = columns(joint_angles(walker.from_the_side(points), "halpe26", scores=scores))
    assert np.isnan(found["left_knee_flexion"]).nonzero()[0].tolist() == list(range(10, 20))
    assert np.isfinite(found["right_knee_flexion"]).all()
    low = joint_angles(walker.from_the_side(points), "halpe26", scores=scores, min_score=0.05)
    assert np.isfinite(low.values).all()


def test_segments_go_round_and_round_also_across_gaps():
    turns = np.linspace(0, 900, 200)
    ways = np.stack((np.sin(np.radians(turns)), np.cos(np.radians(turns))), -1)
    points = np.stack((np.zeros((200, 2)), ways * 50), 1)
    points[80:83] = np.nan
    arm = joint_angles(points, ["left_shoulder", "left_elbow"], side="right").values[:, 0]
    known = np.isfinite(arm)
    assert known.sum() == 197
    np.testing.assert_allclose(np.diff(arm[known]), np.diff(turns[known]), atol=1e-6)
    assert abs(np.nanmedian(arm)) <= 180


def test_shapes_come_back(walker):
    points, _ = walker.walk(5)
    flat = walker.from_the_side(points)
    one = joint_angles(flat[0], "halpe26", side="right").values
    many = joint_angles(np.stack((flat, flat[::-1]), 1), "halpe26", side="right").values
    assert one.ndim == 1
    assert many.shape == (5, 2, len(one))
    np.testing.assert_allclose(many[0, 0], one)
    np.testing.assert_allclose(many[4, 1], one)
    assert joint_angles(flat[:0], "halpe26").values.shape == (0, len(one))


@pytest.mark.parametrize(
    ("keypoints", "schema", "options", "error", "text"),
    [
        (np.zeros((3, 17, 2)), "halpe26", {}, DataError, "K = 26 of this schema"),
        (np.zeros((17, 4)), "coco", {}, DataError, r"got \(17, 4\)"),
        (np.zeros((17, 2)), "coco", {"scores": np.ones(16)}, DataError, r"take scores \(17,\)"),
        (np.zeros((17, 2)), "coco", {"side": "top"}, ArgumentError, "side must be one of 'auto'"),
        (np.zeros((68, 2)), "300w", {}, DataError, r"no three of them .*--angles"),
        (np.zeros((32, 2)), "fly", {}, DataError, "no table for such creatures"),
        (np.zeros((42, 3)), "interhand3d", {"space": SPACE_HANDS}, DataError, "pixels and mil"),
        (np.zeros((17, 2)), "coco", {"angles": "none.toml"}, FileMissingError, "no file 'none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(keypoints, schema, options, error, text):
    with pytest.raises(error, match=text):
        joint_angles(keypoints, schema, **options)


def test_own_angles_join_and_replace_the_others(walker, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        """
        [[angle]]
        name = "*_reach"
        points = ["left_hip + right_hip", "*_shoulder", "*_wrist"]
        [[angle]]
        name = "left_knee_flexion"
        points = ["left_hip", "left_knee", "left_ankle"]
        positive = "clockwise"
        zero = -3
        [[angle]]
        name = "spine"
        segment = ["left_hip + right_hip", "nose"]
        against = "up"
        positive = "clockwise"
        """
    )
    points, true = walker.walk()
    found = columns(joint_angles(walker.from_the_side(points), "halpe26", angles=file))
    np.testing.assert_allclose(found["left_knee_flexion"], true["left_knee_flexion"] + 3, atol=1e-6)
    assert {"left_reach", "right_reach", "spine", "left_hip_flexion"} <= set(found)
    assert (found["spine"] > 0).all()
    space = columns(joint_angles(points, "halpe26", angles=file))
    np.testing.assert_allclose(space["spine"], found["spine"], atol=1e-6)
    # an arm hangs farther outside than the hips, which no picture from the side shows
    assert (space["left_reach"] < found["left_reach"] + 1e-6).all()


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("angle = 3", DataError, "has no list of angles"),
        ("angle = [", DataError, "neither TOML nor JSON"),
        ("[[angle]]\npoints = ['a', 'b', 'c']", DataError, "angle 1 has no name"),
        ("[[angle]]\nname = 'a,b'\npoints = ['a']", DataError, "a name has letters"),
        ("[[angle]]\nname = 'x'\npoint = ['a']", DataError, r"\('x'\): a key .*mean 'points'"),
        ("[[angle]]\nname = 'x'\npoints = ['a', 'b']", DataError, "points is a list of 3 or 4"),
        ("[[angle]]\nname = 'x'", DataError, "needs either points"),
        ("[[angle]]\nname = 'x'\nsegment = ['a', 'b']\nagainst = 'left'", DataError, "against"),
        ("[[angle]]\nname = 'x'\nsegment = ['a', 'b']\nzero = 'a'", DataError, "zero is degrees"),
        (
            "[[angle]]\nname = 'x'\npoints = ['left_hip', 'left_kne', 'nose']",
            UnknownNameError,
            "angle 'x' has the point 'left_kne', which is none .*did you mean 'left_knee'",
        ),
        (
            "[[angle]]\nname = 'x'\nsegment = ['nose', 'neck']\n" * 2,
            DataError,
            "has the angle 'x' twice",
        ),
    ],
)  # fmt: skip
def test_a_file_of_angles_with_a_fault_says_where(tmp_path, text, error, told):
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(error, match=told):
        joint_angles(np.zeros((26, 2)), "halpe26", angles=file)


def test_many_frames_take_a_moment():
    keypoints = np.random.default_rng(0).normal(size=(100_000, 17, 2))
    begin = time.process_time()
    joint_angles(keypoints, "coco", scores=np.ones((100_000, 17)))
    # half a second where nobody else works
    assert time.process_time() - begin < 5


def test_points_at_one_place_have_no_angle_in_any_plane():
    for size in (2, 3):
        found = joint_angles(np.zeros((4, 17, size)), "coco", side="right")
        assert np.isnan(found.values).all()


def test_one_arm_without_a_side_has_angles_without_one():
    found = columns(joint_angles([[0, 0], [0, 10], [10, 10]], ["Shoulder", "Elbow", "Wrist"]))
    assert found["elbow_flexion"] == 90
