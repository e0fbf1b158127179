import math

import pytest
import torch
from torch.nn import functional as F

from poise.errors import ArgumentError, ConfigError
from poise.losses import (
    BoneLoss,
    L1Loss,
    MPJPELoss,
    MPJPEVelocityJointLoss,
    MSELoss,
    RLELoss,
    SemiSupervisionLoss,
    SmoothL1Loss,
    SoftWeightSmoothL1Loss,
    SoftWingLoss,
    WingLoss,
)

PLAIN = {SmoothL1Loss: F.smooth_l1_loss, L1Loss: F.l1_loss, MSELoss: F.mse_loss}


@pytest.fixture
def points():
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, 5, 2, generator=g) * 3, torch.randn(4, 5, 2, generator=g)


@pytest.mark.parametrize("loss", PLAIN)
@pytest.mark.parametrize("weighted", [False, True])
def test_pointwise_losses_equal_torch(loss, weighted, points):
    output, target = points
    weights = torch.rand(4, 5, generator=torch.Generator().manual_seed(1))
    w = weights[..., None] if weighted else 1
    have = loss(use_target_weight=weighted, loss_weight=3.0)(output, target, weights)
    assert torch.allclose(have, 3 * PLAIN[loss](output * w, target * w))


@pytest.mark.parametrize("loss", [*PLAIN, WingLoss, SoftWingLoss, MPJPELoss])
def test_missing_weights_are_named(loss, points):
    with pytest.raises(ArgumentError, match=f"{loss.__name__} was built with use_target_weight"):
        loss(use_target_weight=True)(*points)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_l1_reductions(reduction, points):
    have = L1Loss(reduction=reduction)(*points)
    assert torch.allclose(have, F.l1_loss(*points, reduction=reduction))


def test_unknown_reduction_is_refused():
    with pytest.raises(ConfigError, match=r"must be one of .* got 'meen'; did you mean 'mean'"):
        L1Loss(reduction="meen")


@pytest.mark.parametrize(
    ("loss", "error", "expected"),
    [
        (WingLoss(), 1.0, 10 * math.log(1 + 1 / 2)),
        (WingLoss(), 20.0, 20 - 10 * (1 - math.log(1 + 10 / 2))),
        (SoftWingLoss(), 1.0, 1.0),
        (SoftWingLoss(), 4.0, 20 * math.log(9) + 2 - 20 * math.log(5)),
    ],
)
def test_wing_curves(loss, error, expected):
    zero = torch.zeros(1, 1, 1)
    assert loss(zero + error, zero).item() == pytest.approx(expected, rel=1e-5)


def test_soft_weights_divide_by_the_supervised_entries(points):
    output, target = points
    weights = torch.zeros(4, 5, 2)
    weights[0] = 2.0
    loss = SoftWeightSmoothL1Loss(use_target_weight=True, supervise_empty=False)
    expected = 2 * F.smooth_l1_loss(output[0], target[0])
    assert torch.allclose(loss(output, target, weights), expected)


def test_bone_loss_compares_mean_lengths_only():
    pose = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 2, 0]]])
    turned = torch.tensor([[[5.0, 5, 5], [5, 6, 5], [5, 6, 7]]])
    loss = BoneLoss([0, 0, 1])
    assert loss(pose, turned) == 0
    assert loss(pose, 2 * turned) == pytest.approx(1.5)


def test_velocity_loss_is_zero_only_for_equal_motion():
    g = torch.Generator().manual_seed(0)
    motion = torch.randn(2, 3, 4, 3, generator=g)
    loss = MPJPEVelocityJointLoss()
    assert loss(motion, motion).item() == pytest.approx(0, abs=1e-4)
    scaled = MPJPEVelocityJointLoss(lambda_scale=1.0, lambda_3d_velocity=0.0)
    # up to scale both are equal: only the positions differ
    assert scaled(motion, 2 * motion).item() == pytest.approx(
        MPJPELoss()(motion, 2 * motion).item(), rel=1e-4
    )


def test_a_single_frame_and_a_pose_in_one_point_give_a_finite_loss():
    target = torch.ones(2, 4, 3, 3)
    for output in (torch.zeros(2, 4, 3, 3), torch.rand(2, 4, 3, 3)[:, :1]):
        output.requires_grad_()
        loss = MPJPEVelocityJointLoss()(output, target[:, : output.shape[1]])
        loss.backward()
        assert loss.isfinite()
        assert output.grad.isfinite().all()


def test_rle_flow_is_a_density():
    torch.manual_seed(0)
    flow = RLELoss().flow_model
    for layer in flow.parameters():
        torch.nn.init.normal_(layer, std=0.1)
    axis = torch.linspace(-12, 12, 241)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert density.sum().item() * 0.1**2 == pytest.approx(1, abs=0.01)


def test_rle_loss_has_gradients_and_refuses_unknown_distributions():
    pred = torch.zeros(2, 3, 2, requires_grad=True)
    loss = RLELoss(use_target_weight=True)
    loss(pred, torch.zeros(2, 3, 2), torch.ones(2, 3, 2), torch.ones(2, 3, 1)).backward()
    assert pred.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="q_distribution"):
        RLELoss(q_distribution="cauchy")


@pytest.mark.parametrize("distribution", [torch.distributions.Laplace, torch.distributions.Normal])
def test_what_the_flow_adds_to_is_the_density_of_the_errors(distribution):
    pred, target, sigma = torch.randn(3, 4, 5, 2)
    name = {"Laplace": "laplace", "Normal": "gaussian"}[distribution.__name__]
    loss = RLELoss(q_distribution=name, size_average=False)
    alone = RLELoss(residual=False, size_average=False)
    alone.flow_model = loss.flow_model
    added = loss(pred, sigma, target) - alone(pred, sigma, target)
    scale = sigma.sigmoid()
    error = (pred - target) / (scale + 1e-9)
    density = distribution(0.0, 1.0).log_prob(error) - scale.log()
    assert torch.allclose(added, -density.sum(), rtol=1e-4)


def test_semi_supervision_waits_for_its_warm_up():
    loss = SemiSupervisionLoss([0, 0], warmup_iterations=1)
    pose = torch.tensor([[[0.0, 0, 2], [1, 0, 2]]])
    output = {
        "labeled_pose": pose,
        "unlabeled_pose": pose,
        "unlabeled_traj": torch.zeros(1, 1, 3),
    }
    target = {
        "unlabeled_target_2d": torch.tensor([[[10.0, 20], [60, 20]]]),
        "intrinsics": torch.tensor([[100.0, 100, 10, 20]]),
    }
    assert loss(output, target) == {}
    values = loss(output, target)
    assert values["proj_loss"] == pytest.approx(0, abs=1e-6)
    assert values["bone_loss"] == pytest.approx(0, abs=1e-6)
