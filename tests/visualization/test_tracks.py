"""Labels, ids, trails, subsets of keypoints and SimCC vectors."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.structures import parse_pose_metainfo
from poise.visualization import (
    Palette,
    Trails,
    draw_boxes,
    draw_keypoints,
    draw_simcc,
    draw_tracks,
    id_color,
)
from poise.visualization.labels import place_labels

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})


def black(height=120, width=200):
    return np.zeros((height, width, 3), np.uint8)


def test_labels_of_people_in_a_crowd_cover_neither_one_another_nor_leave_the_picture():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, [260, 160], (12, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(40, 80, (12, 2))), 1)
    boxes[0] = [-20, -30, 15, 40]
    extents = np.array([[28, 14]] * 12)
    places = place_labels(boxes, extents, (300, 220))
    ends = places + extents
    assert (places >= 0).all()
    assert (ends <= [300, 220]).all()
    low = np.maximum(places[:, None], places[None])
    high = np.minimum(ends[:, None], ends[None])
    shared = np.clip(high - low, 0, None).prod(-1)
    assert shared.sum() == shared.trace()
    assert place_labels(np.zeros((0, 4)), np.zeros((0, 2)), (10, 10)).shape == (0, 2)


def test_two_boxes_at_one_place_have_both_labels_readable():
    one, two = black(), black()
    draw_boxes(one, [[50, 50, 90, 90]], color="red", labels=["aa"])
    draw_boxes(two, [[50, 50, 90, 90], [50, 50, 90, 90]], color="red", labels=["aa", "bb"])
    assert (two != 0).any(-1).sum() > 1.5 * (one != 0).any(-1).sum() - 300
    assert (two != one).any()


def test_colours_of_ids_are_stable_and_neighbours_differ():
    colors = np.array([id_color(i) for i in range(40)], int)
    apart = np.abs(colors[:, None] - colors[None]).sum(-1) + 999 * np.eye(40, dtype=int)
    near = [apart[i, max(0, i - 5) : i + 6].min() for i in range(40)]
    assert min(near) > 60
    assert id_color(7, order="rgb") == id_color(7)[::-1]


def test_tracked_people_have_their_colour_and_others_a_thin_grey_box():
    image = black()
    draw_tracks(image, [3, -1], [[10, 30, 60, 90], [100, 30, 150, 90]])
    assert tuple(image[60, 10]) == id_color(3)
    assert tuple(image[60, 100]) == id_color(-1)
    # finer lines lose their colour in videos
    assert min(image[60, :80].any(-1).sum(), image[60, 90:120].any(-1).sum()) >= 2
    quiet = draw_tracks(black(), [3], [[10, 30, 60, 90]], boxes=False)
    assert not quiet[60].any()
    assert quiet[15:30].any()
    broken = draw_tracks(black(), [1], [[np.nan, 0, 5, 5]])
    assert not broken.any()
    with pytest.raises(DataError, match="2 ids and 1 boxes"):
        draw_tracks(black(), [1, 2], [[0, 0, 5, 5]])


def people(x, y=60):
    return np.full((1, 2, 2), [x, y], float)


def test_a_trail_follows_its_person_fades_and_ends_with_its_length():
    trails = Trails(10, keypoints=[0])
    for t in range(30):
        image = trails.draw(black(), [5], people(20 + 5 * t))
    columns = np.flatnonzero(image.any((0, 2)))
    assert columns.max() >= 20 + 5 * 29
    assert columns.min() >= 20 + 5 * 29 - 5 * 10 - 2
    row = image[60].max(-1).astype(int)
    assert row[20 + 5 * 28] > row[20 + 5 * 20] > 0
    trails.clear()
    assert not trails.draw(black(), [5], people(50)).any()


def test_gaps_other_people_and_people_without_an_id_leave_no_line():
    trails = Trails(10)
    trails.draw(black(), [1, -1], np.concatenate((people(20), people(20, 100))))
    trails.draw(black(), [2], people(100, 20))
    image = trails.draw(black(), [1, -1], np.concatenate((people(90), people(90, 100))))
    assert not image.any()
    image = trails.draw(black(), [1], people(95), np.zeros((1, 2)))
    assert not image.any()
    assert not trails.draw(black(), [], np.zeros((0, 2, 2))).any()
    assert not Trails(2, keypoints=[0, 1]).draw(black(), [], [], []).any()
    # a frame without anybody lies behind
    assert not trails.draw(black(), [1], people(99)).any()


def test_a_subset_of_keypoints_is_drawn_with_the_links_between_them():
    points = np.random.default_rng(0).uniform(10, 110, (1, 17, 2))
    whole = Palette.of(COCO, 17)
    arms = whole.only([5, 7, 9])
    image = draw_keypoints(black(), points, palette=arms)
    assert sum(c is not None for c in arms.points) == 3
    assert sum(c is not None for c in arms.link_colors) == 2
    assert 0 < image.any(-1).sum() < draw_keypoints(black(), points, palette=whole).any(-1).sum()
    with pytest.raises(DataError, match="keypoints 0 to 16"):
        whole.only([17])


def test_simcc_vectors_stand_beside_the_crop_with_their_peak_at_the_keypoint():
    crop = np.full((100, 80, 3), 30, np.uint8)
    x, y = np.zeros((17, 160)), np.zeros((17, 200))
    x[:, 60], y[:, 140] = 1.0, 1.0
    picture = draw_simcc(crop, x, y, COCO)
    assert picture.shape == (124, 104, 3)
    above = picture[:24, 24:].max(-1)
    # the peak's foot is as wide as a sample
    assert np.ptp(np.flatnonzero((above[:12] > 60).any(0))) <= 2
    assert abs(int(np.flatnonzero((above[:12] > 60).any(0)).mean()) - 30) <= 1
    hot = picture[24:, 24:, 2].astype(int)
    assert abs(np.argwhere(hot == hot.max()).mean(0) - [70, 30]).max() <= 2
    with pytest.raises(DataError, match=r"\(K, Wx\)"):
        draw_simcc(crop, x[0], y[0])
