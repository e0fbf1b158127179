import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def person(rng):
    """Keypoints (1, 17, 2) well inside of 192 x 256."""
    return rng.uniform([20, 20], [170, 235], (1, 17, 2)).astype(np.float32)
