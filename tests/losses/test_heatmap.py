import pytest
import torch
from torch.nn import functional as F

from poise.errors import ConfigError, DataError
from poise.losses import (
    AdaptiveWingLoss,
    CombinedTargetMSELoss,
    FocalHeatmapLoss,
    KeypointMSELoss,
    KeypointOHKMMSELoss,
)


@pytest.fixture
def maps():
    g = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 4, 5, generator=g), torch.rand(2, 3, 4, 5, generator=g)


def test_unweighted_mse_is_the_plain_mean(maps):
    assert torch.allclose(KeypointMSELoss(loss_weight=2.0)(*maps), 2 * F.mse_loss(*maps))


def test_a_keypoint_of_weight_zero_does_not_count(maps):
    output, target = maps
    weights = torch.ones(2, 3)
    weights[:, 1] = 0
    other = output.clone()
    other[:, 1] += 100
    loss = KeypointMSELoss(use_target_weight=True)
    assert torch.allclose(loss(output, target, weights), loss(other, target, weights))


def test_weights_of_pixels_equal_weights_of_keypoints_spread_over_them(maps):
    weights = torch.tensor([[1.0, 0.5, 0.0], [0.2, 1.0, 1.0]])
    spread = weights[..., None, None].expand(2, 3, 4, 5)
    loss = KeypointMSELoss()
    assert torch.allclose(loss(*maps, weights), loss(*maps, spread))


def test_masked_pixels_do_not_count(maps):
    output, target = maps
    mask = torch.ones(2, 1, 4, 5)
    mask[..., 0] = 0
    other = output.clone()
    other[..., 0] = 9
    loss = KeypointMSELoss()
    assert torch.allclose(loss(output, target, None, mask), loss(other, target, None, mask))


def test_masks_and_weights_multiply(maps):
    output, target = maps
    mask, weights = torch.ones(2, 1, 4, 5), torch.tensor([[1.0, 0.5, 0.0], [0.2, 1.0, 1.0]])
    mask[..., 0] = 0
    expected = ((output - target) ** 2 * mask * weights[..., None, None]).mean()
    assert torch.allclose(KeypointMSELoss()(output, target, weights, mask), expected)


def test_empty_channels_are_skipped_on_request(maps):
    output, target = maps
    target = target.clone()
    target[0, 2] = 0
    squared = (output - target) ** 2
    squared[0, 2] = 0
    assert torch.allclose(KeypointMSELoss(skip_empty_channel=True)(output, target), squared.mean())


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2, 3, 4)])
def test_weights_of_another_shape_are_refused(maps, shape):
    with pytest.raises(DataError, match=r"target weights should have shape \(2, 3\)"):
        KeypointMSELoss()(*maps, torch.ones(shape))


def test_a_mask_of_another_shape_is_refused(maps):
    with pytest.raises(DataError, match="mask should broadcast"):
        KeypointMSELoss()(*maps, None, torch.ones(2, 2, 4, 5))


def test_combined_targets_weigh_offsets_by_the_wanted_response():
    g = torch.Generator().manual_seed(1)
    output, target = torch.rand(2, 6, 3, 3, generator=g), torch.rand(2, 6, 3, 3, generator=g)
    weights = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    expected = 0.0
    for k in range(2):
        w = weights[:, k, None, None]
        gate = target[:, 3 * k] * w
        expected += 0.5 * F.mse_loss(output[:, 3 * k] * w, gate)
        for c in (1, 2):
            expected += 0.5 * F.mse_loss(gate * output[:, 3 * k + c], gate * target[:, 3 * k + c])
    loss = CombinedTargetMSELoss(use_target_weight=True)(output, target, weights)
    assert torch.allclose(loss, expected / 2)


def test_combined_targets_need_three_channels_a_keypoint(maps):
    with pytest.raises(DataError, match="three channels a keypoint"):
        CombinedTargetMSELoss()(torch.ones(1, 4, 2, 2), torch.ones(1, 4, 2, 2), torch.ones(1, 1))


def test_hard_keypoint_mining_keeps_the_worst_keypoints():
    output = torch.zeros(1, 3, 2, 2)
    target = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(1, 3, 2, 2)
    assert KeypointOHKMMSELoss(topk=2)(output, target, torch.ones(1, 3)).item() == (4 + 9) / 2


def test_hard_keypoint_mining_refuses_more_than_there_are(maps):
    with pytest.raises(DataError, match="topk .8. should not be larger"):
        KeypointOHKMMSELoss()(*maps, torch.ones(2, 3))
    with pytest.raises(ConfigError, match="positive"):
        KeypointOHKMMSELoss(topk=0)


def test_focal_loss_without_positives_counts_false_alarms():
    output = torch.full((1, 1, 2, 2), 0.5)
    target = torch.zeros(1, 1, 2, 2)
    expected = -4 * 0.25 * torch.log(torch.tensor(0.5))
    assert torch.allclose(FocalHeatmapLoss()(output, target), expected)


def test_adaptive_wing_is_continuous_at_theta():
    loss = AdaptiveWingLoss()
    target = torch.full((1, 1, 1, 1), 0.3)
    below, above = (loss(target + 0.5 + e, target) for e in (-1e-4, 1e-4))
    assert torch.allclose(below, above, atol=1e-2)
    assert loss(target, target) == 0
