"""Calls that come at once, and what each of them may take."""

import pytest

from poise.runtimes import Lanes, available_cores, chosen_threads


@pytest.mark.parametrize(
    ("threads", "count", "share"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (8, 4, 2), (22, 4, 5)]
)
def test_threads_are_shared_out(threads, count, share):
    lanes = Lanes(threads)
    assert (lanes.count, lanes.share) == (count, share)


def test_only_a_call_that_is_alone_may_take_everything():
    lanes = Lanes(4)
    with lanes.entered() as first:
        with lanes.entered() as second:
            assert (first, second) == (True, False)
        with lanes.entered() as third:
            assert not third
    with pytest.raises(ZeroDivisionError), lanes.entered():
        raise ZeroDivisionError
    with lanes.entered() as last:
        assert last


def test_where_there_is_one_thread_every_call_takes_it():
    lanes = Lanes(1)
    with lanes.entered(), lanes.entered() as second:
        assert second


def test_threads_are_those_of_the_environment(monkeypatch):
    assert available_cores() >= 1
    for text, threads in {"3": 3, "0": None, "": None, "many": None}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert chosen_threads() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert chosen_threads() is None
