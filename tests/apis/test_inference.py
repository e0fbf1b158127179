"""MMPose's functional calls on one picture."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

import poise
from poise.apis import (
    Hand3DInferencer,
    MMPoseInferencer,
    Pose2DInferencer,
    Pose3DInferencer,
    collect_multi_frames,
    get_model_aliases,
    inference_topdown,
    init_model,
    visualize,
)
from poise.errors import ArgumentError, ConfigError, DataError, FileMissingError
from poise.zoo import load_config

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"
HER = [60, 0, 420, 512]


@pytest.fixture(scope="module")
def model():
    return init_model("movenet-lightning", device="cpu")


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO))


def test_model_is_ready_to_use(model):
    assert not model.training
    assert model.dataset_meta["dataset_name"] == "coco"
    assert model.cfg.model.train_cfg is None


def test_options_change_a_copy_of_the_config():
    config = load_config("movenet-lightning")
    changed = init_model(config, None, "cpu", {"model.backbone.width": 0.5})
    assert changed.cfg.model.backbone.width == 0.5
    assert config.model.backbone.width == 1.0


def test_cuda_that_is_absent_becomes_the_cpu(monkeypatch, caplog):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        model = init_model("movenet-lightning", device="cuda:0")
    assert next(model.parameters()).device.type == "cpu"
    assert "no CUDA device" in caplog.text


def test_wrong_kinds_of_config_are_refused():
    with pytest.raises(ArgumentError, match="must be a file name, a model name or a Config"):
        init_model(3)
    with pytest.raises(TypeError):
        init_model(None)


def test_boxes_of_both_formats_give_one_sample_each(model, photo):
    corners = inference_topdown(model, photo, np.array([HER, [0, 0, 512, 512]]))
    assert [s.pred_instances.keypoints.shape for s in corners] == [(1, 17, 2)] * 2
    x1, y1, x2, y2 = HER
    (sized,) = inference_topdown(model, PHOTO, [[x1, y1, x2 - x1, y2 - y1]], "xywh")
    np.testing.assert_allclose(
        sized.pred_instances.keypoints, corners[0].pred_instances.keypoints, atol=1e-3
    )
    assert sized.metainfo["img_path"] == str(PHOTO)


def test_without_boxes_the_picture_is_the_box_and_with_none_nobody_is_there(model, photo):
    (sample,) = inference_topdown(model, photo)
    assert sample.pred_instances.bboxes.tolist() == [[0, 0, 512, 512]]
    assert inference_topdown(model, photo, []) == []
    assert inference_topdown(model, photo, np.zeros((0, 4))) == []


def test_grey_pixels_and_pixels_with_alpha_are_taken(model, photo):
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    (of_grey,) = inference_topdown(model, grey, [HER])
    (of_copy,) = inference_topdown(model, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), [HER])
    np.testing.assert_array_equal(
        of_grey.pred_instances.keypoints, of_copy.pred_instances.keypoints
    )


def test_pixels_of_16_bits_are_those_of_8(model, photo):
    expected, found = (
        inference_topdown(model, pixels)[0].pred_instances.keypoints
        for pixels in (photo, photo.astype(np.uint16) << 8)
    )
    np.testing.assert_array_equal(found, expected)


def test_wrong_boxes_and_pictures_are_named(model, photo):
    with pytest.raises(DataError, match="must be one of 'xyxy', 'xywh', got 'cxcywh'"):
        inference_topdown(model, photo, [HER], "cxcywh")
    with pytest.raises(DataError, match=r"must have the shape \(N, 4\)"):
        inference_topdown(model, photo, [1, 2, 3, 4])
    for box in ([1, 2, np.nan, 4], [1, 2, np.inf, 4], ["1", "2", "3", "4"]):
        with pytest.raises(DataError, match="bboxes must be finite numbers"):
            inference_topdown(model, photo, [box])
    with pytest.raises(DataError, match="no pixels"):
        inference_topdown(model, photo[:0])
    with pytest.raises(FileMissingError, match="no picture 'none.jpg'"):
        inference_topdown(model, "none.jpg", [HER])


@pytest.mark.parametrize(
    ("frame", "online", "expected"),
    [(2, False, [2, 1, 3, 4]), (0, False, [0, 0, 1, 2]), (4, True, [4, 3, 4, 4])],
)
def test_neighbours_come_after_the_frame_and_stay_inside(frame, online, expected):
    assert collect_multi_frames(list(range(5)), frame, [-1, 0, 1, 2], online) == expected


def test_inferencer_gives_mmposes_layout_and_files(photo, tmp_path):
    inferencer = MMPoseInferencer("movenet-lightning", device="cpu")
    (result,) = inferencer(str(PHOTO), bboxes=[[HER]], return_vis=True, out_dir=tmp_path)
    ((person,),) = result["predictions"]
    assert person["bbox"] == (HER,)
    assert person["bbox_score"] == 1
    assert np.shape(person["keypoints"]) == (17, 2)
    (picture,) = result["visualization"]
    assert picture.shape == photo.shape
    # RGB, as MMPose gives it: where nothing is drawn the photo shows
    np.testing.assert_array_equal(picture[500, 5], photo[500, 5, ::-1])
    written = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    assert written == ["predictions/astronaut.json", "visualizations/astronaut.png"]

    (empty,) = inferencer(np.zeros((40, 40, 3), np.uint8), return_datasamples=True)
    assert empty["visualization"] is None
    assert len(empty["predictions"][0].pred_instances) == 0


def test_inferencer_refuses_what_it_has_not():
    with pytest.raises(ConfigError, match="needs a model: pose2d='human'"):
        MMPoseInferencer()
    inferencer = MMPoseInferencer("movenet-lightning", det_model="whole_image", device="cpu")
    with pytest.raises(ArgumentError, match="no option 'kpt_thre'; did you mean 'kpt_thr'"):
        inferencer("a.jpg", kpt_thre=0.5)


def test_visualize_draws_on_a_copy(photo):
    before = photo.copy()
    drawn = visualize(photo, np.full((1, 17, 2), 100.0), metainfo="coco")
    np.testing.assert_array_equal(photo, before)
    assert (drawn[100, 100] != photo[100, 100, ::-1]).any()
    with pytest.raises(DataError, match="skeleton_style must be one of"):
        visualize(photo, np.zeros((1, 17, 2)), skeleton_style="stick")


@pytest.fixture
def clip(photo, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (256, 256))
    for _ in range(3):
        writer.write(cv2.resize(photo, (256, 256)))
    writer.release()
    return path


def test_inferencer_takes_videos_and_writes_mmposes_files(clip, tmp_path):
    inferencer = MMPoseInferencer("movenet-lightning", det_model="whole_image", device="cpu")
    results = list(inferencer(str(clip), out_dir=tmp_path / "out", return_vis=True))
    assert [len(r["predictions"]) for r in results] == [1, 1, 1]
    assert results[0]["visualization"][0].shape == (256, 256, 3)
    frames = json.loads((tmp_path / "out/predictions/clip.json").read_text())
    assert [f["frame_id"] for f in frames] == [0, 1, 2]
    assert frames[1]["instances"][0].keys() >= {"keypoints", "keypoint_scores", "bbox"}
    drawn = cv2.VideoCapture(str(tmp_path / "out/visualizations/clip.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    drawn.release()


def test_each_video_has_a_drawn_one(clip, tmp_path):
    other = tmp_path / "other.avi"
    other.write_bytes(clip.read_bytes())
    inferencer = MMPoseInferencer("movenet-lightning", det_model="whole_image", device="cpu")
    assert len(list(inferencer([str(clip), str(other)], out_dir=tmp_path / "out"))) == 6
    for name in ("clip", "other"):
        drawn = cv2.VideoCapture(str(tmp_path / f"out/visualizations/{name}.mp4"))
        assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3
        drawn.release()


def test_inferencer_lifts_to_3d(clip, tmp_path):
    lifter = poise.build_model("image-pose-lift_tcn_8xb64-200e_h36m").eval()
    inferencer = MMPoseInferencer(
        "movenet-lightning", pose3d=lifter, det_model="whole_image", device="cpu"
    )
    results = list(inferencer(str(clip), return_vis=True, vis_out_dir=str(tmp_path / "vis")))
    (person,) = results[-1]["predictions"][0]
    assert np.shape(person["keypoints"]) == (17, 3)
    # the lowest keypoint stands on the ground
    assert min(z for _, _, z in person["keypoints"]) == pytest.approx(0, abs=1e-5)
    assert results[-1]["visualization"][0].shape[0] >= 256
    assert (tmp_path / "vis/clip.mp4").stat().st_size > 0


def test_inferencer_hands_on_from_when_people_are_the_same(monkeypatch):
    lifter = poise.build_model("image-pose-lift_tcn_8xb64-200e_h36m").eval()
    inferencer = MMPoseInferencer("movenet-lightning", pose3d=lifter, device="cpu")
    seen = []

    def predict(inputs, **options):
        seen.append(options["track"])
        return iter(())

    monkeypatch.setattr(inferencer.inferencer, "predict", predict)
    tracked = {"use_oks_tracking": True}
    for options in ({}, tracked, {**tracked, "tracking_thr": 0.4}):
        list(inferencer("clip.mp4", **options))
    assert seen == [False, True, {"match": 0.4}]


def test_progress_is_no_part_of_what_a_script_prints(capsys):
    inferencer = MMPoseInferencer("movenet-lightning", device="cpu", show_progress=True)
    list(inferencer(str(PHOTO), bboxes=[[HER]]))
    said = capsys.readouterr()
    assert "Inference" in said.err
    assert not said.out


def test_inferencer_names_cameras_by_number():
    inferencer = MMPoseInferencer("movenet-lightning", det_model="whole_image", device="cpu")
    with pytest.raises(ArgumentError, match="called 'webcam' or 'webcam:1', got 'webcam:left'"):
        inferencer("webcam:left")
    with pytest.raises(DataError, match="camera 63 cannot be opened"):
        list(inferencer("webcam:63"))


def test_inferencers_of_one_kind_hand_their_models_on(monkeypatch):
    seen = []
    monkeypatch.setattr(MMPoseInferencer, "__init__", lambda self, *args: seen.append(args[:4]))
    Pose2DInferencer("human", "a.pth")
    Hand3DInferencer("hand3d", "b.pth")
    Pose3DInferencer("human3d", "c.pth", "human", "a.pth")
    assert seen == [
        ("human", "a.pth", None, None),
        (None, None, "hand3d", "b.pth"),
        ("human", "a.pth", "human3d", "c.pth"),
    ]
    assert get_model_aliases()["human"] == "rtmpose-m_8xb256-420e_body8-256x192"
