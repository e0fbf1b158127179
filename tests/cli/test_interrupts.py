"""The first Ctrl-C ends a run, the second waits, the third ends the program."""

import os
import signal

import pytest

from poise.cli.interrupts import INTERRUPTED, Patience


@pytest.fixture
def handler():
    before = signal.getsignal(signal.SIGINT)
    yield before
    signal.signal(signal.SIGINT, before)


def test_only_the_first_ctrl_c_interrupts(handler, capsys, monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(KeyboardInterrupt), Patience():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    assert "finishing the files; Ctrl-C again ends at once" in capsys.readouterr().err
    assert not ended
    signal.raise_signal(signal.SIGINT)
    assert ended == [INTERRUPTED]


def test_without_ctrl_c_the_handler_of_before_comes_back(handler):
    with Patience():
        assert signal.getsignal(signal.SIGINT) != handler
    assert signal.getsignal(signal.SIGINT) == handler
