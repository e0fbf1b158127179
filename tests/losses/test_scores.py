import pytest
import torch
from torch.nn import functional as F

from poise.errors import ConfigError, DataError
from poise.losses import (
    AssociativeEmbeddingLoss,
    BCELoss,
    CombinedLoss,
    FeaLoss,
    InfoNCELoss,
    IoULoss,
    JSDiscretLoss,
    KDLoss,
    KLDiscretLoss,
    MLECCLoss,
    MultipleLossWrapper,
    OKSLoss,
    VariFocalLoss,
)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("use_sigmoid", [False, True])
def test_use_sigmoid_says_that_predictions_are_probabilities(use_sigmoid):
    logits, target = rand(4, 3), rand(4, 3, seed=1).round()
    have = BCELoss(use_sigmoid=use_sigmoid)(logits.sigmoid() if use_sigmoid else logits, target)
    assert torch.allclose(have, F.binary_cross_entropy_with_logits(logits, target))


def test_scores_may_be_weighted_one_a_row():
    logits, target, weights = rand(4, 3), rand(4, 3, seed=1), rand(4, seed=2)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    have = BCELoss(use_target_weight=True, reduction="sum")(logits, target, weights)
    assert torch.allclose(have, (each * weights[:, None]).sum())


def test_varifocal_drops_values_that_are_not_finite():
    loss = VariFocalLoss(reduction="none")
    have = loss(torch.tensor([[float("nan"), 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert have[0, 0] == 0
    assert have[0, 1] > 0


def test_js_divergence_of_equal_heatmaps_is_zero():
    maps = rand(2, 3, 4, 4).flatten(2).softmax(-1).view(2, 3, 4, 4)
    loss = JSDiscretLoss(use_target_weight=False)
    assert loss(maps, maps).item() == pytest.approx(0, abs=1e-6)
    assert loss(maps, maps.flip(-1)) > 0


def test_infonce_needs_a_positive_temperature():
    with pytest.raises(ConfigError, match="temperature"):
        InfoNCELoss(temperature=0)
    assert InfoNCELoss()(torch.eye(3)) < InfoNCELoss()(torch.ones(3, 3))


def test_kl_of_simcc_sums_axes_and_masks_keypoints():
    pred, target, weights = rand(2, 3, 8), rand(2, 3, 8, seed=1), rand(2, 3, seed=2)
    options = {"beta": 2.0, "label_softmax": True, "label_beta": 3.0}
    each = F.kl_div(F.log_softmax(pred * 2, -1), F.softmax(target * 3, -1), reduction="none").mean(
        -1
    )
    have = KLDiscretLoss(**options)((pred, pred), (target, target), weights)
    assert torch.allclose(have, 2 * (each * weights).sum() / 3)
    masked = KLDiscretLoss(**options, mask=[1], mask_weight=0.0)
    kept = (each * weights)[:, [0, 2]].sum()
    assert torch.allclose(masked((pred, pred), (target, target), weights), 2 * kept / 3)


@pytest.mark.parametrize("mode", ["linear", "square", "log"])
def test_likelihood_one_costs_nothing(mode):
    sure = torch.zeros(2, 3, 4)
    sure[..., 0] = 1
    loss = MLECCLoss(mode=mode)((sure, sure), (sure, sure))
    assert loss.shape == (2,)
    assert torch.allclose(loss, torch.zeros(2), atol=1e-3)
    with pytest.raises(DataError, match="same number of axes"):
        MLECCLoss()((sure,), (sure, sure))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_likelihoods_are_reduced_over_keypoints(reduction):
    x, y, weights = rand(2, 3, 4), rand(2, 3, 5, seed=1), rand(2, 3, seed=2)
    targets = F.one_hot(torch.tensor([[0, 1, 2], [3, 0, 1]]), 4), torch.ones(2, 3, 5)
    loss = MLECCLoss(reduction=reduction, mode="square", use_target_weight=True)
    likelihood = (x * targets[0]).sum(-1) * y.sum(-1)
    each = (1 - likelihood**2) * weights
    expected = each if reduction == "none" else getattr(each, reduction)(dim=1)
    assert torch.allclose(loss((x, y), targets, weights), expected)


def test_oks_loss_of_a_perfect_pose_is_zero():
    pose = rand(2, 5, 2) * 100
    loss = OKSLoss(reduction="none")
    have = loss(pose, pose, torch.ones(2, 5), torch.full((2,), 100.0))
    assert torch.allclose(have, torch.zeros(2), atol=1e-6)
    weights = torch.tensor([[1.0, 1, 0, 0, 0]]).expand(2, 5)
    assert torch.allclose(loss(pose, pose, weights), torch.full((2,), 0.6))
    normalised = OKSLoss(reduction="none", norm_target_weight=True)
    assert torch.allclose(normalised(pose, pose, weights), torch.zeros(2), atol=1e-6)


@pytest.mark.parametrize(("mode", "expected"), [("linear", 0.5), ("square", 0.75)])
def test_iou_modes(mode, expected):
    box = torch.tensor([[0.0, 0, 10, 10]])
    half = torch.tensor([[0.0, 0, 10, 5]])
    assert IoULoss(mode=mode)(box, half).item() == pytest.approx(expected, abs=1e-4)
    weighted = IoULoss(mode=mode)(box, half, torch.tensor([0.5]))
    assert weighted.item() == pytest.approx(expected / 2, abs=1e-4)
    with pytest.raises(ConfigError, match="mode"):
        IoULoss(mode="cubic")


def reference_embedding_loss(tags, indices):
    """Loops of the definition, for one image: tags (K, H, W), indices (N, K, 2)."""
    flat = tags.flatten(1)
    people = [
        torch.stack([flat[k, i] for k, (i, v) in enumerate(person.tolist()) if v])
        for person in indices
        if person[:, 1].any()
    ]
    n = len(people)
    means = torch.stack([p.mean() for p in people])
    pull = sum(((p - p.mean()) ** 2).mean() for p in people) / (n + 1e-6)
    push = torch.exp(-((means[None] - means[:, None]) ** 2)).sum() / ((n - 1) * n + 1e-6)
    return pull, push if n > 1 else 0 * push


@pytest.mark.parametrize("people", [1, 3])
def test_embedding_loss_equals_its_definition(people):
    g = torch.Generator().manual_seed(people)
    tags = torch.randn(4, 5, 6, generator=g)
    position = torch.randint(30, (people + 1, 4), generator=g)
    seen = torch.randint(2, (people + 1, 4), generator=g)
    seen[:, 0], seen[-1] = 1, 0  # the last one is nowhere
    indices = torch.stack([position, seen], -1)
    pull, push = AssociativeEmbeddingLoss(push_loss_factor=0.5)(tags[None], [indices])
    want_pull, want_push = reference_embedding_loss(tags, indices)
    assert torch.allclose(pull, want_pull)
    assert torch.allclose(push, 0.5 * torch.as_tensor(want_push))


def test_embedding_loss_without_people_is_zero_with_a_gradient():
    tags = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pull, push = AssociativeEmbeddingLoss()(tags, torch.zeros(1, 0, 2, 2, dtype=torch.long))
    assert pull == push == 0
    (pull + push).backward()
    with pytest.raises(DataError, match="1 tag maps"):
        AssociativeEmbeddingLoss()(tags, [])


def test_feature_loss_aligns_channels():
    teacher, student = torch.ones(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    assert FeaLoss("f", True, 4, 4, alpha_fea=0.5)(student, teacher) == 0.5 * 36
    assert FeaLoss("f", True, 2, 4).align.weight.shape == (4, 2, 1, 1)


def test_distribution_loss_of_equal_models_is_zero():
    logits = rand(2, 3, 8)
    loss = KDLoss("k", True, weight=0.1)
    assert loss((logits, logits), (logits, logits), 1.0, None).item() == pytest.approx(0, abs=1e-6)


def test_wrappers_build_configs_and_modules():
    wrapper = MultipleLossWrapper([{"type": "MSELoss"}, KDLoss("k", True)])
    assert len(wrapper.loss_modules) == 2
    with pytest.raises(DataError, match="2 losses, got 1 outputs"):
        wrapper([rand(1)], [rand(1), rand(1)])
    combined = CombinedLoss({"a": {"type": "L1Loss"}})
    assert combined.a(rand(2), rand(2)) == 0
