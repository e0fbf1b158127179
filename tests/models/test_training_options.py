"""Options that say what trains and what it starts from, on whole models."""

import pytest
import torch

import poise
from poise.codecs import MSRAHeatmap, RegressionLabel
from poise.layers.norms import FrozenBatchNorm2d
from poise.models.backbones import TCN, ResNet
from poise.models.estimators import PoseLifter, TopdownPoseEstimator
from poise.models.heads import HeatmapHead, TemporalRegressionHead, TrajectoryRegressionHead
from poise.models.weights import save_checkpoint

K, SIZE, MAP = 5, (64, 64), (16, 16)


def resnet(**more):
    torch.manual_seed(0)
    return ResNet(18, base_channels=8, stem_channels=8, **more)


def batch(sample, codec, *shape):
    g = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=g), [sample(codec, K, seed) for seed in range(shape[0])]


def step(model, inputs, samples):
    """A step of SGD; the names of the parameters that it changed."""
    before = {k: v.clone() for k, v in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = model.train()(inputs, samples, mode="loss")
    sum(v for k, v in losses.items() if "loss" in k).backward()
    optimizer.step()
    return {k for k, v in model.named_parameters() if not torch.equal(v, before[k])}


@pytest.mark.parametrize("frozen", [-1, 0, 2, 4])
def test_frozen_stages_stay_as_they_are(sample, frozen):
    codec = MSRAHeatmap(SIZE, MAP, sigma=1.0)
    head = HeatmapHead(64, K, (8, 8, 8), (4, 4, 4), decoder=codec)
    model = TopdownPoseEstimator(resnet(frozen_stages=frozen), head=head)
    stats = model.backbone.bn1.running_mean.clone()
    changed = step(model, *batch(sample, codec, 2, 3, 64, 64))
    stages = [f"backbone.layer{i}." for i in range(1, 5)]
    moved = [any(k.startswith(stage) for k in changed) for stage in stages]
    assert moved == [i > frozen for i in range(1, 5)]
    assert any(k.startswith("backbone.conv1") for k in changed) == (frozen < 0)
    # frozen norms keep their statistics, too
    assert torch.equal(model.backbone.bn1.running_mean, stats) == (frozen >= 0)
    assert any(k.startswith("head.") for k in changed)


def test_norm_eval_keeps_statistics_but_trains_weights(sample):
    codec = MSRAHeatmap(SIZE, MAP, sigma=1.0)
    head = HeatmapHead(64, K, (8, 8, 8), (4, 4, 4), decoder=codec)
    model = TopdownPoseEstimator(resnet(norm_eval=True), head=head)
    before = {k: v.clone() for k, v in model.backbone.named_buffers()}
    changed = step(model, *batch(sample, codec, 2, 3, 64, 64))
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.named_buffers())
    assert "backbone.bn1.weight" in changed


def test_frozen_batch_norms_take_weights_of_ordinary_ones():
    plain = resnet()
    with torch.no_grad():
        for buffer in plain.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.1)
    frozen = resnet(norm_cfg={"type": "FrozenBatchNorm2d"})
    assert isinstance(frozen.bn1, FrozenBatchNorm2d)
    assert not frozen.load_state_dict(plain.state_dict()).missing_keys
    x = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        # in training, too, the statistics are those of the file
        (have,), (want,) = frozen.train()(x), plain.eval()(x)
    assert torch.allclose(have, want, atol=1e-5)
    assert not [k for k, _ in frozen.named_parameters() if "bn" in k]


@pytest.mark.parametrize("prefix", [None, "backbone.", "backbone"])
def test_a_backbone_starts_from_a_file(tmp_path, prefix):
    source = resnet()
    whole = TopdownPoseEstimator(source, head=HeatmapHead(64, K))
    save_checkpoint(source if prefix is None else whole, tmp_path / "start.pth")
    start = {"type": "Pretrained", "checkpoint": str(tmp_path / "start.pth")}
    if prefix is not None:
        start["prefix"] = prefix
    cfg = {"type": "ResNet", "depth": 18, "base_channels": 8, "stem_channels": 8}
    model = poise.build_model(
        {
            "type": "TopdownPoseEstimator",
            "backbone": {**cfg, "init_cfg": start},
            "head": {"type": "HeatmapHead", "in_channels": 64, "out_channels": K},
        }
    )
    model.init_weights()
    state = model.backbone.state_dict()
    assert all(torch.equal(state[k], v) for k, v in source.state_dict().items())
    # init_weights draws the head, not the backbone, anew
    assert not torch.equal(model.head.final_layer.weight, whole.head.final_layer.weight)


def test_multi_scale_training_changes_the_size_and_still_learns(sample):
    codec = RegressionLabel(SIZE)
    head = {"type": "RegressionHead", "in_channels": 64, "num_joints": K}
    resize = {"type": "BatchSyncRandomResize", "random_size_range": (64, 128), "interval": 1}
    model = TopdownPoseEstimator(
        resnet(),
        {"type": "GlobalAveragePooling"},
        head,
        data_preprocessor={
            "type": "PoseDataPreprocessor",
            "mean": [0.0] * 3,
            "std": [1.0] * 3,
            "batch_augments": [resize],
        },
    ).train()
    sizes = set()
    for i in range(8):
        model.set_progress(epoch=0, max_epochs=1, iter=i, max_iters=8)
        inputs, samples = batch(sample, codec, 2, 3, 96, 96)
        data = model.data_preprocessor({"inputs": inputs, "data_samples": samples}, True)
        sizes.add(tuple(data["inputs"].shape[2:]))
        assert model(**data, mode="loss")["loss_kpt"].isfinite()
    assert len(sizes) > 1
    assert all(side % 32 == 0 and 64 <= side <= 128 for size in sizes for side in size)
    inputs, samples = batch(sample, codec, 2, 3, 96, 96)
    # not in evaluation
    data = model.data_preprocessor({"inputs": inputs, "data_samples": samples}, False)
    assert data["inputs"].shape[2:] == (96, 96)


@pytest.mark.parametrize("own_backbone", [False, True])
def test_a_trajectory_may_have_a_backbone_of_its_own(own_backbone):
    torch.manual_seed(0)
    sizes = {"stem_channels": 16, "num_blocks": 1, "kernel_sizes": (1, 1)}
    model = PoseLifter(
        TCN(2 * K, **sizes),
        head=TemporalRegressionHead(16, K),
        traj_backbone=TCN(2 * K, **sizes) if own_backbone else None,
        traj_head=TrajectoryRegressionHead(16, 1),
    ).eval()
    assert model.share_backbone != own_backbone
    assert model.with_traj_backbone == own_backbone
    x = torch.randn(2, 2 * K, 1)
    pose, way = model(x)
    assert pose.shape == (2, K, 3)
    assert way.shape == (2, 1, 3)
    way.sum().backward()
    shared = model.backbone.expand_conv.conv.weight.grad
    assert (shared is None) == own_backbone
