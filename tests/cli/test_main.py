"""The command that leads to all others."""

import subprocess
import sys

import pytest

from poise.cli.main import COMMANDS, MOVED_OPTIONS, fill_bare_options, refuse_moved_options
from poise.errors import ArgumentError


def run(*args):
    return subprocess.run(
        [sys.executable, "-m", "poise", *args], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_without_loading_any():
    code = (
        "import sys; sys.argv = ['poise', '--help']\n"
        "from poise.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False False")
    assert all(name in out.stdout for name in COMMANDS)


def test_warnings_are_shown_once_and_only_those_of_poise_without_their_line():
    code = (
        "import warnings; from poise.cli import main\n"
        "main._say_warnings()\n"
        "for _ in range(2):\n"
        "    warnings.warn_explicit('twice', UserWarning, main.__file__, 1)\n"
        "warnings.warn_explicit('theirs', UserWarning, 'other.py', 7)\n"
        "from poise.config import Config\n"
        "Config.fromstring(\"_deprecation_ = dict(expected='new.py')\", '.py')\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    twice, theirs, old = out.stderr.splitlines()
    assert (twice, theirs) == ("warning: twice", "other.py:7: UserWarning: theirs")
    assert old.endswith("is deprecated; use new.py instead")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    out = run(command, "--help")
    assert out.returncode == 0, out.stderr
    assert "Usage: poise" in out.stdout


def test_unknown_command_is_answered_with_the_nearest():
    out = run("prdict")
    assert out.returncode == 2
    assert "did you mean 'predict'" in out.stderr


def test_errors_for_people_have_no_traceback():
    out = run("predict", "nowhere.jpg", "--model", "no-such-model")
    assert out.returncode == 1
    assert out.stderr.startswith("error: 'no-such-model' is neither a config file nor the name")
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["train", "c.py", "--resume"], ["train", "c.py", "--resume", "auto"]),
        (
            ["train", "--amp", "--seed", "1", "c.py"],
            ["train", "--amp", "auto", "--seed", "1", "c.py"],
        ),
        (["train", "c.py", "--resume", "x.pth"], ["train", "c.py", "--resume", "x.pth"]),
        (["predict", "--resume"], ["predict", "--resume"]),
        ([], []),
    ],
)
def test_options_that_stand_alone_in_mmpose_may_stand_alone(given, filled):
    assert fill_bare_options(given) == filled


@pytest.mark.parametrize("option", MOVED_OPTIONS)
def test_options_of_mmposes_tools_lead_to_what_does_the_same(option):
    with pytest.raises(ArgumentError, match=rf"no option {option}, .* here it is -"):
        refuse_moved_options(["predict", "a.jpg", f"{option}=x"])
    refuse_moved_options(["predict", "--", option])
    new = MOVED_OPTIONS[option].split()[0].rstrip(",")
    helps = "".join(run(command, "--help").stdout for command in ("predict", "train", "test"))
    assert new in helps
