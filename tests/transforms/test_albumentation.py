from __future__ import annotations

import importlib.util
import random
import sys

import cv2
import numpy as np
import pytest

from poise.errors import ArgumentError, ConfigError, DataError, MissingDependencyError
from poise.transforms import Albumentation, MissingKeyError
from poise.transforms.pixel_ops import Blur, CoarseDropout, GridDropout, MedianBlur, OneOf

RTMPOSE = [
    dict(type="Blur", p=0.1),
    dict(type="MedianBlur", p=0.1),
    dict(
        type="CoarseDropout",
        max_holes=1,
        max_height=0.4,
        max_width=0.4,
        min_holes=1,
        min_height=0.2,
        min_width=0.2,
        p=1.0,
    ),
]


def test_the_operators_of_rtmpose_need_no_albumentations(picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    after = Albumentation(RTMPOSE)({"img": picture})["img"]
    assert after.shape == picture.shape
    assert (after != picture).any()


def test_dotted_names_mean_the_same(picture):
    dotted = [dict(cfg, type=f"albumentations.augmentations.{cfg['type']}") for cfg in RTMPOSE]
    outputs = []
    for transforms in (RTMPOSE, dotted):
        random.seed(4)
        outputs.append(Albumentation(transforms)({"img": picture})["img"])
    np.testing.assert_array_equal(*outputs)


def test_equal_seeds_give_equal_pixels(picture):
    step = Albumentation(RTMPOSE)
    outputs = []
    for _ in range(2):
        random.seed(9)
        outputs.append(step({"img": picture})["img"])
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        (Blur((5, 5), p=1.0), lambda i: cv2.blur(i, (5, 5))),
        (MedianBlur((5, 5), p=1.0), lambda i: cv2.medianBlur(i, 5)),
    ],
)
@pytest.mark.parametrize("grey", [False, True])
def test_blurs_are_opencvs(picture, operator, function, grey):
    image = np.ascontiguousarray(picture[..., :1]) if grey else picture
    after = operator(image)
    np.testing.assert_array_equal(after, function(image).reshape(image.shape))


@pytest.mark.parametrize("limit", [7, (3, 7), [7, 3]])
def test_kernels_are_odd_and_within_limits(picture, limit):
    operator = Blur(limit)
    assert {operator.draw(picture)[0] for _ in range(100)} == {3, 5, 7}


@pytest.mark.parametrize(("p", "always", "changed"), [(0, False, 0), (1, False, 1), (0, True, 1)])
def test_p_says_how_often(picture, p, always, changed):
    after = Blur(p=p, always_apply=always)(picture)
    assert (after is not picture) == bool(changed)


def test_holes_have_the_drawn_sizes(picture):
    operator = CoarseDropout(
        max_holes=3, max_height=10, max_width=20, min_holes=2, min_height=5, min_width=6
    )
    for _ in range(50):
        holes = operator.draw(picture)
        assert 2 <= len(holes) <= 3
        for x1, y1, x2, y2 in holes:
            assert 6 <= x2 - x1 <= 20
            assert 5 <= y2 - y1 <= 10
            assert 0 <= x1 < x2 <= 64
            assert 0 <= y1 < y2 <= 48


def test_fractions_are_parts_of_the_picture(picture):
    ((x1, y1, x2, y2),) = CoarseDropout(1, 0.5, 0.25).draw(picture)
    assert (x2 - x1, y2 - y1) == (16, 24)


def test_holes_are_painted_on_a_copy(picture):
    before = picture.copy()
    after = CoarseDropout(1, 10, 10, fill_value=(1, 2, 3)).apply(picture, (5, 6, 15, 16))
    np.testing.assert_array_equal(after[6:16, 5:15], np.broadcast_to([1, 2, 3], (10, 10, 3)))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    ("kwargs", "unit", "first"),
    [
        (dict(holes_number_x=4, holes_number_y=2), (16, 24), (0, 0, 8, 12)),
        (dict(), (6, 6), (0, 0, 3, 3)),
        (dict(holes_number_x=4, shift_x=99, shift_y=2), (16, 16), (8, 2, 16, 10)),
        (dict(unit_size_min=9, unit_size_max=9, ratio=1.0), None, None),
    ],
)
def test_grids(picture, kwargs, unit, first):
    holes = GridDropout(**kwargs).draw(picture)
    if unit:
        assert holes[0] == first
        assert len(holes) == (64 // unit[0] + 1) * (48 // unit[1] + 1)
    assert all(0 <= x1 <= x2 <= 64 and 0 <= y1 <= y2 <= 48 for x1, y1, x2, y2 in holes)


def test_grid_units_reach_one_above_their_limit(picture):
    operator = GridDropout(unit_size_min=10, unit_size_max=12)
    assert {operator._unit(64, 48)[0] for _ in range(200)} == {10, 11, 12, 13}


def test_one_of_applies_exactly_one(picture):
    seen = []

    def operator(name, p):
        def run(image, force=False):
            assert force
            seen.append(name)
            return image

        run.p = p
        return run

    step = OneOf([operator("a", 0.75), operator("b", 0.25)], p=1.0)
    for _ in range(400):
        step(picture)
    assert len(seen) == 400
    assert seen.count("a") / 400 == pytest.approx(0.75, abs=0.08)


def test_one_of_in_a_config(picture):
    step = Albumentation([dict(type="OneOf", transforms=[dict(type="Blur", blur_limit=3)], p=1.0)])
    np.testing.assert_array_equal(step({"img": picture})["img"], cv2.blur(picture, (3, 3)))


@pytest.mark.parametrize(
    ("cfg", "error", "text"),
    [
        (dict(p=1), ConfigError, "dict with 'type'"),
        ("Blur", ConfigError, "dict with 'type'"),
        (dict(type=3), ArgumentError, "name or a class"),
        (dict(type="Blur", radius=3), ArgumentError, "Blur of Albumentation.*radius"),
        (dict(type="Blur", p=2), ArgumentError, "p is a probability"),
        (dict(type="MedianBlur", blur_limit=(3, 6)), ArgumentError, "must be odd"),
        (dict(type="OneOf", transforms=[]), ArgumentError, "at least one"),
        (dict(type="CoarseDropout", min_height=9), ArgumentError, "min_height.*max_height"),
        (dict(type="CoarseDropout", max_height=0.5), ArgumentError, "all be pixels"),
        (dict(type="CoarseDropout", max_height=1.5, max_width=0.5), ArgumentError, "below 1"),
        (dict(type="GridDropout", ratio=0), ArgumentError, "ratio must be in"),
        (
            dict(type="GridDropout", unit_size_min=1, unit_size_max=9),
            ArgumentError,
            "at least 2",
        ),
    ],
)
def test_wrong_configs_are_refused(cfg, error, text):
    with pytest.raises(error, match=text):
        Albumentation([cfg])


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        (dict(type="CoarseDropout", max_height=99, max_width=9, p=1), "does not fit a picture"),
        (dict(type="GridDropout", unit_size_min=50, unit_size_max=60, p=1), "does not fit"),
        (dict(type="GridDropout", holes_number_x=50, p=1), "holes_number_x must be in 1..32"),
        (dict(type="MedianBlur", blur_limit=(7, 7), p=1), "kernels of 3 or 5, got 7"),
    ],
)
def test_what_does_not_fit_the_picture_is_refused(picture, cfg, text):
    with pytest.raises(DataError, match=text):
        Albumentation([cfg])({"img": picture.astype(np.float32)})


@pytest.mark.parametrize("keymap", [None, {"img": "mask"}])
def test_other_operators_need_albumentations(monkeypatch, keymap):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(MissingDependencyError, match=r"poise\[augment\].*Built in are Blur"):
        Albumentation([dict(type="Sharpen")], keymap)


@pytest.mark.skipif(
    importlib.util.find_spec("albumentations") is None, reason="albumentations is not installed"
)
def test_other_operators_run_through_albumentations(picture):
    step = Albumentation([dict(type="Blur", p=0.0), dict(type="InvertImg", p=1.0)])
    np.testing.assert_array_equal(step({"img": picture})["img"], 255 - picture)
    with pytest.raises(ArgumentError, match="no operator 'InvertImgg'.*did you mean"):
        Albumentation([dict(type="InvertImgg")])


def test_a_key_of_the_keymap_that_is_missing_is_named(picture):
    with pytest.raises(MissingKeyError, match=r"results\['depth'\].*keymap.*img"):
        Albumentation(RTMPOSE, {"depth": "image"})({"img": picture})
