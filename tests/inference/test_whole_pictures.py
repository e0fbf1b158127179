"""Models of whole pictures: no boxes in, any number of people out."""

import cv2
import numpy as np
import pytest
from torch import nn

import poise
from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.inference import Inferencer
from poise.models.estimators import PoseLifter
from poise.structures import InstanceData, parse_pose_metainfo

PIPELINE = [dict(type="LoadImage"), dict(type="PackPoseInputs")]


class OneEach(nn.Module):
    """Finds as many people as the first pixel says."""

    def __init__(self, *extra):
        super().__init__()
        self.cfg = Config({"model": {}, "test_pipeline": PIPELINE})
        self.dataset_meta = parse_pose_metainfo({"from_file": "coco"})
        self.test_cfg = {}
        self.extra = extra

    def data_preprocessor(self, data, training):
        return data

    def forward(self, inputs, data_samples, mode):
        for picture, sample in zip(inputs, data_samples, strict=True):
            n = int(picture[0, 0, 0])
            points = np.arange(n * 34, dtype=np.float32).reshape(n, 17, 2)
            found = InstanceData(keypoints=points, keypoint_scores=np.full((n, 17), 0.5))
            if "bboxes" in self.extra:
                found.bboxes = np.tile(np.float32([1, 2, 3, 4]), (n, 1))
                found.bbox_scores = np.full(n, 0.9, np.float32)
            sample.pred_instances = found
        return data_samples


def pictures(*counts):
    return [np.full((4, 5, 3), n, np.uint8) for n in counts]


def test_everybody_is_found_without_boxes_and_order_is_kept():
    inferencer = Inferencer(OneEach(), device="cpu")
    assert inferencer.detector is None
    results = inferencer(pictures(2, 0, 3, 1), batch_size=2)
    assert [len(r) for r in results] == [2, 0, 3, 1]
    # boxes around the keypoints, scored by them
    assert results[0].instances.bboxes.tolist() == [[0, 1, 32, 33], [34, 35, 66, 67]]
    assert results[0].instances.bbox_scores.tolist() == [0.5, 0.5]
    assert results[1].instances.bboxes.shape == (0, 4)
    assert results[1].to_dict()["instances"] == []


def test_runs_of_one_model_with_other_settings_leave_each_other_alone():
    seen = []

    class Asked(OneEach):
        def forward(self, inputs, data_samples, mode):
            seen.append((self.test_cfg.get("flip_test"), model.test_cfg))
            return super().forward(inputs, data_samples, mode)

    model = Asked()
    inferencer = Inferencer(model, device="cpu")
    one, other = (inferencer.predict(pictures(1, 2), flip_test=f) for f in (True, False))
    for run in (one, other, one, other):
        next(run)
    assert {flip for flip, _ in seen} == {True, False}
    # nobody who uses the model meanwhile sees the settings of a run
    assert all(shared == {} for _, shared in seen)


def test_boxes_that_the_model_gives_are_kept():
    (result,) = Inferencer(OneEach("bboxes"), device="cpu")(pictures(1))
    assert result.to_dict()["instances"][0]["bbox"] == [1, 2, 3, 4]
    assert result.to_dict()["instances"][0]["bbox_score"] == 0.9


def test_given_boxes_are_refused():
    with pytest.raises(DataError, match="finds everybody in the whole picture and takes no boxes"):
        Inferencer(OneEach(), device="cpu")(pictures(1), boxes=[[0, 0, 1, 1]])


def test_lifters_are_sent_to_their_own_call():
    model = PoseLifter.__new__(PoseLifter)
    nn.Module.__init__(model)
    model.cfg, model.dataset_meta, model.test_cfg = OneEach().cfg, {}, {}
    with pytest.raises(ConfigError, match="inference_pose_lifter_model"):
        Inferencer(model, device="cpu")


def test_few_whole_pictures_are_looked_at_together_on_a_cpu():
    model = poise.build_model("rtmo-s_8xb32-600e_coco-640x640").eval()
    sizes = []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(len(kwargs["data_samples"])), with_kwargs=True
    )
    Inferencer(model, device="cpu", flip_test=False)(pictures(1, 2, 3))
    assert sizes == [2, 1]


class Squares(OneEach):
    """A pose is the box around what is white; nobody is small in what it sees."""

    def __init__(self, *extra, least):
        super().__init__(*extra)
        self.least, self.asked = least, []

    def forward(self, inputs, data_samples, mode):
        self.asked.append(len(inputs))
        for picture, sample in zip(inputs, data_samples, strict=True):
            pixels = np.ascontiguousarray(picture[0].numpy())
            _, _, stats, _ = cv2.connectedComponentsWithStats((pixels > 128).astype(np.uint8))
            boxes = np.float32([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]])
            boxes = boxes.reshape(-1, 4)
            sides = (boxes[:, 2:] - boxes[:, :2]).min(1) / max(pixels.shape)
            boxes = boxes[sides > self.least]
            found = InstanceData(
                keypoints=boxes.reshape(-1, 2, 2)[:, [0] * 8 + [1] * 9],
                keypoint_scores=np.full((len(boxes), 17), 0.5, np.float32),
            )
            if "bboxes" in self.extra:
                found.bboxes, found.bbox_scores = boxes, np.full(len(boxes), 0.9, np.float32)
            sample.pred_instances = found
        return data_samples


@pytest.mark.parametrize("extra", [(), ("bboxes",)])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_models_of_whole_pictures_look_at_tiles_too(extra, batch_size):
    picture = np.zeros((400, 600, 3), np.uint8)
    # small ones: in one tile, in two, across an inner border; and a large one
    people = [[10, 10, 40, 40], [290, 30, 320, 60], [295, 190, 325, 220], [60, 100, 240, 380]]
    for x1, y1, x2, y2 in people:
        picture[y1:y2, x1:x2] = 255
    empty = np.zeros((500, 500, 3), np.uint8)
    model = Squares(*extra, least=0.07)
    whole = Inferencer(model, device="cpu")([picture, empty], batch_size=batch_size)
    assert [len(r) for r in whole] == [1, 0]
    model.asked.clear()
    tiled = Inferencer(model, device="cpu", tiles="2x2")([picture, empty], batch_size=batch_size)
    assert [len(r) for r in tiled] == [4, 0]
    assert sum(model.asked) == 10
    found = tiled[0].instances
    assert sorted(found.bboxes.tolist()) == sorted(people)
    np.testing.assert_array_equal(found.keypoints[:, [0, -1]].reshape(-1, 4), found.bboxes)


def test_a_whole_picture_too_small_for_its_tiles_is_told():
    inferencer = Inferencer(OneEach(), device="cpu", tiles="2x2")
    with pytest.raises(DataError, match="expected at least 32") as failed:
        inferencer(pictures(1))
    assert "while cutting " in failed.value.__notes__[0]
    assert inferencer(pictures(1, 2), keep_going=True)[1].error is not None
