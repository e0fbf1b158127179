"""Boxes of detectors, drawn as MMDetection's configs ask for it."""

import numpy as np
import pytest
import torch

from poise.registry import VISUALIZERS
from poise.structures import InstanceData, PoseDataSample

GREY = np.full((80, 300, 3), 90, np.uint8)


def sample(scores=(0.9, 0.1)):
    found = InstanceData(
        bboxes=torch.tensor([[10.0, 30.0, 40.0, 70.0], [260.0, 30.0, 290.0, 70.0]]),
        scores=torch.tensor(scores),
        labels=torch.tensor([0, 1]),
    )
    truth = InstanceData(bboxes=found.bboxes[:1], labels=found.labels[:1])
    drawn = PoseDataSample(metainfo={"img_path": "a.png"})
    drawn.pred_instances, drawn.gt_instances = found, truth
    return drawn


@pytest.fixture
def visualizer():
    made = VISUALIZERS.build(dict(type="mmdet.DetLocalVisualizer", name="visualizer"))
    made.set_dataset_meta({"classes": ("mouse", "fish")})
    return made


def changed(picture, left):
    return bool((picture[30:70, left : left + 30] != 90).any())


def test_boxes_above_the_threshold_are_drawn(visualizer):
    drawn = visualizer.add_datasample("a", GREY, sample(), draw_gt=False)
    assert drawn.shape == GREY.shape
    assert changed(drawn, 10)
    assert not changed(drawn, 260)
    assert (GREY == 90).all()


def test_truth_stands_beside_the_prediction(visualizer, tmp_path):
    file = tmp_path / "drawn.png"
    drawn = visualizer.add_datasample("a", GREY, sample((0.9, 0.8)), out_file=file)
    assert drawn.shape == (80, 600, 3)
    assert changed(drawn[:, 300:], 260)
    assert not changed(drawn[:, :300], 260)
    assert file.is_file()


def test_a_picture_without_boxes_stays_as_it_is(visualizer):
    nobody = sample((0.1, 0.1))
    assert (visualizer.add_datasample("a", GREY, nobody, draw_gt=False) == GREY).all()
    assert (visualizer.add_datasample("a", GREY) == GREY).all()


def test_boxes_without_labels_are_of_the_first_class(visualizer):
    plain = sample()
    del plain.pred_instances.labels, plain.gt_instances.labels
    assert changed(visualizer.add_datasample("a", GREY, plain, draw_gt=False), 10)
    del plain.gt_instances.bboxes
    assert (visualizer.add_datasample("a", GREY, plain, draw_pred=False) == GREY).all()
