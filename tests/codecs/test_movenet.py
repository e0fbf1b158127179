"""MoveNet's outputs as arrays and as tensors say the same."""

import numpy as np
import pytest

from poise.codecs import MoveNetLabel


def test_arrays_are_decoded_as_tensors_are():
    torch = pytest.importorskip("torch", reason="compares with tensors")
    random = np.random.default_rng(0)
    shapes = ((5, 17, 48, 48), (5, 1, 48, 48), (5, 34, 48, 48), (5, 34, 48, 48))
    maps = [random.random(shape, dtype=np.float32) for shape in shapes]
    maps[2] = maps[2] * 16 - 8
    codec = MoveNetLabel((192, 192))
    found, expected = codec.batch_decode(*maps), codec.batch_decode(*map(torch.from_numpy, maps))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4)
