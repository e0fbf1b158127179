"""Fixtures for all tests."""

import logging
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
#: Settings that are for the tests themselves; Poise's others are taken away.
OURS = ("POISE_SHARED", "POISE_MMPOSE_CONFIGS", "POISE_TEST_")
#: Beginnings of what a cluster or a launcher says about a run, which is not the tests' run.
LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "LSB_", "MASTER_", "LOCAL_RANK", "RANK", "WORLD_SIZE")
#: What changes how text comes out: its width, its colours.
TERMINAL = ("COLUMNS", "LINES", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "PY_COLORS",
            "CLICOLOR_FORCE", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")  # fmt: skip


def pytest_configure():
    for variable in list(os.environ):
        own = variable.startswith("POISE_") and not variable.startswith(OURS)
        if own or variable.startswith(LAUNCHERS) or variable in TERMINAL:
            del os.environ[variable]
    # numbers are the CPU's, also where there is a GPU; tests that are about devices pretend
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    # the servers of tests are on this machine, whatever proxy leads elsewhere
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    # where the tests run in the background of a shell Ctrl-C is ignored, and the programs that
    # they start and stop would inherit that
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--golden-all", action="store_true", help="all reference cases instead of a spread"
    )


def seed() -> None:
    """The same draws for a test whatever ran before it, and in whichever process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown():
    # a log that a run left open would be a warning in whichever test its file is freed
    logger = logging.getLogger("poise")
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
            handler.close()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    if fixturedef.scope == "function":
        return (yield)
    # made for the first test that asks, whichever that is: the draws of both stay the same
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed()
    try:
        return (yield)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference numbers and real data; a test that needs it skips without it."""
    path = Path(os.environ.get("POISE_SHARED") or ROOT.parent / "shared")
    if not path.is_dir():
        pytest.skip(f"needs the reference data: {path} is absent (set POISE_SHARED)")
    return path.resolve()


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory):
    """Nothing that was kept on this machine is found, and nothing is left on it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("POISE_CACHE_DIR", "TORCH_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(variable, str(folder / variable.lower()))
        yield


@pytest.fixture(scope="session", autouse=True)
def gradients_before_compilation():
    """A first backward pass, after which processes can be forked.

    Where `torch.compile` comes first, torch starts threads that a fork does not survive, and tests
    of several processes fail by the order of tests.
    """
    torch.ones(1, requires_grad=True).sum().backward()
