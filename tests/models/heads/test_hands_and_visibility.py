"""Heads of which hand it is and of what can be seen."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from poise.codecs import MSRAHeatmap
from poise.models.heads import HeatmapHead, InternetHead, VisPredictHead

K = 5
CODEC = MSRAHeatmap((48, 64), (12, 16), sigma=2)


def test_the_mirror_image_of_hands_has_its_depth_turned(sample):
    # 42 keypoints are two here; outputs stand for the features that give them
    swap = [1, 0]
    straight = [torch.rand(3, 2, 4, 6, 5), torch.rand(3, 1), torch.rand(3, 2)]
    mirrored = [torch.rand(3, 2, 4, 6, 5), torch.rand(3, 1), torch.rand(3, 2)]
    data = sample()
    data.set_metainfo({"flip_indices": swap})
    head = SimpleNamespace(forward=lambda feats: feats)
    found = InternetHead.test_outputs(head, (straight, mirrored), [data], {"flip_test": True})
    assert torch.allclose(found[0], (straight[0] + mirrored[0][:, swap].flip(-1)) / 2)
    assert torch.allclose(found[1], (straight[1] - mirrored[1]) / 2)
    assert torch.allclose(found[2], (straight[2] + straight[2].flip(1)) / 2)
    assert InternetHead.test_outputs(head, straight, [data], {}) is straight


@pytest.fixture
def visible():
    """Maker of a head whose visibilities are given."""

    def make(scores, **loss):
        pose = HeatmapHead(4, K, deconv_out_channels=None, decoder=CODEC)
        head = VisPredictHead(pose, {"type": "BCELoss", **loss})
        head.vis_forward = lambda feats: scores
        return head

    return make


@pytest.mark.parametrize("use_sigmoid", [False, True])
def test_visibilities_are_learned_and_counted(visible, sample, use_sigmoid):
    scores = torch.tensor([[0.2, 0.9, 0.6, 0.1, 0.7]])
    data = sample(CODEC, K)
    data.gt_instance_labels.keypoint_weights = torch.tensor([[0.0, 1, 0, 0, 1]])
    given = scores if use_sigmoid else scores.logit()
    feats = (torch.rand(1, 4, 16, 12),)
    head = visible(given, use_sigmoid=use_sigmoid)
    losses = head.loss(feats, [data])
    assert losses["acc_vis"].item() == pytest.approx(4 / 5)
    right = torch.tensor([0.8, 0.9, 0.4, 0.9, 0.7])
    assert losses["loss_vis"].item() == pytest.approx(-right.log().mean().item(), rel=1e-5)
    assert "loss_kpt" in losses
    data.gt_instance_labels.keypoints_visible_weights = torch.tensor([[1.0, 1, 0, 1, 1]])
    head = visible(given, use_sigmoid=use_sigmoid, use_target_weight=True)
    losses = head.loss(feats, [data])
    assert losses["acc_vis"].item() == pytest.approx(1)
    right[2] = 1
    assert losses["loss_vis"].item() == pytest.approx(-right.log().mean().item(), rel=1e-5)
    preds, _ = head.eval().predict(feats, [data], {"flip_test": False})
    np.testing.assert_allclose(preds[0].keypoints_visible, scores, atol=1e-6)
