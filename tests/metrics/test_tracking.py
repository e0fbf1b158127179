"""CLEAR MOT and IDF1 on frames counted by hand."""

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
    assert np.isnan([empty.mota, empty.idf1, empty.recall]).all()


def test_frames_that_do_not_fit_are_named():
    with pytest.raises(DataError, match="truth has 1 frames, the result 0"):
        track_scores([frame(_1=0)], [])
    with pytest.raises(DataError, match="frame 0 of the truth has an id twice"):
        track_scores([([1, 1], np.zeros((2, 4)))], [frame()])
