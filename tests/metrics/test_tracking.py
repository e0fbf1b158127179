"""CLEAR MOT, IDF1 and HOTA on frames counted by hand."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.metrics import track_scores


def frame(**places):
    """Ids and boxes of `_ID=x` pairs."""
    ids = [int(name.strip("_")) for name in places]
    return ids, np.array([[x, 0, x + 10, 20] for x in places.values()]).reshape(-1, 4)


def test_each_fault_counts_once():
    truth = [frame(_1=0, _2=100)] * 4
    found = [
        frame(_7=0, _8=100),
        frame(_7=0),  # 2 is missed
        frame(_7=0, _9=100, _5=300),  # 2 is switched, 5 is nobody
        frame(_7=2, _9=101),
    ]
    scores = track_scores(truth, found)
    assert (scores.truth, scores.found) == (8, 8)
    assert (scores.misses, scores.false_positives, scores.switches) == (1, 1, 1)
    assert scores.mota == pytest.approx(1 - 3 / 8)
    assert scores.id_matches == 4 + 2
    assert scores.idf1 == pytest.approx(2 * 6 / 16)


def test_a_match_is_kept_though_another_has_come_nearer():
    truth = [frame(_1=0), frame(_1=0)]
    found = [frame(_7=0), frame(_7=2, _8=0)]
    scores = track_scores(truth, found)
    assert (scores.switches, scores.false_positives) == (0, 1)


def test_one_id_that_two_people_had_in_turn_is_matched_once():
    truth = [frame(_1=0), frame(_2=0), frame(_1=0, _2=3)]
    found = [frame(_7=0), frame(_7=0), frame(_7=0)]
    scores = track_scores(truth, found)
    assert (scores.misses, scores.false_positives, scores.switches) == (1, 0, 0)


def test_ids_below_zero_are_ignored_and_empty_clips_are_undefined():
    scores = track_scores([frame(_1=0)], [(np.array([-1]), np.array([[0, 0, 10, 20]]))])
    assert (scores.found, scores.misses, scores.recall) == (0, 1, 0.0)
    empty = track_scores([frame()], [frame()])
    assert np.isnan([empty.mota, empty.idf1, empty.recall, empty.hota, empty.loc_a]).all()


def poses_of(frames):
    """Boxes as four keypoints at their corners, all labelled."""
    x, y, labelled = [0, 2, 0, 2], [1, 1, 3, 3], np.ones((4, 1))
    corners = [boxes.reshape(-1, 4)[:, np.array([x, y]).T] for _, boxes in frames]
    return [
        (ids, np.array([np.hstack([p, labelled]) for p in c]).reshape(-1, 4, 3))
        for (ids, _), c in zip(frames, corners, strict=True)
    ]


@pytest.mark.parametrize("poses", [False, True])
def test_hota_halves_the_association_of_a_person_whose_id_changes(poses):
    truth = [frame(_1=0, _2=100)] * 4
    found = [frame(_7=0, _8=100)] * 2 + [frame(_7=0, _9=100), frame(_7=0, _9=100, _5=300)]
    if poses:
        scores = track_scores(poses_of(truth), poses_of(found), sigmas=[0.05] * 4)
    else:
        scores = track_scores(truth, found)
    # 8 matches of 8 people and 9 found; person 2 has each of its ids half of its time
    assert scores.det_a == pytest.approx(8 / 9)
    assert scores.ass_a == pytest.approx((4 * 1 + 4 * 0.5) / 8)
    assert scores.hota == pytest.approx(np.sqrt(8 / 9 * 0.75))
    assert (scores.loc_a, scores.mota) == (pytest.approx(1), pytest.approx(1 - 2 / 8))


def test_hota_is_the_mean_over_thresholds_that_a_box_reaches():
    scores = track_scores([frame(_1=0)], [frame(_7=2)])
    # IoU 8 / 12: 13 of 19 thresholds are not above it; at the others nothing is matched
    assert scores.hota == scores.det_a == pytest.approx(13 / 19)
    assert scores.loc_a == pytest.approx((13 * 8 / 12 + 6) / 19)


def test_hota_gives_an_id_to_whom_it_suits_over_the_whole_video():
    truth = [frame(_1=0)] * 3 + [frame(_1=0, _2=4)]
    found = [frame(_7=0)] * 3 + [frame(_7=3)]
    scores = track_scores(truth, found)
    # in the last frame 2 is nearer to 7, which is 1's in all others; IoU 7 / 13
    assert scores.ass_a == pytest.approx((10 * 1 + 9 * 3 / 5) / 19)


def drawn(poses):
    """Truth and result of 40 frames in which people are missed and swapped, and ghosts found."""
    rng = np.random.RandomState(0)  # its numbers stay the same in every numpy
    ids, truth, found = np.arange(5), [], []
    form = rng.uniform(-25, 25, (5, 6, 2)) if poses else np.array([[[-20, -40], [20, 40]]] * 5)
    for t in range(40):
        places = form + np.stack([60.0 * np.arange(5) + t, 30 + t * np.arange(5)], 1)[:, None]
        ids = rng.permutation(ids) if t % 13 == 12 else ids
        ids[t % 5] += 10 * (rng.rand() < 0.2)
        there, seen = rng.rand(2, 5) < [[0.9], [0.8]]
        guesses = places[there & seen] + rng.normal(0, 4, places[there & seen].shape)
        guesses = np.concatenate((guesses, places[:1] + 150))
        labels = 2 * (rng.rand(5, 6, 1) < 0.8) if poses else np.zeros((5, 2, 0))
        truth.append((np.flatnonzero(there), np.dstack((places, labels))[there]))
        found.append(([*ids[there & seen], 1000 + t], guesses))
    if poses:
        return truth, found
    return ([(names, p.reshape(-1, 4)) for names, p in side] for side in (truth, found))


@pytest.mark.parametrize(
    ("sigmas", "expected"),
    [
        (None, (0.2749036203, 0.5136492856, 0.1486308936, 0.8184874358)),
        ([0.08] * 6, (0.1815140870, 0.3088288665, 0.1086272425, 0.7054631324)),
    ],
)
def test_hota_equals_its_authors_code_on_drawn_scenes(sigmas, expected):
    scores = track_scores(*drawn(poses=sigmas is not None), sigmas=sigmas)
    figures = scores.hota, scores.det_a, scores.ass_a, scores.loc_a
    assert figures == pytest.approx(expected, abs=1e-6)  # of trackeval 1.3.0


def test_keypoints_without_labels_do_not_count():
    truth = [([1], [[[0, 0, 2], [10, 0, 2], [10, 10, 2], [np.nan, np.nan, 0]]])]
    found = [([3], [[[0, 0], [10, 0], [10, 10], [500, 500]]])]
    assert track_scores(truth, found, sigmas=[0.1] * 4).hota == pytest.approx(1)


def test_frames_that_do_not_fit_are_named():
    with pytest.raises(DataError, match="truth has 1 frame, the result 0"):
        track_scores([frame(_1=0)], [])
    with pytest.raises(DataError, match="frame 0 of the truth has an id twice"):
        track_scores([([1, 1], np.zeros((2, 4)))], [frame()])
    with pytest.raises(
        DataError, match=r"frame 0 of the result has boxes .*\(1, 4\).* need \(2, 4"
    ):
        track_scores([frame(_1=0)], [([1, 2], np.zeros((1, 4)))])
    with pytest.raises(DataError, match=r"frame 0 of the truth has keypoints .* need \(1, 17, 3\)"):
        track_scores([([1], np.zeros((1, 17, 2)))], [frame()], sigmas=[0.1] * 17)
    with pytest.raises(DataError, match="frame 1 has NaN or infinity"):
        track_scores([frame(_1=0)] * 2, [frame(_1=0), frame(_1=np.nan)])


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["a"], "frame 0 of the truth should be ids, whole numbers of 64 bits, and boxes"),
        ([2**70], "whole numbers of 64 bits"),
        ([1.5], r"ids that are no whole numbers: \[1.5\]"),
        ([float("nan")], "no whole numbers"),
    ],
)
def test_ids_are_whole_numbers(ids, text):
    with pytest.raises(DataError, match=text):
        track_scores([(ids, np.zeros((1, 4)))], [frame(_1=0)])
