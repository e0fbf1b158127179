"""The first Ctrl-C ends a run, the second waits, the third ends the program."""

import os
import signal
import subprocess
import sys
import textwrap
import time

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


def test_a_late_ctrl_c_does_not_kill_what_is_ending():
    """Python gives up its handlers while it frees its objects, which takes a while."""
    code = """
        import sys
        import time
        from poise.cli.interrupts import INTERRUPTED, Patience
        with Patience():
            try:
                print("ready", flush=True)
                # short waits: a signal just before one begins is seen when it is over
                while True:
                    time.sleep(0.01)
            except KeyboardInterrupt:
                pass
        slow_to_free = [dict(a=i) for i in range(2_000_000)]
        print("ending", flush=True)
        sys.exit(INTERRUPTED)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "ending\n"
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == INTERRUPTED
    process.stdout.close()
