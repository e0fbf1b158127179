from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.transforms import flip_image, rescale_image, resize_image

AXES = {"horizontal": 1, "vertical": 0, "diagonal": (0, 1)}


@pytest.mark.parametrize("direction", AXES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, bool, np.int64])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 7), (0, 5)])
def test_flip_equals_numpys_and_is_contiguous(direction, dtype, shape):
    image = (np.random.default_rng(0).random(shape) * 255).astype(dtype)
    flipped = flip_image(image, direction)
    np.testing.assert_array_equal(flipped, np.flip(image, AXES[direction]))
    assert flipped.flags.c_contiguous
    assert flipped.dtype == dtype


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_resize_gives_width_and_height(picture, backend):
    assert resize_image(picture, (20, 10), backend).shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("scale", "size"), [(0.5, (24, 32)), ((32, 100), (32, 43)), ((100, 32), (32, 43))]
)
def test_rescale_keeps_the_ratio(picture, scale, size):
    assert rescale_image(picture, scale).shape[:2] == size


def test_wrong_arguments_are_refused(picture):
    with pytest.raises(ArgumentError, match="'cv2' or 'pillow', not 'torch'"):
        resize_image(picture, (4, 4), "torch")
    with pytest.raises(ArgumentError, match="factor above 0"):
        rescale_image(picture, 0)
    with pytest.raises(DataError, match="uint8"):
        resize_image(picture.astype(np.float32), (4, 4), "pillow")
