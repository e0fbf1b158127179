import numpy as np
import pytest
import torch

from poise.codecs import SimCC3DLabel
from poise.errors import ConfigError
from poise.losses import BoneLoss, KLDiscretLoss, KLDiscretLossWithWeight
from poise.models.estimators import TopdownPoseEstimator3D
from poise.models.heads import RTMW3DHead
from poise.structures import InstanceData

K, SIZE = 5, (48, 64, 32)


@pytest.fixture
def head():
    torch.manual_seed(0)
    gau = {"hidden_dims": 16, "s": 8, "expansion_factor": 2, "act_fn": "SiLU"}
    return RTMW3DHead(
        8,
        K,
        SIZE,
        (6, 8),
        gau_cfg={**gau, "dropout_rate": 0.0, "drop_path": 0.0, "use_rel_bias": False},
        loss=[{"type": "KLDiscretLossWithWeight"}, BoneLoss([0, 0, 1, 2, 3])],
        decoder=SimCC3DLabel(SIZE),
    ).eval()


@pytest.fixture
def feats():
    g = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 16, 12, generator=g), torch.randn(2, 8, 8, 6, generator=g)


@pytest.fixture
def samples(sample):
    data = [sample(), sample()]
    for s in data:
        s.set_metainfo({"ori_shape": (200, 300), "input_size": SIZE[:2]})
        s.gt_instances.root_z = np.array([1000.0])
        bins = {
            f"keypoint_{a}_labels": torch.rand(1, K, n)
            for a, n in zip("xyz", (96, 128, 64), strict=True)
        }
        s.gt_instance_labels = InstanceData(
            **bins,
            keypoint_weights=torch.ones(1, K),
            weight_z=torch.zeros(1, K),
            with_z_label=torch.tensor([False]),
        )
    return data


def test_each_loss_has_its_item(head, feats, samples):
    losses = head.loss(feats, samples)
    assert set(losses) == {"loss_kld", "loss_bone", "mpjpe"}
    losses["loss_kld"].backward()
    # depth has no label in these samples
    assert head.cls_z.weight.grad.abs().sum() == 0
    assert head.cls_x.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("mode", "numbers"), [("2d", 2), ("3d", 3), ("vis", 3)])
def test_keypoints_are_in_the_space_of_the_mode(head, feats, samples, mode, numbers):
    class Backbone(torch.nn.Module):
        def forward(self, x):
            return feats

    model = TopdownPoseEstimator3D(Backbone(), head=head, test_cfg={"mode": mode}).eval()
    with torch.no_grad():
        out = model(torch.zeros(2, 3, 64, 48), samples, mode="predict")[0].pred_instances
    assert out.keypoints.shape == (1, K, numbers)
    if mode == "3d":
        back = (
            out.keypoints[..., :2]
            / out.keypoints[..., 2:]
            * np.array([1145.04940459, 1143.78109572])
        )
        assert np.allclose(np.add(back, [100, 150]), out.transformed_keypoints, atol=1e-3)


def test_unknown_modes_and_heatmaps_are_refused(head, feats, samples):
    with pytest.raises(ConfigError, match="no heatmaps"):
        head.predict(feats, samples, {"output_heatmaps": True})
    with pytest.raises(ConfigError, match="no flip test"):
        head.predict([feats, feats], samples, {"flip_test": True})


def test_equal_weights_of_all_axes_are_those_of_the_plain_loss():
    pred, label, weight = torch.rand(2, 3, 8), torch.rand(2, 3, 8), torch.rand(2, 3)
    plain = KLDiscretLoss()((pred, pred), (label, label), weight)
    each = KLDiscretLossWithWeight()((pred, pred), (label, label), (weight, weight))
    assert torch.allclose(plain, each)
