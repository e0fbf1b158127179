"""Tiles cover a picture, and what is found in them is one thing once."""

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.inference.boxes import Tiling, Views

SHAPE = (1400, 2000, 3)
#: whole picture of 300 x 100, and two tiles that share 60 columns
TWO = Views(np.array([[0, 0, 300, 100], [0, 0, 180, 100], [120, 0, 300, 100]]))
NOBODY = np.zeros((0, 5), np.float32)


def boxes(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize("tiles", ["auto", 640, "640", "3x2", "3X2", (3, 2), [5, 1], "1x4", 97])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.9])
@pytest.mark.parametrize("shape", [SHAPE, (333, 1001)])
def test_tiles_cover_the_picture_and_share_what_they_should(tiles, overlap, shape):
    places = Tiling(tiles, overlap=overlap).views(shape).places
    height, width = shape[:2]
    assert places[0].tolist() == [0, 0, width, height]
    for axis, length in ((0, width), (1, height)):
        spans = np.unique(places[1:][:, [axis, axis + 2]], axis=0)
        sides = spans[:, 1] - spans[:, 0]
        assert spans[0, 0] == 0
        assert spans[-1, 1] == length
        assert len(set(sides.tolist())) == 1
        # to a pixel
        assert (spans[:-1, 1] - spans[1:, 0] >= overlap * sides[:-1] - 1.5).all()
    assert len(np.unique(places, axis=0)) == len(places)


def test_forms_say_what_they_mean():
    assert len(Tiling("3x2").views(SHAPE)) == 1 + 6
    sides = Tiling(500).views(SHAPE).places[1:]
    assert (sides[:, 2:] - sides[:, :2]).max() <= 500
    assert str(Tiling((4, 1))) == "4x1 tiles"
    assert str(Tiling()) == "tiles of 640 pixels"


@pytest.mark.parametrize(("tiles", "shape"), [("auto", (480, 640)), ("1x1", SHAPE), (3000, SHAPE)])
def test_what_one_tile_holds_is_looked_at_once(tiles, shape):
    assert Tiling(tiles).views(shape).places.tolist() == [[0, 0, shape[1], shape[0]]]


def test_small_pictures_are_cut_where_columns_and_rows_are_given():
    assert len(Tiling("2x2").views((64, 64))) == 5
    with pytest.raises(DataError, match="40 x 30 pixels would be 10 x 8 pixels, expected at least"):
        Tiling("5x5").views((30, 40))


@pytest.mark.parametrize(
    ("tiles", "text"),
    [
        ("many", "such as 3x2, pixels a side such as 640, or auto; got 'many'"),
        ("3x", "got '3x'"),
        (-640, "got -640"),
        (2.5, "got 2.5"),
        ((1, 2, 3), "got \\(1, 2, 3\\)"),
        ("0x2", "at least one column and one row, got 0x2"),
        ("3x0", "at least one column and one row, got 3x0"),
        (31, "at least 32 pixels, got 31"),
    ],
)
def test_what_are_no_tiles_is_refused(tiles, text):
    with pytest.raises(ArgumentError, match=text):
        Tiling(tiles)


@pytest.mark.parametrize("overlap", [1, 1.5, -0.1, "half", None, float("nan")])
def test_an_overlap_is_a_share(overlap):
    with pytest.raises(ArgumentError, match="number from 0 to below 1"):
        Tiling(overlap=overlap)


def test_crops_are_parts_of_the_picture():
    picture = np.arange(300 * 100 * 3).reshape(100, 300, 3)
    whole, left, right = TWO.crops(picture)
    assert (whole == picture).all()
    assert (left == picture[:, :180]).all()
    assert (right == picture[:, 120:]).all()
    assert np.shares_memory(right, picture)


def test_places_and_categories_are_those_of_the_picture():
    found = TWO.joined([NOBODY, boxes([10, 10, 40, 90, 0.5, 3]), boxes([100, 10, 150, 90, 0.9, 7])])
    assert found.tolist() == boxes([220, 10, 270, 90, 0.9, 7], [10, 10, 40, 90, 0.5, 3]).tolist()
    assert TWO.joined([NOBODY, NOBODY, NOBODY]).shape == (0, 5)


def test_who_is_whole_in_one_tile_and_cut_in_the_next_is_found_once():
    # from 130 to 200: the left tile ends at 180, and is surer of its part
    found = TWO.joined([NOBODY, boxes([130, 5, 180, 95, 0.9]), boxes([10, 5, 80, 95, 0.6])])
    assert found.tolist() == boxes([130, 5, 200, 95, 0.6]).tolist()


def test_a_part_that_ends_a_little_before_its_border_is_a_part():
    # the left tile ends at 180; detectors place sides to some per cent
    whole, part = boxes([100, 10, 230, 90, 0.4]), boxes([104, 12, 176, 88, 0.9])
    assert TWO.joined([whole, part, NOBODY]).tolist() == whole.tolist()
    # where no view has it whole, nobody says that it goes on
    assert TWO.joined([NOBODY, part, NOBODY]).tolist() == part.tolist()


def test_who_stands_near_a_border_before_somebody_larger_stays():
    # a child whose box ends near the border at 180, and an adult who goes on past it
    found = TWO.joined([boxes([100, 0, 230, 100, 0.9]), boxes([146, 60, 177, 98, 0.5]), NOBODY])
    assert len(found) == 2


def test_a_sliver_at_a_border_is_nobody():
    # an arm of somebody whom the other tile has whole
    found = TWO.joined([NOBODY, boxes([165, 40, 180, 60, 0.9]), boxes([40, 5, 110, 95, 0.6])])
    assert found.tolist() == boxes([160, 5, 230, 95, 0.6]).tolist()


def test_parts_of_what_is_nowhere_whole_are_one():
    found = TWO.joined([NOBODY, boxes([100, 5, 179, 95, 0.6]), boxes([1, 8, 90, 99, 0.8])])
    assert found.tolist() == boxes([100, 5, 210, 99, 0.8]).tolist()


def test_two_views_of_one_are_one_and_the_surer_stays():
    found = TWO.joined(
        [boxes([128, 8, 172, 92, 0.7]), boxes([130, 10, 170, 90, 0.8]), boxes([9, 9, 51, 91, 0.5])]
    )
    assert found.tolist() == boxes([130, 10, 170, 90, 0.8]).tolist()


def test_who_stands_before_somebody_else_stays():
    # a child before an adult: found by the tile alone, and by nobody's rule part of the adult
    found = TWO.joined([boxes([10, 0, 60, 100, 0.9]), boxes([20, 60, 40, 98, 0.5]), NOBODY])
    assert len(found) == 2


def test_boxes_of_one_view_do_not_rule_each_other_out():
    close = boxes([20, 10, 60, 90, 0.9], [22, 10, 62, 90, 0.8])
    assert len(TWO.joined([NOBODY, close, NOBODY])) == 2


def test_things_of_two_kinds_are_two():
    found = TWO.joined(
        [NOBODY, boxes([130, 10, 170, 90, 0.8, 0]), boxes([10, 10, 50, 90, 0.7, 16])]
    )
    assert found[:, 5].tolist() == [0, 16]


@pytest.mark.parametrize("seed", range(4))
def test_everything_in_a_large_picture_is_found_once_and_whole(seed):
    rng = np.random.default_rng(seed)
    height, width = SHAPE[:2]
    things = []
    for _ in range(400):
        side = rng.integers(32, 300)
        w, h = side, int(side * rng.uniform(0.5, 2))
        x, y = rng.integers(0, width - 1), rng.integers(0, height - 1)
        box = [x, y, x + w, y + h]
        clear = [b for b in things if b[0] > box[2] or b[2] < x or b[1] > box[3] or b[3] < y]
        if len(clear) == len(things) and box[2] <= width and box[3] <= height:
            things.append(box)
    things = np.array(things)
    views = Tiling().views(SHAPE)
    joined = views.joined([_seen(things, place) for place in views.places])
    assert len(joined) == len(things) > 30
    order, expected = np.lexsort(joined[:, :4].T), things[np.lexsort(things.T)]
    np.testing.assert_array_equal(joined[order, :4], expected)


def _seen(things, place):
    """What a network of 416 pixels sees of boxes in a part of a picture: 10 pixels or more."""
    x1, y1, x2, y2 = place
    shrunk = 416 / max(416, x2 - x1, y2 - y1)
    parts = np.clip(things, np.tile([x1, y1], 2), np.tile([x2, y2], 2)) - np.tile([x1, y1], 2)
    # what shows less than a third of itself is not recognised
    sizes, whole = parts[:, 2:] - parts[:, :2], things[:, 2:] - things[:, :2]
    shown = (sizes * shrunk >= 10).all(1) & (sizes.prod(1) > whole.prod(1) / 3)
    return np.c_[parts[shown], np.full(shown.sum(), 0.5)].astype(np.float32)
