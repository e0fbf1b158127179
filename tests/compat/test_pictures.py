"""Pictures and videos under MMCV's names."""

import cv2
import numpy as np
import pytest

import poise.compat as compat
from poise.errors import ArgumentError, DataError, FileMissingError


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_what_is_written_is_read(picture, tmp_path):
    path = tmp_path / "new folder" / "ä.png"
    assert compat.imwrite(picture, path)
    np.testing.assert_array_equal(compat.imread(path), picture)
    np.testing.assert_array_equal(compat.imread(str(path), channel_order="rgb"), picture[..., ::-1])
    assert compat.imread(path, "grayscale").shape == (30, 40)
    np.testing.assert_array_equal(compat.imfrombytes(path.read_bytes()), picture)
    assert compat.imread(picture) is picture


def test_pictures_that_cannot_be_read_or_written(picture, tmp_path):
    with pytest.raises(FileMissingError, match=r"nobody\.jpg"):
        compat.imread(tmp_path / "nobody.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match="not a picture"):
        compat.imread(tmp_path / "text.jpg")
    with pytest.raises(ArgumentError, match="cannot write"):
        compat.imwrite(picture, tmp_path / "x.unknown")
    with pytest.raises(ArgumentError, match="channel_order"):
        compat.imread(tmp_path / "text.jpg", channel_order="gbr")
    with pytest.raises(ArgumentError, match="the colour type of a picture"):
        compat.imread(tmp_path / "text.jpg", "colour")
    with pytest.raises(ArgumentError, match="the decoder of a picture"):
        compat.imread(tmp_path / "text.jpg", backend="magick")


def test_flags_and_channels_are_mmcvs(tmp_path, picture):
    path = tmp_path / "x.png"
    compat.imwrite(picture, path)
    turned = picture[..., ::-1]
    for flag in (cv2.IMREAD_COLOR, "color"):
        np.testing.assert_array_equal(compat.imread(path, flag, "rgb"), turned)
    assert compat.imread(path, cv2.IMREAD_GRAYSCALE).ndim == 2
    # MMCV's OpenCV leaves these as they are, its Pillow turns them
    for backend, expected in ((None, picture), ("cv2", picture), ("pillow", turned)):
        found = compat.imread(path, "color_ignore_orientation", "rgb", backend)
        np.testing.assert_array_equal(found, expected)


def test_sizes(picture):
    resized, across, down = compat.imresize(picture, (20, 60), return_scale=True)
    assert resized.shape == (60, 20, 3)
    assert (across, down) == (0.5, 2.0)
    assert compat.imrescale(picture, 0.5).shape == (15, 20, 3)
    rescaled, factor = compat.imrescale(picture, (80, 45), return_scale=True)
    assert rescaled.shape == (45, 60, 3)
    assert factor == 1.5
    nearest = compat.imresize(picture, (80, 60), interpolation="nearest")
    np.testing.assert_array_equal(nearest[::2, ::2], picture)
    with pytest.raises(ArgumentError, match="interpolation must be one of 'nearest'"):
        compat.imresize(picture, (2, 2), interpolation="best")
    with pytest.raises(ArgumentError, match="above 0"):
        compat.imrescale(picture, 0)


def test_colours_and_mirrors(picture):
    np.testing.assert_array_equal(compat.bgr2rgb(picture), picture[..., ::-1])
    np.testing.assert_array_equal(compat.rgb2bgr(compat.bgr2rgb(picture)), picture)
    grey = compat.bgr2gray(picture, keepdim=True)
    assert grey.shape == (30, 40, 1)
    np.testing.assert_array_equal(compat.gray2bgr(grey), np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(compat.imflip(picture, "vertical"), picture[::-1])
    for mirrored in (compat.imflip, compat.imflip_):
        with pytest.raises(ArgumentError, match="direction must be one of 'horizontal'"):
            mirrored(picture, "sideways")


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "steps.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in range(0, 250, 25):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def test_frames_of_a_video_by_number(video):
    with compat.VideoReader(video) as reader:
        assert (len(reader), reader.resolution, reader.fps) == (10, (64, 48), 10)

        def levels(frames):
            return [round(float(frame.mean()) / 25) for frame in frames]

        assert levels([reader[3], reader[-1], reader[0]]) == [3, 9, 0]
        assert levels(reader[2:5]) == [2, 3, 4]
        assert levels([reader.current_frame()]) == [4]
        assert levels(reader) == list(range(10))
        assert reader.read() is None
        with pytest.raises(IndexError, match="frame 10 of a video with 10 frames"):
            reader[10]


def test_videos_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileMissingError, match=r"no video 'nobody\.mp4'"):
        compat.VideoReader("nobody.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(DataError, match="no video that OpenCV can open"):
        compat.VideoReader(tmp_path / "text.mp4")
