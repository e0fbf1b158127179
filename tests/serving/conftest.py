"""An inferencer on the models inside the package, and clients without a network."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import poise
from poise.serving import Limits, create_app
from poise.serving.batching import Batcher

#: Packages without which there is no server, or nobody who asks it.
NEEDED = ("fastapi", "uvicorn", "python_multipart", "httpx")
PHOTO = Path(__file__).resolve().parents[2] / "examples/photos/astronaut.png"


def pytest_collect_file():
    for package in NEEDED:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'poise[dev]'")


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Ends the threads of the servers that a test makes in this process."""
    made, begin = [], Batcher.__init__

    def remembered(self, *args, **options):
        begin(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(Batcher, "__init__", remembered)
    yield
    for batcher in made:
        batcher.close()
    assert not [t for t in threading.enumerate() if t.name == "poise-batches"]


@pytest.fixture(scope="session")
def inferencer():
    return poise.Inferencer("movenet-lightning", device="cpu")


@pytest.fixture(scope="session")
def photo() -> bytes:
    return PHOTO.read_bytes()


@pytest.fixture
def app(inferencer):
    return create_app(inferencer, limits=Limits(max_pixels=1_000_000, max_bytes=2_000_000))


def _client_of(app):
    import httpx

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://poise", timeout=60)


@pytest.fixture(scope="session")
def client_of():
    """App -> client."""
    return _client_of


@pytest.fixture(scope="session")
def ask():
    """One request, and its answer."""

    def ask(app, method, path, **options):
        async def run():
            async with _client_of(app) as client:
                return await client.request(method, path, **options)

        return asyncio.run(run())

    return ask


class Held:
    """An inferencer that looks at no picture before it may, and tells how many came together."""

    def __init__(self, inferencer):
        self._inferencer = inferencer
        self.go, self.came = threading.Event(), threading.Event()
        self.groups = []
        self.fault = None

    def __getattr__(self, name):
        return getattr(self._inferencer, name)

    def predict(self, images, **options):
        self.groups.append(len(images))
        self.came.set()
        assert self.go.wait(120)
        if self.fault is not None:
            raise self.fault
        return self._inferencer.predict(images, **options)


@pytest.fixture
def held(inferencer):
    found = Held(inferencer)
    yield found
    found.go.set()


@pytest.fixture(scope="module")
def start():
    """Options -> (process, address) of a server that takes requests."""
    running = []

    def start(*options):
        command = [sys.executable, "-m", "poise", "serve", "-m", "movenet-lightning", "--port", "0"]
        process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        for line in process.stdout:
            found = re.search(r"serving on (http://[^ ]+)/ ", line)
            if found:
                return process, found[1]
        raise AssertionError(process.stderr.read())

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=60)
