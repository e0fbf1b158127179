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


@pytest.mark.parametrize("corner", [(0.15, 0.2), (0.85, 0.2), (0.15, 0.8), (0.85, 0.8)])
def test_of_two_people_the_one_in_the_middle_is_found(corner):
    codec = MoveNetLabel((256, 160))
    spread = np.random.default_rng(0).uniform(-12, 12, (1, 17, 2))
    near, far = (spread + np.multiply(at, codec.input_size) for at in ((0.5, 0.5), corner))
    first, second = codec.encode(near), codec.encode(far)
    names = ("heatmaps", "centers", "regressions", "offsets")
    both = [np.where(abs(first[n]) > abs(second[n]), first[n], second[n]) for n in names]
    np.testing.assert_allclose(codec.decode(*both)[0], near, atol=1e-3)
