"""Small people in large pictures, found by looking at tiles."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector, TiledDetector, build_detector
from poise.structures.bbox import bbox_overlaps

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
SIDE = 120


@pytest.fixture(scope="module")
def nanodet():
    return NanoDetDetector()


@pytest.fixture(scope="module")
def crowd(nanodet):
    """A picture of 2400 x 1300 with the shipped photo in it 24 times, and where she is."""
    photo = cv2.resize(cv2.imread(str(PHOTO)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    alone = nanodet.detect([photo])[0][0, :4]
    picture = np.full((1300, 2400, 3), 128, np.uint8)
    places = []
    rng = np.random.default_rng(0)
    for row in range(4):
        for column in range(6):
            x, y = np.array([column * 400, row * 320]) + rng.integers(0, 190, 2)
            picture[y : y + SIDE, x : x + SIDE] = photo
            places.append(alone + np.tile([x, y], 2))
    return picture, np.array(places)


def found_of(places, boxes):
    """Share of the places that a box is at."""
    return (bbox_overlaps(places, boxes[:, :4]) > 0.5).any(1).mean() if len(boxes) else 0.0


def test_tiles_find_those_whom_the_whole_picture_does_not_show(nanodet, crowd):
    picture, places = crowd
    (whole,) = nanodet.detect([picture])
    (tiled,) = TiledDetector(nanodet).detect([picture])
    assert found_of(places, whole) < 0.2
    assert found_of(places, tiled) > 0.9
    # nobody twice
    assert ((bbox_overlaps(places, tiled[:, :4]) > 0.5).sum(1) <= 1).all()
    assert (np.diff(tiled[:, 4]) <= 0).all()


def test_a_small_picture_is_looked_at_as_ever(nanodet):
    photo = cv2.imread(str(PHOTO))
    (found,) = TiledDetector(nanodet).detect([photo])
    np.testing.assert_array_equal(found, nanodet.detect([photo])[0])
    assert TiledDetector(nanodet).detect([]) == []


class Counting:
    """Nobody is anywhere; remembers how many views came at once."""

    description = "nobody"

    def __init__(self):
        self.calls, self.tuned = [], None

    def detect(self, images):
        self.calls.append([image.shape[:2] for image in images])
        assert all(image.flags.c_contiguous for image in images)
        return [np.zeros((0, 5), np.float32) for _ in images]

    def tune(self, *, half=False):
        self.tuned = half


def test_views_of_several_pictures_go_through_the_network_together():
    inner = Counting()
    detector = TiledDetector(inner, "2x2", overlap=0)
    pictures = [np.zeros((80, 120, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)]
    found = detector.detect(pictures)
    assert [f.shape for f in found] == [(0, 5), (0, 5)]
    assert [len(call) for call in inner.calls] == [8, 2]
    assert inner.calls[0][:6] == [(80, 120), *[(40, 60)] * 4, (64, 64)]
    detector.tune(half=True)
    assert inner.tuned is True


def test_detectors_are_tiled_by_an_option():
    detector = build_detector(Counting(), tiles="3x1")
    assert isinstance(detector, TiledDetector)
    assert detector.description == "nobody, also in 3x1 tiles"
    detector = build_detector({"name": "nanodet", "score_threshold": 0.5, "tiles": 800})
    assert detector.detector.score_threshold == 0.5
    assert str(detector.tiling) == "tiles of 800 pixels"


@pytest.mark.parametrize("detector", ["whole-image", None, [[0, 0, 5, 5]]])
def test_what_looks_at_no_pixels_has_no_tiles(detector):
    with pytest.raises(ArgumentError, match="tiles need a detector that looks for somebody"):
        build_detector(detector, tiles="auto")


def test_wrong_tiles_are_told_before_a_model_is_loaded():
    with pytest.raises(ArgumentError, match="tiles are columns x rows"):
        Inferencer("no such model", tiles="few")


def test_a_picture_too_small_for_its_tiles_is_told_with_its_name():
    inferencer = Inferencer("movenet-lightning", detector=Counting(), tiles="9x9", device="cpu")
    small = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(DataError, match="expected at least 32; ask for fewer tiles"):
        inferencer(small)
    (result,) = inferencer(small, keep_going=True)
    assert "9x9 tiles of a picture of 50 x 40 pixels would be 8 x 6" in result.error
    # boxes that are given need no tiles
    assert len(inferencer(small, boxes=[[0, 0, 40, 40]])[0]) == 1


def test_people_of_a_large_video_keep_their_ids(crowd, tmp_path):
    picture, places = crowd
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (1200, 640))
    for n in range(3):
        writer.write(np.ascontiguousarray(picture[:640, 4 * n : 1200 + 4 * n]))
    writer.release()
    inferencer = Inferencer("movenet-lightning", tiles="3x2", device="cpu")
    results = inferencer(str(path), track=True)
    shown = int(((places[:, 3] < 640) & (places[:, 2] < 1200) & (places[:, 0] > 8)).sum())
    ids = [set(np.asarray(result.instances.track_ids).tolist()) for result in results]
    assert len(ids[0]) >= shown - 1
    assert len(ids[0] & ids[2]) >= shown - 1
