"""What tests of exported files share."""

import subprocess
import sys
import textwrap

import pytest

_BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "lightning"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def without_torch():
    """Runs code in a Python that has no torch; gives what it prints."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _BLOCKED + textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
