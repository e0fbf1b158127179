"""Losses of box detectors: MMDetection's figures, weights, empty inputs, 16 bits."""

import pytest
import torch

from poise.errors import ArgumentError, ConfigError
from poise.registry import MODELS

PREDICTED = torch.tensor([[10.0, 10, 50, 50], [0, 0, 10, 10], [5, 5, 35, 25]])
WANTED = torch.tensor([[12.0, 14, 55, 47], [20, 5, 40, 30], [6, 4, 36, 31]])
LOGITS = torch.tensor([[2.0, -1.0], [-3.0, 0.5], [0.1, -0.2]])
SCORES = torch.tensor([[0.7, 0.0], [0.0, 0.0], [0.0, 0.4]])
QUALITY = torch.tensor([0, 2, 1]), torch.tensor([0.7, 0.0, 0.4])
DISTRIBUTIONS = torch.tensor([[0.0, 1, 2, -1], [1, 0, 0, 0], [0.5, 0.1, -0.3, 2]])
DISTANCES = torch.tensor([1.25, 0.0, 2.9])
WEIGHTS = torch.tensor([0.5, 1.0, 0.25])
INPUTS = {
    "CrossEntropyLoss": (LOGITS, SCORES, WEIGHTS[:, None]),
    "DistributionFocalLoss": (DISTRIBUTIONS, DISTANCES, WEIGHTS),
    "L1Loss": (PREDICTED[:, :2], WANTED[:, :2], WEIGHTS[:, None]),
    "QualityFocalLoss": (LOGITS, QUALITY, WEIGHTS),
}
# MMDetection 3.3.0: each loss, the weighted mean over 2.5, and the gradient of the first row
FIGURES = [
    (
        {"type": "GIoULoss", "loss_weight": 2.0},
        [0.617926, 3.0, 0.619136],
        1.3855,
        [-0.0062678, -0.0073573, -0.0079072, 0.0073573],
    ),
    (
        {"type": "DIoULoss"},
        [0.292967, 1.3125, 0.305495],
        0.614143,
        [-0.0033963, -0.0032327, -0.0033689, 0.0031775],
    ),
    (
        {"type": "CIoULoss"},
        [0.293129, 1.3125, 0.305728],
        0.614199,
        [-0.0033901, -0.0032389, -0.0033751, 0.0031837],
    ),
    (
        {"type": "IoULoss"},
        [0.341812, 13.8155, 0.358398],
        5.63041,
        [-0.0045326, -0.0045326, -0.00447, 0.0045326],
    ),
    (
        {"type": "IoULoss", "mode": "square", "eps": 1e-16},
        [0.495216, 1.0, 0.511685],
        0.550212,
        [-0.0045759, -0.0045759, -0.0045127, 0.0045759],
    ),
    (
        {"type": "IoULoss", "mode": "linear"},
        [0.289518, 0.999999, 0.301205],
        0.488024,
        [-0.0032203, -0.0032203, -0.0031758, 0.0032203],
    ),
    (
        {"type": "QualityFocalLoss"},
        [0.0464196, 0.377521, 0.206865],
        0.180979,
        [0.0067015, 0.010516],
    ),
    (
        {"type": "DistributionFocalLoss"},
        [1.19019, 0.743668, 0.617272],
        0.597233,
        [0.017429, -0.10262, 0.078783, 0.0064117],
    ),
    ({"type": "L1Loss"}, [[2.0, 4.0], [20.0, 5.0], [1.0, 1.0]], 11.4, [-0.2, -0.2]),
    (
        {"type": "CrossEntropyLoss", "use_sigmoid": True},
        [[0.726928, 0.313262], [0.0485873, 0.974077], [0.744397, 0.678139]],
        0.759357,
        [0.036159, 0.053788],
    ),
]
CONFIGS = [row[0] for row in FIGURES]


def loss_of(cfg, **more):
    return MODELS.build({**cfg, "type": f"mmdet.{cfg['type']}", **more})


def inputs_of(cfg):
    return INPUTS.get(cfg["type"], (PREDICTED, WANTED, WEIGHTS))


@pytest.mark.parametrize(("cfg", "each", "mean", "gradient"), FIGURES)
def test_values_and_gradients_are_mmdetections(cfg, each, mean, gradient):
    predicted, wanted, weights = inputs_of(cfg)
    have = loss_of(cfg, reduction="none")(predicted, wanted)
    torch.testing.assert_close(have, torch.tensor(each), rtol=1e-4, atol=1e-5)
    leaf = predicted.clone().requires_grad_()
    loss = loss_of(cfg)(leaf, wanted, weight=weights, avg_factor=2.5)
    assert loss.item() == pytest.approx(mean, rel=1e-4)
    loss.backward()
    torch.testing.assert_close(leaf.grad[0], torch.tensor(gradient), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("cfg", CONFIGS, ids=str)
def test_a_mean_divides_by_the_number_or_by_what_is_given(cfg):
    predicted, wanted, weights = inputs_of(cfg)
    each = loss_of(cfg, reduction="none")(predicted, wanted, weights)
    loss = loss_of(cfg)
    torch.testing.assert_close(loss(predicted, wanted, weights), each.mean())
    torch.testing.assert_close(loss(predicted, wanted, weights, avg_factor=4), each.sum() / 4)
    total = loss(predicted, wanted, weights, reduction_override="sum")
    torch.testing.assert_close(total, each.sum())
    # losses of single predictions are no mean, whatever the divisor
    torch.testing.assert_close(loss(predicted, wanted, weights, 4, "none"), each)
    with pytest.raises(ArgumentError, match="avg_factor is what a mean is divided by"):
        loss(predicted, wanted, weights, avg_factor=4, reduction_override="sum")
    with pytest.raises(ConfigError, match="'average'"):
        loss(predicted, wanted, reduction_override="average")


@pytest.mark.parametrize("cfg", CONFIGS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_costs_nothing_and_stays_in_the_graph(cfg, weighted):
    predicted, wanted, weights = inputs_of(cfg)
    none = predicted[:0].clone().requires_grad_()
    empty = tuple(w[:0] for w in wanted) if isinstance(wanted, tuple) else wanted[:0]
    for divisor in (None, 1.0):
        loss = loss_of(cfg)(none, empty, weights[:0] if weighted else None, divisor)
        assert loss.item() == 0
        loss.backward()
        assert none.grad.shape == none.shape


@pytest.mark.parametrize("cfg", CONFIGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_are_computed_with_32(cfg, dtype):
    predicted, wanted, _ = inputs_of(cfg)
    # halves and quarters, which 16 bits can tell exactly
    predicted = (predicted * 4).round() / 4
    have = loss_of(cfg)(predicted.to(dtype), wanted)
    assert have.dtype == torch.float32
    torch.testing.assert_close(have, loss_of(cfg)(predicted, wanted))


@pytest.mark.parametrize("activated", [False, True])
def test_quality_may_come_as_classes_or_as_scores(activated):
    loss = loss_of({"type": "QualityFocalLoss"}, activated=activated, reduction="none")
    predicted = LOGITS.sigmoid() if activated else LOGITS
    torch.testing.assert_close(loss(predicted, QUALITY), loss(predicted, SCORES))
    # -1 and the number of classes both say: none
    unknown = torch.tensor([0, -1, 1]), QUALITY[1]
    torch.testing.assert_close(loss(predicted, unknown), loss(predicted, QUALITY))


def test_probabilities_may_come_under_autocast():
    loss = loss_of({"type": "QualityFocalLoss"}, activated=True)
    with torch.autocast("cpu", torch.bfloat16):
        have = loss(LOGITS.sigmoid(), QUALITY)
    torch.testing.assert_close(have, loss_of({"type": "QualityFocalLoss"})(LOGITS, QUALITY))
    with pytest.raises(ConfigError, match="use_sigmoid should be True"):
        loss_of({"type": "QualityFocalLoss"}, use_sigmoid=False)


def test_the_farthest_distance_has_no_neighbour_above():
    loss = loss_of({"type": "DistributionFocalLoss"}, reduction="none")
    have = loss(DISTRIBUTIONS, torch.full((3,), 3.0))
    torch.testing.assert_close(have, -DISTRIBUTIONS.log_softmax(-1)[:, 3])


def test_sides_may_have_weights_of_their_own():
    loss = loss_of({"type": "GIoULoss"})
    sides = torch.tensor([[1.0, 0, 1, 0], [2, 2, 2, 2], [0, 0, 1, 0]])
    have = loss(PREDICTED, WANTED, sides)
    torch.testing.assert_close(have, loss(PREDICTED, WANTED, torch.tensor([0.5, 2, 0.25])))


def test_shapes_draw_boxes_once_they_are_nearly_in_place():
    near = torch.tensor([[0.0, 0, 20, 20]]), torch.tensor([[0.0, 0, 20, 18]])
    plain, shaped = (loss_of({"type": name})(*near) for name in ("DIoULoss", "CIoULoss"))
    assert shaped > plain
