import numpy as np
import pytest
import torch

from poise.errors import ConfigError
from poise.models.estimators import PoseLifter
from poise.models.heads import (
    MotionRegressionHead,
    TemporalRegressionHead,
    TrajectoryRegressionHead,
)
from poise.structures import InstanceData

K, T = 5, 4


class Codec:
    """Stands for a lifting codec: adds the root, where it is known."""

    support_batch_decoding = False

    def decode(self, coords, *known):
        root = known[0] if len(known) == 1 and known[0].size else 0.0
        return coords + root, np.ones(coords.shape[:-1], dtype=np.float32)


@pytest.fixture
def samples(sample):
    data = [sample(), sample()]
    for s in data:
        s.set_metainfo({"target_root": np.array([1.0, 2.0, 3.0], dtype=np.float32)})
        s.gt_instance_labels = InstanceData(
            lifting_target_label=torch.rand(1, K, 3),
            lifting_target_weight=torch.ones(1, K),
            trajectory_weights=torch.ones(1, K),
        )
    return data


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (TemporalRegressionHead, {"loss_pose3d", "mpjpe"}),
        (TrajectoryRegressionHead, {"loss_traj", "mpjpe_traj"}),
    ],
)
def test_single_poses(kind, names, samples):
    head = kind(8, K, decoder=Codec())
    feats = (torch.randn(2, 8, 1),)
    assert set(head.loss(feats, samples)) == names
    with torch.no_grad():
        preds = head.predict(feats, samples)
    assert np.allclose(preds[1].keypoints[0], head(feats)[1].detach().numpy() + np.array([1, 2, 3]))
    with pytest.raises(ConfigError, match="no flip test"):
        head.predict([feats, feats], samples, {"flip_test": True})


def test_one_root_is_compared_with_every_keypoint(samples):
    head = TrajectoryRegressionHead(8, 1, loss={"type": "MPJPELoss", "use_target_weight": True})
    feats = (torch.rand(2, 8, 1),)
    losses = head.loss(feats, samples)
    targets = torch.cat([s.gt_instance_labels.lifting_target_label for s in samples])
    distance = (head(feats) - targets).norm(dim=-1).mean().detach()
    torch.testing.assert_close(losses["loss_traj"].detach(), distance)
    assert losses["mpjpe_traj"] == pytest.approx(float(distance), rel=1e-5)


def test_motions_have_errors_over_all_frames(sample):
    head = MotionRegressionHead(8, embedding_size=6, decoder=Codec())
    data = [sample(), sample()]
    for s in data:
        s.gt_instance_labels = InstanceData(
            lifting_target_label=torch.rand(T, K, 3), lifting_target_weight=torch.ones(T, K)
        )
    feats = torch.randn(2, T, K, 8)
    losses = head.loss(feats, data)
    wanted = torch.stack([s.gt_instance_labels.lifting_target_label for s in data])
    error = (head(feats) - wanted).norm(dim=-1).mean()
    assert losses["mpjpe"].item() == pytest.approx(error.item(), rel=1e-5)
    with torch.no_grad():
        preds = head.predict([feats, feats], data, {"flip_test": True})
    assert preds[0].keypoints.shape[-3:] == (T, K, 3)


class Backbone(torch.nn.Module):
    causal = False

    def forward(self, x):
        return (x,)


def test_trajectories_share_the_backbone_and_train_with_the_pose(samples):
    model = PoseLifter(
        Backbone(),
        head=TemporalRegressionHead(8, K, decoder=Codec()),
        traj_head=TrajectoryRegressionHead(8, K),
        semi_loss={"type": "SemiSupervisionLoss", "joint_parents": [0] * K},
    )
    assert model.share_backbone
    assert model.causal is False
    inputs = torch.randn(2, 8, 1)
    pose, way = model(inputs)
    assert pose.shape == way.shape == (2, K, 3)
    with pytest.warns(UserWarning, match="no unlabelled sequences"):
        losses = model(inputs, samples, mode="loss")
    assert set(losses) == {"loss_pose3d", "mpjpe", "loss_traj", "mpjpe_traj"}
    model.test_cfg = {"output_keypoint_indices": [2]}
    with torch.no_grad():
        out = model(list(inputs), samples, mode="predict")
    assert out[0].pred_instances.keypoints.shape == (1, 1, 3)


def test_mirrored_motion_is_averaged(sample):
    class Identity(torch.nn.Module):
        def forward(self, x):
            return x

    head = MotionRegressionHead(3, 3, 6, decoder=Codec())
    head.pre_logits = head.fc = torch.nn.Identity()
    model = PoseLifter(Identity(), head=head, test_cfg={"flip_test": True})
    motion = torch.randn(1, T, K, 3)
    out = model(motion, [sample()], mode="predict")[0].pred_instances
    # an answer that is the input: mirrored twice it is itself
    assert np.allclose(out.keypoints, motion[0], atol=1e-6)


def test_semi_supervision_needs_a_head():
    with pytest.raises(ConfigError, match="`semi_loss` needs"):
        PoseLifter(Backbone(), semi_loss={"type": "SemiSupervisionLoss", "joint_parents": [0]})
