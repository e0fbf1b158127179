"""What tests of exported files share."""

import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import pytest

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"

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


@pytest.fixture(scope="session")
def movenet():
    import poise

    return poise.load_model("movenet-lightning", device="cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Eight views of one photo."""
    place = tmp_path_factory.mktemp("pictures")
    photo = cv2.imread(str(PHOTO))
    for i in range(8):
        view = photo[:, ::-1] if i % 2 else photo
        cv2.imwrite(str(place / f"{i}.png"), view[: 512 - 20 * i, : 512 - 10 * i] // (1 + i % 3))
    return place
