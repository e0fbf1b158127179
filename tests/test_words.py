"""Counts and lists in texts for people."""

from poise._words import counted, numbered, shortened


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


def test_reasons_in_the_plural_fit_one_thing_too():
    assert numbered(2, "pictures that have labels") == "2 pictures that have labels"
    assert numbered(1, "pictures that have labels already") == "1 picture that has labels already"
    assert numbered(1, "people that were to be left out") == "1 person that was to be left out"
    assert numbered(1, "boxes") == "1 box"
    assert numbered(1, "frames that broken_frames.npy names") == (
        "1 frame that broken_frames.npy names"
    )
