"""Mappings between skeletons: what is measured, derived, missing, and what composition keeps."""

from __future__ import annotations

import itertools

import pytest

from poise import schemas
from poise.errors import DataError, UnknownNameError
from poise.schemas import conversions
from poise.schemas.conversions.faces import numbered

BODIES = (
    *("coco", "aic", "crowdpose", "mpii", "jhmdb"),
    *("halpe26", "posetrack18", "h36m", "openpose25", "coco_wholebody"),
)


def kinds(source: str, target: str, side: str = "") -> dict[str, str]:
    return {j.name: j.kind for j in conversions.find(source, target, side=side).joints}


def names(schema: str) -> list[str]:
    return [point["name"] for point in schemas.get(schema)["keypoint_info"].values()]


def test_points_are_found_by_common_words_whatever_the_names():
    halpe = [point["name"] for point in schemas.get("halpe26")["keypoint_info"].values()]
    words = ["left_hip + right_hip | pelvis", "head_top", "neck", "left_wing"]
    middle, top, neck, wing = conversions.made_of(words, halpe)
    assert middle.terms == ((11, 0.5), (12, 0.5))
    assert (top.terms, neck.terms) == (((17, 1.0),), ((18, 1.0),))
    assert (wing.kind, wing.terms) == ("missing", ())
    # a sum of what is itself a sum
    coco = halpe[:17]
    (half,) = conversions.made_of(["neck + nose"], coco)
    assert half.terms == ((5, 0.25), (6, 0.25), (0, 0.5))
    # the second way, where the first has a lack
    assert (
        conversions.made_of(["left_toe | left_hip + tail"], ["HipL", "tail"])[0].kind == "derived"
    )
    assert conversions.kind_of([p["name"] for p in _points("ap10k")]) == "quadruped"
    assert conversions.sides_of([p["name"] for p in _points("freihand2d")]) == ("",)
    assert conversions.sides_of(coco) == ("left", "right")


def _points(name):
    return schemas.get(name)["keypoint_info"].values()


def test_equal_names_are_measured():
    mapping = conversions.find("aic", "coco")
    assert mapping.pairs()[:3] == [(0, 6), (1, 8), (2, 10)]
    assert mapping.counts == {"measured": 12, "derived": 0, "missing": 5}


def test_human36m_gets_its_middle_joints_from_neighbours():
    found = kinds("coco", "h36m")
    derived = {name for name, kind in found.items() if kind == "derived"}
    assert derived == {"root", "spine", "thorax", "neck_base", "head"}
    assert found["right_foot"] == "measured"
    head = conversions.find("aic", "h36m").joints[10]
    assert head.terms == ((13, 5 / 12), (12, 7 / 12))


def test_a_keypoint_that_only_lies_nearby_is_derived():
    assert kinds("coco", "h36m")["neck_base"] == "derived"
    assert kinds("ap10k", "animalpose")["L_F_Elbow"] == "derived"


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(BODIES, 2)))
def test_weights_sum_to_one_and_left_stays_left(source: str, target: str):
    theirs = names(source)
    for joint in conversions.find(source, target).joints:
        assert bool(joint.terms) == (joint.kind != "missing")
        if joint.terms:
            assert sum(weight for _, weight in joint.terms) == pytest.approx(1)
        sides = {theirs[i].partition("_")[0] for i, _ in joint.terms} & {"left", "right"}
        own = joint.name.partition("_")[0]
        if own in ("left", "right"):
            assert sides == {own} or not sides
        else:
            assert len(sides) != 1


@pytest.mark.parametrize("name", schemas.names())
def test_every_schema_maps_to_itself(name: str):
    mapping = conversions.find(name, name)
    assert mapping.pairs() == [(i, i) for i in range(len(names(name)))]


def test_faces_of_other_layouts_go_by_tables_not_by_their_numbered_names():
    assert conversions.find("wflw", "300w").counts["measured"] == 68
    # the outer corner of the right eye, in each layout
    for source, corner in (("wflw", 60), ("lapa", 66), ("cofw", 8)):
        assert (corner, 36) in conversions.find(source, "300w").pairs()
    assert (8, 66) in conversions.find("cofw", "lapa").pairs()
    assert (36, 60) in conversions.find("300w", "wflw").pairs()
    # the middle of an upper lid is between two points
    lid = conversions.find("300w", "lapa").joints[68]
    assert (lid.kind, lid.terms) == ("derived", ((37, 0.5), (38, 0.5)))


def test_a_way_through_a_third_layout_is_found():
    assert (8, 60) in conversions.find("cofw", "wflw").pairs()


def test_middles_are_pairs_only_when_asked_for():
    mapping = conversions.find("300w", "lapa")
    assert ((37, 38), 68) not in mapping.pairs()
    assert ((37, 38), 68) in mapping.pairs(derived=True)


def test_a_single_hand_needs_a_side():
    left = conversions.named("rhd2d->coco_wholebody/left")
    assert left.pairs()[:3] == [(0, 91), (1, 95), (2, 94)]
    back = conversions.named("coco_wholebody->rhd2d/right")
    assert back.joints[0].terms == ((112, 1.0),)
    with pytest.raises(DataError, match="which hand is meant: 'rhd2d->coco_wholebody/left'"):
        conversions.named("rhd2d->coco_wholebody")


def test_creatures_of_different_kinds_do_not_meet():
    with pytest.raises(DataError, match="no mapping leads from coco to fly"):
        conversions.find("coco", "fly")
    with pytest.raises(DataError, match="no mapping leads from coco_aic to zebra"):
        conversions.find("coco_aic", "zebra")


def test_two_mappings_in_a_row_are_one():
    first, second = conversions.find("coco_wholebody", "coco"), conversions.find("coco", "h36m")
    chained, direct = first.then(second), conversions.find("coco_wholebody", "h36m")
    assert [j.terms for j in chained.joints] == [j.terms for j in direct.joints]
    assert chained.name == "coco_wholebody->h36m"
    lost = conversions.find("aic", "coco").then(second)
    assert [j.kind for j in lost.joints].count("missing") == 2
    with pytest.raises(ValueError, match="coco->aic gives 14 keypoints, coco->h36m takes 17"):
        conversions.find("coco", "aic").then(second)


def test_a_file_of_ones_own_is_matched_by_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "dataset_info = dict(dataset_name='mine', joint_weights=[1, 1], sigmas=[],\n"
        " skeleton_info={}, keypoint_info={0: dict(name='left_hip', id=0, color=[0, 0, 0],\n"
        " type='', swap=''), 1: dict(name='nose', id=1, color=[0, 0, 0], type='', swap='')})\n"
    )
    assert conversions.find("coco", str(file)).pairs() == [(0, 1), (11, 0)]


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no keypoint schema 'cocoo'.*coco"):
        conversions.find("cocoo", "h36m")
    with pytest.raises(DataError, match="called 'source->target'.*got 'coco'"):
        conversions.named("coco")


def test_lines_tell_people_what_a_keypoint_is_made_of():
    lines = {name: text for name, _, text in conversions.find("coco", "h36m").lines()}
    assert lines["root"] == "0.5 left_hip + 0.5 right_hip"
    assert lines["left_foot"] == "left_ankle"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("3-5:7", [((3,), 7), ((4,), 8), ((5,), 9)]),
        ("0-4/2:7", [((0,), 7), ((2,), 8), ((4,), 9)]),
        ("0-2:7/-1", [((0,), 7), ((1,), 6), ((2,), 5)]),
        ("3&4:1 9:0", [((3, 4), 1), ((9,), 0)]),
    ],
)
def test_numbered_tables_read_runs(text: str, pairs: list):
    assert numbered(text) == pairs
