"""Many pictures on one sheet."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.visualization import contact_sheet


def test_pictures_of_any_size_keep_their_shape_and_stand_in_rows():
    wide = np.full((50, 200, 3), (255, 0, 0), np.uint8)
    gray = np.full((90, 30), 200, np.uint8)
    sheet = contact_sheet([wide, gray, wide], columns=2, tile=(100, 60), gap=10, background="black")
    assert sheet.shape == (2 * 70 + 10, 2 * 110 + 10, 3)
    blue = np.argwhere((sheet == (255, 0, 0)).all(-1))
    first = blue[(blue[:, 0] < 75) & (blue[:, 1] < 115)]
    assert np.ptp(first, axis=0).tolist() == [24, 99]
    assert (sheet == 200).all(-1).sum() == 60 * 20


def test_captions_are_written_below_and_long_ones_shortened():
    black = np.zeros((40, 40, 3), np.uint8)
    names = ["a", "/a/very/long/path/to/some/picture_000123.jpg"]
    sheet = contact_sheet([black, black], names, tile=(80, 80), background="black", title="two")
    assert sheet[-30:].any()
    assert not sheet[:, -7:].any()
    assert not sheet[40:100].any()


@pytest.mark.parametrize(
    ("pictures", "captions", "says"),
    [
        ([], None, "at least one picture"),
        ([np.zeros((4, 4, 3), np.uint8)], ["a", "b"], "1 pictures and 2 captions"),
        ([np.zeros((4, 4, 3))], None, "uint8"),
        ([np.zeros((0, 4, 3), np.uint8)], None, "uint8"),
        ([np.zeros((4, 4, 1), np.uint8)], None, "uint8"),
    ],
)
def test_what_cannot_be_laid_out_is_named(pictures, captions, says):
    with pytest.raises(DataError, match=says):
        contact_sheet(pictures, captions)
