"""Counts and lists in texts for people."""

from poise._words import counted, shortened


def test_one_thing_is_one_and_several_have_their_plural():
    assert [counted(n, "pose") for n in (0, 1, 2, 1200)] == [
        "0 poses",
        "1 pose",
        "2 poses",
        "1,200 poses",
    ]
    assert (counted(1, "person"), counted(3, "person")) == ("1 person", "3 people")
    assert counted(2, "labelled box") == "2 labelled boxes"


def test_long_lists_end_with_dots_and_short_ones_do_not():
    assert shortened([], 2) == ""
    assert shortened(range(2), 2) == "0, 1"
    assert shortened(range(3), 2) == "0, 1 ..."
