"""Pictures in, poses out, with the embedded model."""

import itertools
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

import poise
from poise.errors import ArgumentError, ConfigError, DataError, FileMissingError
from poise.inference import Inferencer

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"


@pytest.fixture(scope="module")
def inferencer():
    return Inferencer(device="cpu", detector="whole-image")


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO))


def test_face_of_the_astronaut_is_where_it_is(inferencer):
    (result,) = inferencer(PHOTO)
    names = result.to_dict()["keypoint_names"]
    nose = result.keypoints[0, names.index("nose")]
    # the nose of the shipped photo, read off the picture
    assert np.linalg.norm(nose - (226, 115)) < 15
    left, right = (result.keypoints[0, names.index(f"{s}_shoulder")] for s in ("left", "right"))
    assert left[0] > right[0], "her left is on the right of the picture"


def test_batches_give_what_single_calls_give(inferencer, photo):
    boxes = [[60, 0, 420, 512], [100, 20, 380, 400], [0, 0, 512, 512]]
    one = [inferencer(photo, boxes=[b])[0].keypoints[0] for b in boxes]
    together = inferencer(photo, boxes=boxes, batch_size=2)[0]
    np.testing.assert_allclose(together.keypoints, np.stack(one), atol=1e-2)


def test_people_of_several_pictures_share_batches_and_keep_their_order(inferencer, photo):
    small = cv2.resize(photo, (256, 256))
    boxes = [[[0, 0, 512, 512], [60, 0, 420, 512]], [], [[0, 0, 256, 256]]]
    results = inferencer([photo, photo, small], boxes=boxes, batch_size=8)
    assert [len(r) for r in results] == [2, 0, 1]
    assert [r.name for r in results] == ["array-0", "array-1", "array-2"]
    sure = results[0].keypoint_scores[0] > 0.5
    assert sure.sum() >= 7
    found, twice = results[0].keypoints[0][sure], results[2].keypoints[0][sure] * 2
    np.testing.assert_allclose(twice, found, atol=12)


def test_picture_without_boxes_gives_an_empty_result(inferencer, photo):
    (result,) = inferencer(photo, boxes=np.zeros((0, 4)))
    assert result.keypoints.shape == (0, 17, 2)
    assert result.to_dict()["instances"] == []


def test_boxes_by_name_and_a_name_that_is_absent(inferencer):
    (result,) = inferencer(PHOTO, boxes={"astronaut.png": [[0, 0, 512, 512]]})
    assert len(result) == 1
    with pytest.raises(DataError, match=r"the dict of boxes has no entry for '.*astronaut.png'"):
        inferencer(PHOTO, boxes={"other.png": [[0, 0, 1, 1]]})


def test_boxes_for_another_number_of_pictures_are_refused(inferencer, photo):
    with pytest.raises(DataError, match="there are 2 pictures and boxes for 1"):
        inferencer([photo, photo], boxes=[[[0, 0, 5, 5]]])


def test_bad_picture_raises_or_is_reported_as_asked(inferencer, photo):
    with pytest.raises(FileMissingError, match="no picture 'nowhere.jpg'"):
        inferencer(["nowhere.jpg", photo])
    results = inferencer(["nowhere.jpg", photo], keep_going=True)
    assert "no picture 'nowhere.jpg'" in results[0].error
    assert results[1].error is None
    assert len(results[1]) == 1


def test_results_come_before_all_pictures_are_read(inferencer, photo, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    results = inferencer.predict([photo, broken], batch_size=1)
    assert len(next(results)) == 1
    with pytest.raises(DataError, match="no readable picture"):
        next(results)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"inputs": "nowhere.mp4"}, FileMissingError, "there is no video 'nowhere.mp4'"),
        ({"inputs": [PHOTO, "nowhere.jpg"]}, FileMissingError, "no picture 'nowhere.jpg'"),
        ({"inputs": "no/such/*.jpg"}, FileMissingError, "no file matches"),
        ({"boxes": "nowhere.json"}, FileMissingError, "no file of boxes 'nowhere.json'"),
        ({"boxes": {"other.png": []}}, DataError, "the dict of boxes has no entry for"),
        ({"boxes": {PHOTO.name: [[5, 5, 1, 1]]}}, DataError, r"boxes of .*astronaut.png: box 0 is"),
        ({"boxes": [[0, 0, 9, 9], [9, 0, 1, 9]]}, DataError, "boxes: box 1 is"),
        ({"track": "nobody"}, ConfigError, "track= takes True, poise"),
        ({"track": ["poise"]}, ConfigError, "track= takes True, poise"),
        ({"smooth": ["kalman"]}, ConfigError, "smoothing must be one of one-euro"),
        ({"track": {"hihg": 0.5}}, ArgumentError, "no option 'hihg'; did you mean 'high'"),
        ({"smooth": {"type": "kalman", "lagg": 1}}, ArgumentError, "no option 'lagg'"),
        ({"lift": {"model": "human3d", "windw": 1}}, ArgumentError, "did you mean 'window'"),
        ({"batch_size": 0}, DataError, "batch_size must be at least 1"),
    ],
)
def test_wrong_arguments_are_told_at_the_call(inferencer, options, error, text):
    with pytest.raises(error, match=text):
        inferencer.predict(**{"inputs": PHOTO, **options})


def test_nothing_is_read_before_the_first_result_is_asked_for(inferencer, photo, monkeypatch):
    came = []

    def pictures():
        came.append("picture")
        yield photo

    monkeypatch.setattr(
        "poise.inference.sources.opening.read_picture",
        lambda picture: came.append(picture) or photo,
    )
    results = inferencer.predict(pictures()), inferencer.predict(PHOTO)
    assert not came
    assert [len(list(own)) for own in results] == [1, 1]
    assert len(came) == 3, "the generator, its picture, the file"


@pytest.mark.parametrize("mode", ["accurate", "balanced"])
def test_no_network_runs_before_the_first_result_is_asked_for(mode, photo):
    inferencer = Inferencer("movenet-lightning", device="cpu", detector=None, mode=mode)
    ran = []
    inferencer.model.backbone.register_forward_hook(lambda *_: ran.append(1))
    results = inferencer.predict(photo)
    assert not ran
    next(results)
    assert ran


@pytest.fixture
def pipeline_threads():
    """The pipeline's threads that began in this test and have not ended."""
    others = set(threading.enumerate())

    def alive():
        threads = set(threading.enumerate()) - others
        return [t for t in threads if t.name.startswith("poise-") and t.is_alive()]

    return alive


def ended(pipeline_threads):
    """Whether the threads end; those of a pool do so once their call is done."""
    for thread in pipeline_threads():
        thread.join(timeout=30)
    return not pipeline_threads()


def test_pipeline_ends_with_its_iterator(inferencer, photo, pipeline_threads):
    results = inferencer.predict(itertools.repeat(photo), batch_size=1)
    next(results)
    assert pipeline_threads()
    results.close()
    assert ended(pipeline_threads)
    assert list(results) == []


def test_pipeline_ends_with_an_error_that_is_kept(inferencer, photo, tmp_path, pipeline_threads):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    inputs = itertools.chain([photo, broken], itertools.repeat(photo))
    results = inferencer.predict(inputs, batch_size=1)
    with pytest.raises(DataError) as kept:
        list(results)
    assert kept.traceback
    assert ended(pipeline_threads)


def test_config_file_of_a_detector_is_refused_like_its_name(tmp_path):
    config = tmp_path / "detector.py"
    config.write_text("model = dict(type='RTMDet', bbox_head=dict(type='RTMDetHead'))\n")
    with pytest.raises(ConfigError, match=r"detector.py' is a detector.* as detector="):
        Inferencer(config)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (-1, "cameras have the numbers 0, 1, 2"),
        (b"abc", "input 0 is a bytes; give a path"),
        ({"a.jpg": 1}, "input 0 is a dict; give a path"),
    ],
)
def test_what_is_no_picture_is_named(inferencer, inputs, text):
    with pytest.raises(DataError, match=text):
        inferencer(inputs)


def test_one_box_may_be_flat_and_a_number_is_none(inferencer, photo):
    assert len(inferencer(photo, boxes=[60, 0, 420, 512])[0]) == 1
    with pytest.raises(DataError, match=r"boxes are an array \(N, 4\), .* got 5"):
        inferencer(photo, boxes=5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": nn.Linear(2, 2)}, "the model, a Linear, has no cfg and no dataset_meta"),
        ({"detector": {"name": "nanodet", "score_threshold": "x"}}, "from 0 to 1, got 'x'"),
    ],
)
def test_settings_of_a_wrong_kind_are_named(photo, options, text):
    with pytest.raises(ArgumentError, match=text):
        Inferencer(**{"device": None, "model": "movenet-lightning", **options})(photo)


def test_covariances_come_when_they_are_asked_for(inferencer, photo):
    boxes = np.array([[0, 0, 400, 500], [100, 0, 512, 512], [0, 50, 300, 512]])
    (plain,) = inferencer.predict(photo, boxes=boxes)
    assert plain.keypoint_covariances is None
    assert "keypoint_covariances" not in plain.to_dict()["instances"][0]
    (found,) = inferencer.predict(photo, boxes=boxes, covariances=True)
    np.testing.assert_array_equal(found.keypoints, plain.keypoints)
    assert found.keypoint_covariances.shape == (3, 17, 2, 2)
    assert found.keypoint_covariances.dtype == np.float32
    assert (np.linalg.eigvalsh(found.keypoint_covariances) > 0).all()
    # everybody alone says the same
    for person, box in enumerate(boxes):
        (alone,) = inferencer.predict(photo, boxes=box[None], covariances=True)
        ours, others = alone.keypoint_covariances[0], found.keypoint_covariances[person]
        # by the size of each matrix: what is beside its diagonal may be near zero
        size = np.trace(others, axis1=1, axis2=2)[:, None, None]
        np.testing.assert_allclose(ours / size, others / size, atol=1e-2)
    (nobody,) = inferencer.predict(photo, boxes=np.zeros((0, 4)), covariances=True)
    assert nobody.keypoint_covariances.shape == (0, 17, 2, 2)


def test_an_inferencer_may_always_keep_covariances(photo):
    inferencer = Inferencer("movenet-lightning", device="cpu", covariances=True)
    boxes = np.array([[0, 0, 512, 512]])
    (found,) = inferencer(photo, boxes=boxes)
    assert found.keypoint_covariances.shape == (1, 17, 2, 2)
    (plain,) = inferencer(photo, boxes=boxes, covariances=False)
    assert plain.keypoint_covariances is None


def test_covariances_are_calibrated_unless_the_model_is_somebodys_own(inferencer, photo):
    boxes = np.array([[0, 0, 512, 512]])
    (known,) = inferencer.predict(photo, boxes=boxes, covariances=True)
    (raw,) = Inferencer(poise.load_model("movenet-thunder"), device="cpu").predict(
        photo, boxes=boxes, covariances=True
    )
    expected = known.calibration.covariances(raw.keypoint_covariances, raw.keypoint_scores)
    np.testing.assert_allclose(known.keypoint_covariances, expected, rtol=1e-2)
    assert known.covariance_radius(0.95) > raw.covariance_radius(0.95)


def test_a_larger_picture_has_larger_covariances(inferencer, photo):
    box = np.array([[0, 0, 512, 512]], np.float32)
    (own,) = inferencer.predict(photo, boxes=box, covariances=True)
    twice = np.kron(photo, np.ones((2, 2, 1), np.uint8))
    (larger,) = inferencer.predict(twice, boxes=box * 2, covariances=True)
    sure = own.keypoint_scores[0] > 0.6
    ratio = larger.keypoint_covariances[0, sure] / own.keypoint_covariances[0, sure]
    assert np.median(ratio[:, [0, 1], [0, 1]]) == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("td-reg_res50_8xb64-210e_coco-256x192", "RegressionHead has no covariances: it predicts"),
        ("yoloxpose_tiny_4xb64-300e_coco-416", "YOLOXPoseHead has no covariances: nothing in"),
        ("edpose_res50_8xb2-50e_coco-800x1333", "EDPoseHead has no covariances: nothing in what"),
        ("dekr_hrnet-w32_8xb10-140e_coco-512x512", "SPR has no covariances: nothing in"),
    ],
)
def test_models_that_do_not_know_are_refused_before_any_picture(photo, name, text):
    inferencer = Inferencer(poise.build_model(name).eval(), device="cpu", detector="whole-image")
    with pytest.raises(ConfigError, match=text):
        next(inferencer.predict([photo], covariances=True, keep_going=True))


def test_its_text_says_which_model_runs_where():
    finder = Inferencer("movenet-lightning", device="cpu")
    assert repr(finder) == "Inferencer(movenet-lightning, torch on cpu)"
    assert repr(Inferencer(finder.model)) == "Inferencer(TopdownPoseEstimator, torch on cpu)"
