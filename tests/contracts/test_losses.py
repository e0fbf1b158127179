"""What every registered loss keeps: finite numbers, gradients, weights, precisions, graphs."""

import pytest
import torch

from poise.registry import MODELS
from poise.registry.tables.models import TABLE

B, K, W = 2, 5, 24
PARENTS = [0, 0, 1, 2, 3]


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pair(*shape):
    """A prediction and a target."""
    return rand(*shape, seed=1), rand(*shape, seed=2)


def maps():
    return pair(B, K, 8, 6)


def probabilities():
    """Heatmaps away from 0 and 1, as heads clamp them."""
    return tuple(0.1 + 0.8 * values for values in maps())


def tags():
    """Tag maps, and the places and visibilities of one person's keypoints."""
    return rand(1, K, 8, 6), torch.arange(2 * K).view(1, 1, K, 2) % 4


def combined():
    output, target = pair(B, 3 * K, 8, 6)
    return output, target, rand(B, K)


def points():
    return pair(B, K, 2)


def simcc():
    """Bins of x and y, predicted and wanted."""
    want = [rand(B, K, n, seed=n).softmax(-1) for n in (W, W + 8)]
    return tuple(rand(B, K, n, seed=n + 1) for n in (W, W + 8)), tuple(want)


def videos():
    """Lifted poses in front of a camera, and what the picture shows of them."""
    output = {
        "labeled_pose": rand(B, K, 3, seed=1),
        "unlabeled_pose": rand(B, K, 3, seed=2),
        "unlabeled_traj": rand(B, 1, 3, seed=3) + torch.tensor([0.0, 0.0, 4.0]),
    }
    return output, {"unlabeled_target_2d": rand(B, K, 2), "intrinsics": 1 + rand(B, 9)}


def boxes():
    near, size = rand(4, 2, seed=3), 0.2 + rand(4, 2, seed=4)
    moved = near + 0.1
    return torch.cat([near, near + size], 1), torch.cat([moved, moved + size], 1)


WEIGHTED = {"use_target_weight": True}
#: loss -> arguments, inputs, weights or None
LOSSES = {
    "AdaptiveWingLoss": (WEIGHTED, maps, (B, K)),
    "AssociativeEmbeddingLoss": ({}, tags, None),
    "BCELoss": (WEIGHTED, lambda: pair(B, K), (B, K)),
    "BoneLoss": ({"joint_parents": PARENTS, **WEIGHTED}, lambda: pair(B, K, 3), (B, K)),
    "CombinedTargetMSELoss": ({"use_target_weight": True}, combined, None),
    "FeaLoss": ({"name": "fea", "use_this": True, "student_channels": 4, "teacher_channels": 6},
                lambda: (rand(B, 4, 8, 6), rand(B, 6, 8, 6)), None),
    "FocalHeatmapLoss": (WEIGHTED, probabilities, (B, K)),
    "InfoNCELoss": ({}, lambda: (rand(4, 8),), None),
    "IoULoss": ({}, boxes, None),
    "JSDiscretLoss": (WEIGHTED, lambda: tuple(m.flatten(2).softmax(-1).view_as(m) for m in maps()),
                      (B, K)),
    "KDLoss": ({"name": "kd", "use_this": True}, lambda: (*simcc(), 1.0), None),
    "KLDiscretLoss": (WEIGHTED, simcc, (B, K)),
    "KLDiscretLossWithWeight": (WEIGHTED, simcc, (2, B, K)),
    "KeypointMSELoss": (WEIGHTED, maps, (B, K)),
    "KeypointOHKMMSELoss": ({**WEIGHTED, "topk": 3}, maps, (B, K)),
    "L1Loss": (WEIGHTED, points, (B, K, 2)),
    "MLECCLoss": ({}, lambda: tuple(tuple(v.softmax(-1) for v in axes) for axes in simcc()), None),
    "MPJPELoss": (WEIGHTED, lambda: pair(B, K, 3), (B, K)),
    "MPJPEVelocityJointLoss": ({}, lambda: pair(B, 4, K, 3), None),
    "MSELoss": (WEIGHTED, points, (B, K, 2)),
    "OKSLoss": ({"metainfo": "configs/_base_/datasets/coco.py"},
                lambda: pair(3, 17, 2), None),
    "RLELoss": (WEIGHTED, lambda: (rand(B, K, 2), rand(B, K, 2, seed=5), rand(B, K, 2, seed=6)),
                (B, K, 2)),
    "SemiSupervisionLoss": ({"joint_parents": PARENTS}, videos, None),
    "SmoothL1Loss": (WEIGHTED, points, (B, K, 2)),
    "SoftWeightSmoothL1Loss": (WEIGHTED, points, (B, K, 2)),
    "SoftWingLoss": (WEIGHTED, points, (B, K, 2)),
    "VariFocalLoss": (WEIGHTED, lambda: pair(B, K), (B, K)),
    "WingLoss": (WEIGHTED, points, (B, K, 2)),
}  # fmt: skip

#: wrappers of other losses: tested in tests/losses
ELSEWHERE = {"CombinedLoss", "MultipleLossWrapper"}


def leaves(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value
    return [leaf for part in parts for leaf in leaves(part)]


def cast(value, dtype):
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: cast(part, dtype) for name, part in value.items()}
    return tuple(cast(part, dtype) for part in value) if isinstance(value, tuple) else value


@pytest.fixture(params=LOSSES)
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    torch.manual_seed(0)
    return MODELS.build({"type": name, **LOSSES[name][0]})


def call(name, loss, inputs, weight=1.0):
    """Sum of all that a loss gives."""
    shape = LOSSES[name][2]
    more = () if shape is None else (torch.full(shape, weight, dtype=leaves(inputs)[0].dtype),)
    out = loss(*inputs, *more)
    return sum(part.sum() for part in leaves(out))


def test_the_contract_covers_every_registered_loss():
    registered = {
        entry
        for module, entries in TABLE["mmpose"].items()
        if module.startswith("poise.losses.")
        for entry in entries.split()
    }
    assert set(LOSSES) | ELSEWHERE == registered


def test_numbers_are_finite_and_gradients_reach_the_prediction(name, loss):
    inputs = LOSSES[name][1]()
    predicted = leaves(inputs[0])
    for leaf in predicted:
        leaf.requires_grad_()
    value = call(name, loss, inputs)
    assert value.isfinite()
    value.backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in predicted)
    assert any(leaf.grad.abs().sum() > 0 for leaf in predicted)


def test_what_has_no_weight_does_not_count(name, loss):
    if LOSSES[name][2] is None:
        pytest.skip("takes no weights, or several together with its targets")
    inputs = LOSSES[name][1]()
    assert call(name, loss, inputs, 0.0).abs() < 1e-5
    assert call(name, loss, inputs, 1.0).abs() > 1e-5


def test_half_precision_is_finite(name, loss):
    inputs = cast(LOSSES[name][1](), torch.bfloat16)
    assert call(name, loss.bfloat16(), inputs).isfinite()


def moved(value, device):
    if isinstance(value, torch.Tensor):
        return value.detach().to(device).requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {name: moved(part, device) for name, part in value.items()}
    return type(value)(moved(p, device) for p in value) if hasattr(value, "__len__") else value


def test_a_device_gives_the_same(name, loss, pretending, close):
    inputs = LOSSES[name][1]()
    for leaf in leaves(inputs[0]):
        leaf.requires_grad_()
    shape = LOSSES[name][2]
    weights = () if shape is None else (torch.ones(shape),)
    want = leaves(loss(*inputs, *weights))
    with pretending("mps") as device:
        inputs, weights = moved((inputs, weights), device)
        found = leaves(loss.to(device)(*inputs, *weights))
        assert all(f.device == device for f in found)
        assert close(found, want)
        sum(f.sum() for f in found).backward()
        assert all(leaf.grad.device == device for leaf in leaves(inputs[0]))


@pytest.mark.slow
def test_one_graph_holds_the_whole_loss(name, loss):
    if name == "AssociativeEmbeddingLoss":
        pytest.skip("how many people a picture has decides its shapes")
    torch.compiler.reset()
    inputs = LOSSES[name][1]()
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.allclose(call(name, compiled, inputs), call(name, loss, inputs), rtol=1e-4)
